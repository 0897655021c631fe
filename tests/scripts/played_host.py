"""A host that is not there, for the tests of scripts/nic: a sysfs in a temporary directory whose kernel is played.

Reads are real. Every write and command is kept in `done`, in order, and has the effect on the tree that the kernel's would.
"""
import os
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib", "nic"))

from system import Problem, System  # noqa: E402

PCI = "/sys/bus/pci/devices/"


class PlayedHost(System):
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="harewire-host-")
        super().__init__(self.directory.name)
        self.done, self.state_seen = [], []
        self.native, self.names_of, self.renamed, self.refusing = {}, {}, {}, set()
        self.addresses, self.routes, self.variables = [], {"-4": [], "-6": []}, {}
        self.root_user, self.release, self.can_no_iommu = True, (6, 1), True
        self.put("/sys/bus/pci/drivers_probe", "")
        self.put("/proc/sys/kernel/osrelease", "6.1.0-test")
        self.put("/lib/modules/6.1.0-test/modules.dep", "kernel/drivers/vfio/pci/vfio-pci.ko: x.ko\nkernel/drivers/uio/uio_pci_generic.ko: uio.ko")

    # ---- building it ----

    def put(self, path, text):
        full = self.path(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text + "\n")

    def point(self, path, target):
        full = self.path(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if os.path.islink(full):
            os.unlink(full)
        os.symlink(target, full)

    def add_device(self, pci, driver=None, group=None, kind="0x020000", node=0, functions=0):
        for name, text in (("class", kind), ("numa_node", str(node)), ("driver_override", "(null)"),
                           ("sriov_numvfs", str(functions)), ("local_cpulist", "0-3")):
            self.put(f"{PCI}{pci}/{name}", text)
        self.native[pci] = driver
        self.attach(pci, driver)
        if group is not None:
            self.point(f"{PCI}{pci}/iommu_group", f"../../../kernel/iommu_groups/{group}")
            self.put(f"/sys/kernel/iommu_groups/{group}/devices/{pci}", "")

    def add_nic(self, pci, interface, driver="ice", group="12", address="10.1.2.3/24", **more):
        self.names_of[pci] = interface
        self.add_device(pci, driver, group, **more)
        host, _, prefix = address.partition("/")
        self.addresses.append({"ifname": interface, "flags": ["BROADCAST", "UP", "LOWER_UP"], "mtu": 9000, "addr_info": [
            {"family": "inet6" if ":" in host else "inet", "local": host, "prefixlen": int(prefix), "scope": "global"},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"}]})

    def attach(self, pci, driver):
        link = self.path(f"{PCI}{pci}/driver")
        if os.path.islink(link):
            os.unlink(link)
        if driver is None:
            return
        os.makedirs(self.path(f"/sys/bus/pci/drivers/{driver}"), exist_ok=True)
        for name in ("bind", "unbind"):
            self.put(f"/sys/bus/pci/drivers/{driver}/{name}", "")
        os.symlink(f"../../drivers/{driver}", link)
        interface = self.names_of.get(pci)
        if interface and driver not in ("vfio-pci", "uio_pci_generic"):
            name = self.renamed.get(interface, interface)
            self.put(f"{PCI}{pci}/net/{name}/mtu", "1500")
            self.put(f"/sys/class/net/{name}/carrier", "1")
            self.put(f"/sys/class/net/{name}/speed", "10000")

    def detach(self, pci):
        os.unlink(self.path(f"{PCI}{pci}/driver"))
        net = self.path(f"{PCI}{pci}/net")
        if os.path.isdir(net):
            for name in os.listdir(net):
                os.unlink(os.path.join(net, name, "mtu"))
                os.rmdir(os.path.join(net, name))

    # ---- what the kernel does ----

    def write(self, path, text):
        self.done.append(("write", path, text))
        self.state_seen.append(bool(self.saved_names()))
        if path in self.refusing:
            raise Problem(f"cannot write '{text.strip()}' to {path}: refused")
        super().write(path, text)
        if path.endswith("/driver/unbind"):
            self.detach(path.split("/")[5])
        elif path == "/sys/bus/pci/drivers_probe":
            override = self.read(f"{PCI}{text}/driver_override")
            driver = override if override not in ("", "(null)") else self.native[text]
            if driver not in self.refusing:
                self.attach(text, driver)

    def run(self, *command):
        self.done.append(("run", *command))
        if command == ("modprobe", "vfio-pci"):
            self.put("/sys/module/vfio_pci/refcnt", "0")
            if self.can_no_iommu:
                self.put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N")
        return ""

    def ip(self, *arguments):
        if arguments[:2] == ("address", "show"):
            return [a for a in self.addresses if arguments[2:] in ((), ("dev", a["ifname"]))]
        version, _, _, scope, name = arguments
        return [r for r in self.routes[version] if scope == "table" or r.get("dev") == name]

    def variable(self, name):
        return self.variables.get(name)

    def is_root(self):
        return self.root_user

    def kernel(self):
        return self.release

    # ---- what tests ask ----

    def writes(self):
        """(last parts of the path, text)"""
        return [("/".join(entry[1].split("/")[-2:]), entry[2]) for entry in self.done if entry[0] == "write"]

    def commands(self):
        return [" ".join(entry[1:]) for entry in self.done if entry[0] == "run"]

    def add_ssh_session(self, local, port, inode="4711", name="tcp", state="01"):
        """`local`: as /proc/net/tcp has it."""
        self.put("/proc/net/" + name, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
                 f"   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
                 f"   1: {local}:{port:04X} 0100000A:C001 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1")

    def add_process(self, pid, name, **descriptors):
        self.put(f"/proc/{pid}/comm", name)
        for fd, target in descriptors.items():
            self.point(f"/proc/{pid}/fd/{fd[2:]}", target)
