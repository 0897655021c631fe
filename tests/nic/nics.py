"""The NICs that the guest has, all of them in one boot, and the taps of the broker's namespace behind them."""
import contextlib
import dataclasses
import subprocess

FIRST_SLOT = 0x10


@dataclasses.dataclass(frozen=True)
class Nic:
    """
    A QEMU device. `pmd` is what the driver calls itself, `kernel` the kernel's driver for it ("": the guest has none). Addresses
    are TEST-NET-2's (RFC 5737), a /28 for each NIC; the kernel's end of the tap has the first and is the way to the broker.
    """
    name: str
    index: int
    model: str
    pmd: str
    kernel: str = ""
    properties: str = ""
    queues: int = 1
    vnet_hdr: bool = True  # False: the device computes checksums, and the broker's kernel verifies them
    reads_page_zero: bool = False  # before it is told where the memory is that it shares with its driver

    @property
    def netdev(self):
        return f"n{self.index}"

    @property
    def tap(self):
        return f"nic-tap{self.index}"

    @property
    def pci(self):
        return f"0000:00:{FIRST_SLOT + self.index:02x}.0"

    @property
    def gateway(self):
        return f"198.51.100.{16 * self.index + 1}"

    @property
    def address(self):
        return f"198.51.100.{16 * self.index + 2}"

    @property
    def prefix(self):
        return 28

    def harewire_arguments(self):
        return ("--driver", "dpdk", "--device", self.pci, "--address", f"{self.address}/{self.prefix}", "--gateway", self.gateway)

    def qemu_arguments(self):
        netdev = f"tap,id={self.netdev},ifname={self.tap},script=no,downscript=no,vhost=off"
        if self.queues > 1:
            netdev += f",queues={self.queues}"
        if not self.vnet_hdr:
            netdev += ",vnet_hdr=off"
        device = (f"{self.model},netdev={self.netdev},mac=52:54:00:00:00:{self.index:02x},addr={FIRST_SLOT + self.index:#x},"
                  f"romfile={self.properties}")
        return ["-netdev", netdev, "-device", device]

    @contextlib.contextmanager
    def tap_up(self, lab):
        """Made here, not by QEMU, in the broker's namespace, so that it is there before the guest and has its address."""
        def ip(*arguments):
            subprocess.run(["ip", "-n", lab.netns, *arguments], check=True, stdin=subprocess.DEVNULL)
        multi_queue = ["multi_queue"] if self.queues > 1 else []
        header = ["vnet_hdr"] if self.vnet_hdr else []
        ip("tuntap", "add", "dev", self.tap, "mode", "tap", *header, *multi_queue)
        try:
            ip("link", "set", "dev", self.tap, "addrgenmode", "none", "up")
            ip("address", "add", f"{self.gateway}/{self.prefix}", "dev", self.tap)
            yield
        finally:
            ip("link", "delete", "dev", self.tap)


VIRTIO = ",iommu_platform=on,disable-legacy=on"
NICS = {nic.name: nic for nic in (
    Nic("e1000e", 0, "e1000e", "net_e1000_em"),
    # DPDK 22.11 has the device update its VLAN filter before it has given it the address of what they share.
    Nic("vmxnet3", 1, "vmxnet3", "net_vmxnet3", kernel="vmxnet3", reads_page_zero=True),
    Nic("virtio", 2, "virtio-net-pci", "net_virtio", kernel="virtio-pci", properties=VIRTIO),
    Nic("virtio-4q", 3, "virtio-net-pci", "net_virtio", kernel="virtio-pci", queues=4,
        properties=VIRTIO + ",mq=on,vectors=10,rss=on"),
    Nic("e1000e-wire", 4, "e1000e", "net_e1000_em", vnet_hdr=False),
    Nic("vmxnet3-wire", 5, "vmxnet3", "net_vmxnet3", kernel="vmxnet3", vnet_hdr=False, reads_page_zero=True),
)}
