# shellcheck shell=bash
# scripts/lab's broker: a private RabbitMQ with its own node name, cookie, data, log and epmd inside $NETNS.

# Not /usr/sbin/rabbitmq*: those switch to the package's user and cookie.
RABBITMQ_BIN=/usr/lib/rabbitmq/bin
SHARED_MEMORY=/dev/shm
DATA_MIN_KIB=$((1 << 20))
BROKER_START_LIMIT_S=${HAREWIRE_LAB_TIMEOUT:-120}

# A broker of a cluster is called by its address, which needs no name service.
node_name()
{
	if [ -e "$STATE/cluster" ]; then
		echo "harewire@$(broker_ip)"
	else
		echo harewire@localhost
	fi
}

# This broker is of a cluster: of its own, if that is the lab's name, or of the one that another lab's broker is in. It
# joins when it starts for the first time, and reaches the others through the namespace that the labs are built from.
cluster_set_up()
{
	local other=$LAB_BASE/$1 peer

	peer=$(broker_ip)
	if [ "$1" != "$NAME" ]; then
		peer=$(cat -- "$other/cluster" 2>/dev/null) || die "the lab '$1' was not built with --cluster or --join"
		cp -p -- "$other/.erlang.cookie" "$STATE/.erlang.cookie"
	fi
	echo "$peer" >"$STATE/cluster"
	ip -n "$NETNS" route add default via "$(network_address)"
}

# Links $STATE/applications to one of the applications in a directory and, through its list of what it needs, to those it
# needs. What is not there comes with Erlang.
link_application()
{
	local directory=$1 needed
	local -a found=("$directory/$2"-[0-9]*)

	if [ ! -e "${found[0]}/ebin/$2.app" ] || [ -e "$STATE/applications/${found[0]##*/}" ]; then
		return 0
	fi
	mkdir -p -- "$STATE/applications"
	ln -s -- "${found[0]}" "$STATE/applications/"
	for needed in $(tr -d ' \n' <"${found[0]}/ebin/$2.app" | sed -n 's/.*{applications,\[\([^]]*\)\].*/\1/p' | tr , ' '); do
		link_application "$directory" "$needed"
	done
}

# The settings with which Erlang finds these alone. It looks through every directory of its path for each module that it
# loads; without the forty plugins that lie beside the broker, none of which is enabled, to start is a third less work.
# The path is relative because Erlang's options hold no spaces.
broker_erlang_settings()
{
	local options="+sbwt none +sbwtdcpu none +sbwtdio none"

	if [ -d "$STATE/applications" ]; then
		echo "RABBITMQ_PLUGINS_DIR=$STATE/applications"
		options+=" -env ERL_LIBS applications"
	fi
	echo "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=$options"
}

# Runs a command in the namespace with the broker's environment and none of the caller's.
broker_env()
{
	local -a settings

	mapfile -t settings < <(broker_erlang_settings)
	(cd -- "$STATE" && exec ip netns exec "$NETNS" env -i \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME="$STATE" \
		RABBITMQ_NODENAME="$(node_name)" RABBITMQ_USE_LONGNAME="$([ ! -e "$STATE/cluster" ] || echo true)" \
		RABBITMQ_MNESIA_BASE="$STATE/data" \
		RABBITMQ_LOG_BASE="$STATE/log" \
		RABBITMQ_PID_FILE="$STATE/broker.pid" \
		RABBITMQ_CONFIG_FILE="$STATE/rabbitmq.conf" \
		RABBITMQ_ENABLED_PLUGINS_FILE="$STATE/enabled_plugins" \
		RABBITMQ_CONF_ENV_FILE=/dev/null \
		"${settings[@]}" "$@")
}

# Shared memory of which there is enough, unless the state itself lies in memory. Starts no process, of which `up` has enough.
data_may_be_shared_memory()
{
	local place type options length=0 state_type='' shared_options=''

	while read -r _ place type options _; do
		if [[ $STATE/ == "${place%/}"/* ]] && [ ${#place} -ge "$length" ]; then
			length=${#place} state_type=$type
		fi
		[ "$place $type" != "$SHARED_MEMORY tmpfs" ] || shared_options=$options
	done </proc/mounts
	[ "$state_type" != tmpfs ] && [ -n "$shared_options" ] &&
		{ [[ ! $shared_options =~ (^|,)size=([0-9]+)k ]] || [ "${BASH_REMATCH[2]}" -ge "$DATA_MIN_KIB" ]; }
}

# /run is a tmpfs, but not in every container: a disk on which others write holds up each declaration, at times for seconds.
data_make()
{
	local data=$SHARED_MEMORY/harewire-lab.$NAME.$$

	[ ! -e "$STATE/data" ] || return 0
	if data_may_be_shared_memory; then
		ln -sfn -- "$data" "$STATE/data" # before the directory, so that nothing is left behind
		mkdir -m 700 -- "$data"
	else
		mkdir -- "$STATE/data"
	fi
}

data_remove()
{
	local data

	if data=$(readlink -- "$STATE/data"); then
		rm -rf -- "$data"
	fi
}

broker_write_files()
{
	data_make
	mkdir -p -- "$STATE/log"
	if [ ! -e "$STATE/.erlang.cookie" ]; then
		(umask 377 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$STATE/.erlang.cookie")
	fi
	link_application "$(realpath -m -- "$(readlink -f -- "$RABBITMQ_BIN/rabbitmq-server")/../../plugins")" rabbit
	echo '[].' >"$STATE/enabled_plugins"
	{
		echo "listeners.tcp.default = $(broker_ip):5672"
		echo "loopback_users = none"
		echo "log.console = false"
		if [ -e "$STATE/cluster" ]; then
			echo "cluster_formation.peer_discovery_backend = classic_config"
			echo "cluster_formation.classic_config.nodes.1 = harewire@$(cat -- "$STATE/cluster")"
		fi
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$STATE/rabbitmq.conf"
}

# The pid, if that process still is the one we started: pids are used again, namespaces tell.
broker_pid()
{
	local pid

	pid=$(cat -- "$STATE/broker.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
	[ "/proc/$pid/ns/net" -ef "/run/netns/$NETNS" ] && echo "$pid"
}

broker_is_up()
{
	broker_pid >/dev/null && [ -n "$(ss -N "$NETNS" -Hltn "src $(broker_ip):5672")" ]
}

# The wrapper's exit status says nothing (0 even when the boot failed): the open port is what counts.
broker_start()
{
	local wrapper deadline=$((SECONDS + BROKER_START_LIMIT_S))

	broker_write_files "$@"
	rm -f -- "$STATE/broker.pid"
	# A session of its own: Ctrl-C on our terminal is not the broker's business.
	broker_env setsid "$RABBITMQ_BIN/rabbitmq-server" </dev/null >"$STATE/log/startup.out" 2>&1 8>&- 9>&- &
	wrapper=$!
	until broker_is_up; do
		kill -0 "$wrapper" 2>/dev/null || broker_failed "the broker ended while it started"
		[ "$SECONDS" -lt "$deadline" ] || broker_failed "the broker is not up after $BROKER_START_LIMIT_S s"
		sleep 0.1
	done
	disown "$wrapper"
}

# The first errors name the cause; what Erlang says last is where it ended.
broker_failed()
{
	echo "scripts/lab: $1. What it said:" >&2
	{ grep -h '\[error\] <[0-9.]*> .' "$STATE"/log/* || true; } | head -n 12 >&2 || true
	tail -n 5 -- "$STATE/log/startup.out" >&2
	exit 1
}

broker_ctl()
{
	network_is_up || die "the lab '$NAME' is not up"
	broker_env "$RABBITMQ_BIN/rabbitmqctl" "$@"
}

# Ended, or a zombie that somebody's init does not reap.
has_ended()
{
	local tasks=("/proc/$1/task"/*)

	[ -d "/proc/$1" ] || return 0
	[ ${#tasks[@]} -le 1 ] && grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

await_end_of()
{
	local i pid

	for pid in "$@"; do
		for ((i = 0; i < 300; i++)); do
			! has_ended "$pid" || continue 2
			sleep 0.1
		done
		die "process $pid does not end"
	done
}

broker_stop()
{
	local pid

	pid=$(broker_pid) || return 0
	kill -TERM "$pid"
	await_end_of "$pid"
}

broker_kill()
{
	local pid

	pid=$(broker_pid) || die "no broker runs in the lab '$NAME'"
	kill -KILL "$pid"
	await_end_of "$pid"
}

# Everything in the namespace, epmd and Erlang's helpers included, until nothing is left that could start more. A process
# that is exiting has left its namespace already: the wait is for each pid.
end_all_processes()
{
	local i
	local -a pids

	[ -e "/run/netns/$NETNS" ] || return 0
	for ((i = 0; i < 100; i++)); do
		mapfile -t pids < <(ip netns pids "$NETNS" 2>/dev/null)
		[ ${#pids[@]} -gt 0 ] || return 0
		kill -KILL "${pids[@]}" 2>/dev/null || true
		await_end_of "${pids[@]}"
	done
	die "processes in $NETNS do not end: ${pids[*]}"
}
