# shellcheck shell=bash
# scripts/lab's loss: scripts/loss.bpf.c at the broker's end of the publisher's link. Its ingress meets what the publisher sends, whichever driver
# sends it (at the publisher's own egress AF_XDP would slip past), its egress what the publisher receives.

# The interface of the broker's namespace that is meant: what `loss --on` has said, else the one that the lab has made.
LOSS_INTERFACE=
loss_interface()
{
	if [ -n "$LOSS_INTERFACE" ]; then
		echo "$LOSS_INTERFACE"
	else
		broker_interface
	fi
}

# The directions that are meant: both, or what `loss --only` has said.
LOSS_DIRECTIONS="ingress egress"

loss_object()
{
	local build=${B:-build}

	[[ $build == /* ]] || build=$ROOT/$build
	make -s -C "$ROOT" B="$build" "$build/loss.bpf.o" >&2 || die "cannot build loss.bpf.o"
	echo "$build/loss.bpf.o"
}

# The program's id in one direction, empty when there is none.
loss_program()
{
	tc -n "$NETNS" filter show dev "$(loss_interface)" "$1" 2>/dev/null | sed -n 's/.* id \([0-9]*\) .*/\1/p'
}

# The id of one of the program's maps, by name.
loss_map()
{
	local id

	# No `bpftool | grep -q`: it ends bpftool early, which pipefail takes for a failure.
	for id in $(bpftool prog show id "$1" | sed -n 's/.*map_ids \([0-9,]*\).*/\1/p' | tr , ' '); do
		if [[ "$(bpftool map show id "$id")" == *" name $2 "* ]]; then
			echo "$id"
			return
		fi
	done
	die "BPF program $1 has no map $2"
}

# An unsigned number as the little-endian octets bpftool takes.
octets()
{
	local i

	for ((i = 0; i < $2; i++)); do
		echo $((($1 >> (8 * i)) & 255))
	done
}

loss_set()
{
	local object direction program map link

	link=$(loss_interface)
	if [ -z "$(loss_program ingress)" ]; then
		object=$(loss_object)
		tc -n "$NETNS" qdisc replace dev "$link" clsact
		for direction in ingress egress; do
			tc -n "$NETNS" filter add dev "$link" "$direction" bpf direct-action object-file "$object" section tc
		done
	fi
	for direction in $LOSS_DIRECTIONS; do
		program=$(loss_program "$direction")
		map=$(loss_map "$program" loss_setting)
		# shellcheck disable=SC2046
		bpftool map update id "$map" key 0 0 0 0 value $(octets "$1" 4)
	done
}

# SEEN and DROPPED TCP packets of one direction since the program was attached.
loss_counters()
{
	local program map key

	program=$(loss_program "$1")
	if [ -z "$program" ]; then
		echo 0 0
		return
	fi
	map=$(loss_map "$program" loss_counters)
	for key in 0 1; do
		bpftool -j map lookup id "$map" key "$key" 0 0 0 |
			sed -n 's/.*"formatted":{.*"value":\([0-9]*\).*/\1/p'
	done | paste -sd ' '
}

loss_count()
{
	local direction counters seen dropped

	for direction in ingress egress; do
		counters=$(loss_counters "$direction")
		read -r seen dropped <<<"$counters"
		printf '%s=%s\n' "${direction^^}_SEEN" "$seen" "${direction^^}_DROPPED" "$dropped"
	done
}

loss_text()
{
	local program

	program=$(loss_program ingress)
	if [ -z "$program" ]; then
		echo none
	else
		loss_count | paste -sd ' '
	fi
}

loss()
{
	network_is_up || die "the lab '$NAME' is not up"
	if [ "${1:-}" = --on ]; then
		[ $# -gt 1 ] || misused "loss --on takes an interface"
		LOSS_INTERFACE=$2
		shift 2
		ip -n "$NETNS" link show dev "$LOSS_INTERFACE" >/dev/null 2>&1 ||
			die "there is no interface '$LOSS_INTERFACE' in the namespace $NETNS"
	fi
	if [ "${1:-}" = --only ]; then
		[[ ${2:-} =~ ^(in|e)gress$ ]] || misused "loss --only takes ingress or egress"
		LOSS_DIRECTIONS=$2
		shift 2
	fi
	case ${1:-} in
	off) tc -n "$NETNS" qdisc delete dev "$(loss_interface)" clsact 2>/dev/null || true ;;
	count) loss_count ;;
	*)
		[[ ${1:-} =~ ^([0-9]{1,2})(\.[0-9]{1,4})?$|^100$ ]] || misused "loss takes a percentage, 'off' or 'count'"
		loss_set "$(awk -v percent="$1" 'BEGIN { printf "%d", percent * 10000 + 0.5 }')"
		;;
	esac
}
