# shellcheck shell=bash
# scripts/lab's link for the driver dpdk: a virtual device, no hugepages, no NIC.
#
#   net_tap         the tap's kernel end is in $NETNS, and so is the publisher, who reaches the broker through it as a
#                   gateway. The veth pair stays what it is. The addresses are TEST-NET-2's (RFC 5737).
#   net_af_packet   on the caller's end of the veth pair, whose address is the publisher's then and not the kernel's.

DPDK_TAP=dpdk-tap0
DPDK_TAP_ADDRESS=198.51.100.2/24
DPDK_TAP_GATEWAY=198.51.100.1
DPDK_EAL=--no-huge

# The device of this lab, empty when it is built for AF_XDP and the kernel.
dpdk_device()
{
	cat -- "$STATE/device" 2>/dev/null || true
}

# Made here, not by the poll-mode driver, so that it has its address from the start and keeps it between two runs. It goes
# with the namespace.
dpdk_create_tap()
{
	ip -n "$NETNS" tuntap add dev "$DPDK_TAP" mode tap multi_queue
	ip -n "$NETNS" link set dev "$DPDK_TAP" addrgenmode none up
	ip -n "$NETNS" address add "$DPDK_TAP_GATEWAY/24" dev "$DPDK_TAP"
}

# The kernel gives the address up, and does not send elsewhere what now comes for an address it does not have.
dpdk_create_af_packet()
{
	network_address >"$STATE/dpdk-address"
	ip -4 address flush dev "$INTERFACE"
	sysctl -qw "net.ipv4.conf.$INTERFACE.forwarding=0"
	# A veth leaves checksums and segmentation to hardware that is not there.
	ip netns exec "$NETNS" ethtool -K eth0 tx off tso off gso off >/dev/null
}

# The device's name is written last: without it `down` is all that helps, and `up` does that first.
dpdk_create()
{
	case $1 in
	net_tap) dpdk_create_tap ;;
	net_af_packet) dpdk_create_af_packet ;;
	esac
	echo "$1" >"$STATE/device"
}

# Name and arguments, as --device takes them.
dpdk_device_string()
{
	case $(dpdk_device) in
	net_tap) echo "net_tap0,iface=$DPDK_TAP" ;;
	net_af_packet) echo "net_af_packet0,iface=$INTERFACE" ;;
	esac
}

# Address and prefix that the device is to have.
dpdk_address()
{
	case $(dpdk_device) in
	net_tap) echo "$DPDK_TAP_ADDRESS" ;;
	net_af_packet) echo "$(cat -- "$STATE/dpdk-address")/30" ;;
	esac
}

dpdk_gateway()
{
	[ "$(dpdk_device)" != net_tap ] || echo "$DPDK_TAP_GATEWAY"
}

# There is nothing to see of net_af_packet; the tap is up only while the poll-mode driver holds it.
dpdk_is_up()
{
	[ "$(dpdk_device)" != net_tap ] || ip -n "$NETNS" link show dev "$DPDK_TAP" >/dev/null 2>&1
}

# The end of the publisher's link that is the broker's.
broker_interface()
{
	if [ "$(dpdk_device)" = net_tap ]; then
		echo "$DPDK_TAP"
	else
		echo eth0
	fi
}

# Options of `harewire publish` and `feed`, without spaces within any.
harewire_arguments()
{
	local gateway

	if [ -z "$(dpdk_device)" ]; then
		echo "--interface $INTERFACE"
		return
	fi
	gateway=$(dpdk_gateway)
	echo "--driver dpdk --device $(dpdk_device_string) --address $(dpdk_address)${gateway:+ --gateway $gateway} --eal=$DPDK_EAL"
}

# What goes in front of `harewire` for it to see its device.
harewire_prefix()
{
	[ "$(dpdk_device)" != net_tap ] || echo "ip netns exec $NETNS"
}
