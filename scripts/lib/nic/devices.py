"""The host's network devices on PCI: what they are, who has them, and what could have them."""
import re
from dataclasses import dataclass

from system import Problem


@dataclass(frozen=True)
class Family:
    """What a kernel driver's NICs can do. zero_copy: the first kernel whose AF_XDP copies nothing, None: none does."""
    name: str
    zero_copy: tuple = None
    native_xdp: bool = True
    keeps_driver: bool = False  # DPDK works beside the kernel's driver: there is nothing to bind


# Zero-copy by the kernel's history; what has native XDP without it copies each packet once.
FAMILIES = {
    "ice": Family("Intel E810", (5, 5)),
    "i40e": Family("Intel X710, XL710", (4, 20)),
    "ixgbe": Family("Intel 82599, X520, X540, X550", (4, 20)),
    "igb": Family("Intel I210, I350", (6, 14)),
    "igc": Family("Intel I225, I226", (5, 14)),
    "iavf": Family("Intel virtual function", native_xdp=False),
    "e1000e": Family("Intel 82574, I217, I219", native_xdp=False),
    "e1000": Family("Intel 8254x", native_xdp=False),
    "mlx5_core": Family("NVIDIA ConnectX-4 and newer", (5, 3), keeps_driver=True),
    "mlx4_core": Family("NVIDIA ConnectX-3", keeps_driver=True),
    "virtio-pci": Family("virtio", (6, 11)),
    "vmxnet3": Family("VMware vmxnet3"),
    "ena": Family("Amazon ENA"),
    "bnxt_en": Family("Broadcom NetXtreme-E"),
}
UNKNOWN = Family("unknown to this script", native_xdp=False)
VFIO, UIO = "vfio-pci", "uio_pci_generic"
PCI = "/sys/bus/pci/devices"
NOT_THE_KERNELS = (None, VFIO, UIO)


class Nic:
    def __init__(self, system, pci):
        self.system, self.pci, self.path = system, pci, f"{PCI}/{pci}"

    def attribute(self, name, default=None):
        return self.system.read(f"{self.path}/{name}", default)

    @property
    def driver(self):
        return self.system.link(self.path + "/driver")

    @property
    def former_driver(self):
        """Of the kernel's, also while the device is bound for DPDK."""
        return (self.system.saved(self.pci) or {}).get("driver") if self.driver in NOT_THE_KERNELS else self.driver

    @property
    def family(self):
        return FAMILIES.get(self.former_driver, UNKNOWN)

    @property
    def interfaces(self):
        """Virtio's network device is a child of the PCI device's child. A NIC of two ports on one function has two."""
        found = self.system.names(self.path + "/net")
        for path in self.system.find(self.path + "/virtio*/net"):
            found += self.system.names(path)
        return found

    @property
    def group(self):
        return self.system.link(self.path + "/iommu_group")

    @property
    def node(self):
        """None on a host with one NUMA node that does not say so."""
        node = int(self.attribute("numa_node", "-1"))
        return node if node >= 0 else None

    @property
    def is_bridge(self):
        return self.attribute("class", "").startswith("0x0604")

    @property
    def virtual_functions(self):
        return int(self.attribute("sriov_numvfs", "0"))

    def group_members(self):
        if self.group is None:
            return [self]
        return [Nic(self.system, pci) for pci in self.system.names(f"/sys/kernel/iommu_groups/{self.group}/devices")]

    def link(self):
        """'up, 10000 Mbit/s' of the first interface; 'unknown' while the kernel has none."""
        if not self.interfaces:
            return "unknown"
        directory = "/sys/class/net/" + self.interfaces[0]
        if self.system.read(directory + "/carrier") != "1":
            return "down"
        speed = self.system.read(directory + "/speed", "-1")
        return f"up, {speed} Mbit/s" if re.fullmatch(r"[1-9]\d*", speed) else "up"


def nics(system):
    """Every PCI function of class network."""
    found = [Nic(system, pci) for pci in system.names(PCI)]
    return [nic for nic in found if nic.attribute("class", "").startswith("0x02")]


def find(system, pci):
    """By address, the domain may be left out, or by the name of an interface."""
    if re.fullmatch(r"[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]", pci):
        pci = "0000:" + pci
    for nic in nics(system):
        if pci.lower() == nic.pci or pci in nic.interfaces:
            return nic
    if system.exists(f"{PCI}/{pci.lower()}"):
        raise Problem(f"{pci} is no network device; 'scripts/nic status' lists those that are")
    if system.exists(f"/sys/class/net/{pci}"):
        raise Problem(f"the interface {pci} belongs to no PCI device, so there is nothing to bind")
    raise Problem(f"there is neither a PCI device nor an interface {pci}; 'scripts/nic status' lists what there is")


def has_iommu(system):
    return bool(system.names("/sys/kernel/iommu_groups"))


def has_module(system, name):
    """Loaded, built in, or to be had from modprobe. Names have - and _ alike."""
    stem = name.replace("-", "_")
    if system.exists("/sys/module/" + stem):
        return True
    release = system.read("/proc/sys/kernel/osrelease", "")
    listed = (system.read(f"/lib/modules/{release}/modules.dep", "") + "\n"
              + system.read(f"/lib/modules/{release}/modules.builtin", ""))
    return bool(re.search(rf"/{stem.replace('_', '[-_]')}\.ko\b", listed))


def dpdk_verdict(nic):
    """Whether DPDK can have the device, and what is missing for that."""
    if nic.family.keeps_driver:
        return "yes, beside the kernel's driver"
    if nic.driver in (VFIO, UIO):
        return "yes, bound" if nic.driver == VFIO else "yes, bound, no IOMMU"
    missing = []
    if nic.group is None:
        missing.append("IOMMU")
    if not has_module(nic.system, VFIO):
        missing.append("vfio-pci")
    return "missing: " + ", ".join(missing) if missing else "after bind"


def af_xdp_verdict(nic):
    kernel = nic.system.kernel()
    if nic.driver in NOT_THE_KERNELS:
        return "not while the kernel does not have it"
    if kernel < (5, 18):
        return "needs Linux 5.18"
    if nic.family.zero_copy and kernel >= nic.family.zero_copy:
        return "zero-copy"
    if nic.family.zero_copy:
        return "copy; zero-copy from Linux %d.%d on" % nic.family.zero_copy
    return "copy" if nic.family.native_xdp else "copy, without native XDP: slow"
