# shellcheck shell=bash
# scripts/lab's network: the namespace $NETNS, the veth pair $INTERFACE <-> eth0, a /30 nobody else uses.

# Blocks to take a /30 from, the first that is free. The last is set aside for measurements (RFC 2544, RFC 5735).
BLOCKS="10.203 172.30 192.168 198.18"

# No route but a default one (or the two halves of one, as VPNs install them) covers the network or lies within it. The
# table `local` is among `all`: addresses of this host count.
network_is_free()
{
	local used

	used=$(ip -4 -o route show table all match "$1"; ip -4 -o route show table all root "$1")
	! grep -Evq '^$|^([a-z]+ )?(default|0\.0\.0\.0/1|128\.0\.0\.0/1) ' <<<"$used" || return 1
}

# Prints the first three and a half octets' worth: "A.B.C.N" of a free A.B.C.N/30.
network_choose()
{
	local block third fourth

	for block in $BLOCKS; do
		third=0
		[ "$block" = 10.203 ] || third=203
		for ((fourth = 0; fourth < 256; fourth += 4)); do
			if network_is_free "$block.$third.$fourth/30"; then
				echo "$block.$third.$fourth"
				return
			fi
		done
	done
	die "no /30 is free on this host (tried 64 in each of: $BLOCKS)"
}

# The n-th address of the /30.
network_host()
{
	echo "${1%.*}.$((${1##*.} + $2))"
}

network_create()
{
	local queues=$1 net
	local -a channels=(numtxqueues "$queues" numrxqueues "$queues")

	! ip link show dev "$INTERFACE" >/dev/null 2>&1 ||
		die "this host has an interface $INTERFACE already, and it is not the lab's"
	net=$(network_choose)
	ip netns add "$NETNS"
	ip -n "$NETNS" link set dev lo up
	ip link add dev "$INTERFACE" "${channels[@]}" type veth peer name eth0 netns "$NETNS" "${channels[@]}"
	# No IPv6 link-local addresses: their chatter would be in every capture.
	ip link set dev "$INTERFACE" addrgenmode none
	ip -n "$NETNS" link set dev eth0 addrgenmode none
	ip address add "$(network_host "$net" 1)/30" dev "$INTERFACE"
	ip -n "$NETNS" address add "$(network_host "$net" 2)/30" dev eth0
	ip link set dev "$INTERFACE" up
	ip -n "$NETNS" link set dev eth0 up
}

# Deleting one end deletes the other; one that is not tied to our namespace is not ours.
network_remove()
{
	local i

	if link_is_ours; then
		ip link delete dev "$INTERFACE"
	fi
	[ ! -e "/run/netns/$NETNS" ] || ip netns delete "$NETNS"
	# The kernel takes a namespace apart in its own time.
	for ((i = 0; i < 50; i++)); do
		link_is_ours || return 0
		sleep 0.1
	done
	die "$INTERFACE does not go away"
}

link_is_ours()
{
	grep -q "link-netns $NETNS\\b" <<<"$(ip -o link show dev "$INTERFACE" type veth 2>/dev/null)"
}

network_address()
{
	ip -4 -o address show dev "$INTERFACE" 2>/dev/null | sed -n 's/.* inet \([0-9.]*\).*/\1/p'
}

broker_ip()
{
	ip -n "$NETNS" -4 -o address show dev eth0 2>/dev/null | sed -n 's/.* inet \([0-9.]*\).*/\1/p'
}

network_queues()
{
	local dirs=(/sys/class/net/"$INTERFACE"/queues/rx-*)

	echo ${#dirs[@]}
}

network_is_up()
{
	local flags

	[ -e "/run/netns/$NETNS" ] && link_is_ours || return 1
	flags=$(ip -o link show dev "$INTERFACE"; ip -n "$NETNS" -o link show dev eth0 2>/dev/null)
	[ "$(grep -c '[<,]LOWER_UP[,>]' <<<"$flags")" = 2 ] && [ -n "$(broker_ip)" ] || return 1
	if [ "$(dpdk_device)" = net_af_packet ]; then
		[ -s "$STATE/dpdk-address" ]
	else
		[ -n "$(network_address)" ] && dpdk_is_up
	fi
}
