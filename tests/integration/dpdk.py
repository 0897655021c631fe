"""Virtual devices for the driver dpdk that reach the lab's broker: without hugepages, gone with their context."""
import contextlib
import subprocess

EAL = "--no-huge -m 64"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL)


class Tap:
    """net_tap: the kernel's end is in the broker's namespace, and so is the publisher, who reaches the broker through it
    as a gateway. The addresses are TEST-NET-2's (RFC 5737)."""
    INSIDE = True
    INTERFACE, GATEWAY, ADDRESS = "dpdk-tap0", "198.51.100.1", "198.51.100.2"

    def __init__(self, lab):
        self.lab = lab

    @contextlib.contextmanager
    def up(self):
        inside = ("-n", self.lab.netns)
        # Made here, not by the driver, so that it has its address from the start and keeps it between two runs.
        ip(*inside, "tuntap", "add", "dev", self.INTERFACE, "mode", "tap", "multi_queue")
        try:
            ip(*inside, "link", "set", "dev", self.INTERFACE, "addrgenmode", "none", "up")
            ip(*inside, "address", "add", self.GATEWAY + "/24", "dev", self.INTERFACE)
            yield
        finally:
            ip(*inside, "link", "delete", "dev", self.INTERFACE)

    def arguments(self):
        return ("--device", "net_tap0,iface=" + self.INTERFACE, "--address", self.ADDRESS + "/24", "--gateway", self.GATEWAY,
                "--eal=" + EAL)


class AfPacket:
    """net_af_packet on a veth pair of its own, with the broker's address on the same network."""
    INSIDE = False
    INTERFACE, PEER = "dpdk-veth0", "dpdk-eth0"

    def __init__(self, lab):
        self.lab = lab

    @property
    def ADDRESS(self):
        return self.lab.broker_ip.rpartition(".")[0] + ".200"

    @contextlib.contextmanager
    def up(self):
        inside = ("-n", self.lab.netns)
        ip("link", "add", "dev", self.INTERFACE, "type", "veth", "peer", "name", self.PEER, "netns", self.lab.netns)
        try:
            ip("link", "set", "dev", self.INTERFACE, "addrgenmode", "none", "up")
            # Packets for our address reach the kernel as well, and are not to be sent elsewhere by it.
            subprocess.run(["sysctl", "-qw", f"net.ipv4.conf.{self.INTERFACE}.forwarding=0"], check=True)
            ip(*inside, "link", "set", "dev", self.PEER, "addrgenmode", "none", "up")
            ip(*inside, "route", "add", self.ADDRESS + "/32", "dev", self.PEER)
            # A veth leaves checksums and segmentation to hardware that is not there.
            subprocess.run(self.lab.inside("ethtool", "-K", self.PEER, "tx", "off", "tso", "off", "gso", "off"), check=True,
                           stdout=subprocess.DEVNULL)
            yield
        finally:
            ip("link", "delete", "dev", self.INTERFACE)

    def arguments(self):
        return ("--device", "net_af_packet0,iface=" + self.INTERFACE, "--address", self.ADDRESS + "/24", "--eal=" + EAL)


PORTS = {"net_tap": Tap, "net_af_packet": AfPacket}
