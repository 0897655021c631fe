"""Why a NIC must not be taken from the kernel: somebody, perhaps the caller, comes through it."""
import re
import socket

from devices import NOT_THE_KERNELS
from system import Problem

DEFAULT_ROUTES = ("default", "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")  # halves: as VPNs install them


def uppers(system, interface):
    """The interface and what is stacked on it: VLANs, bonds, bridges, macvlans, and what is on those."""
    seen, unseen = [], [interface]
    while unseen:
        name = unseen.pop()
        if name not in seen:
            seen.append(name)
            unseen += [link[len("upper_"):] for link in system.names("/sys/class/net/" + name) if link.startswith("upper_")]
    return seen


def carries_default_route(system):
    """Interfaces of IPv4's and IPv6's default routes, in any table and of every next hop."""
    found = {}
    for version in ("-4", "-6"):
        for route in system.ip(version, "route", "show", "table", "all"):
            if route.get("dst") in DEFAULT_ROUTES and route.get("type", "unicast") == "unicast":
                for hop in [route] + route.get("nexthops", []):
                    if "dev" in hop:
                        found[hop["dev"]] = f"IPv{version[1]} default route"
    return found


def sshd_sockets(system):
    """Inodes of the sockets of every process of an ssh server, whatever its port is."""
    inodes = set()
    for path in system.find("/proc/[0-9]*/comm"):
        if (system.read(path) or "").startswith("sshd"):
            for fd in system.find(path[:-len("comm")] + "fd/*"):
                match = re.fullmatch(r"socket:\[(\d+)\]", system.link(fd) or "")
                if match:
                    inodes.add(match.group(1))
    return inodes


def address_of(octets):
    """As /proc/net/tcp writes it: words in the host's (little-endian) order."""
    raw = b"".join(bytes.fromhex(octets[i:i + 8])[::-1] for i in range(0, len(octets), 8))
    if len(raw) == 16 and raw[:12] == b"\0" * 10 + b"\xff\xff":
        raw = raw[12:]
    return raw


def ssh_addresses(system):
    """Local addresses (octets) of ssh sessions that are established: the caller's and everybody else's."""
    inodes, found = sshd_sockets(system), set()
    for name in ("tcp", "tcp6"):
        for line in (system.read("/proc/net/" + name) or "").splitlines()[1:]:
            fields = line.split()
            local, port = fields[1].split(":")
            if fields[3] == "01" and (int(port, 16) == 22 or fields[9] in inodes):
                found.add(address_of(local))
    ours = (system.variable("SSH_CONNECTION") or "").split()
    if len(ours) == 4:
        found.add(socket.inet_pton(socket.AF_INET6 if ":" in ours[2] else socket.AF_INET, ours[2].partition("%")[0]))
    return found


def carries_ssh(system):
    used, found = ssh_addresses(system), {}
    for interface in system.ip("address", "show"):
        for address in interface.get("addr_info", []):
            family = socket.AF_INET6 if address["family"] == "inet6" else socket.AF_INET
            if socket.inet_pton(family, address["local"]) in used:
                found[interface["ifname"]] = f"address {address['local']} of an ssh session"
    return found


def check_interfaces(system, nic):
    busy = {**carries_default_route(system), **carries_ssh(system)}
    for interface in nic.interfaces:
        master = system.link(f"/sys/class/net/{interface}/master")
        if master:
            raise Problem(f"{nic.pci} ({interface}) is a member of {master}: take it out first ('ip link set {interface} "
                          "nomaster')")
        for name in uppers(system, interface):
            if name in busy:
                on_top = "" if name == interface else f" by way of {name}, which is on top of it"
                raise Problem(f"{nic.pci} ({interface}) has the {busy[name]}{on_top}: without it this host may be out of "
                              "reach; it is not taken")


def check_group(nic, wanted):
    """VFIO hands out whole IOMMU groups: every device of it must be vfio-pci's, nobody's, or a bridge."""
    for member in nic.group_members():
        if member.pci not in wanted and not member.is_bridge and member.driver not in NOT_THE_KERNELS:
            raise Problem(f"{nic.pci} is in IOMMU group {nic.group} together with {member.pci}, which the kernel's driver "
                          f"{member.driver} has: VFIO only gives out whole groups. Name both, or move the card to another "
                          "slot")


def check_functions(nic):
    if nic.virtual_functions:
        raise Problem(f"{nic.pci} has {nic.virtual_functions} virtual functions, which would go with it: bind one of them, or "
                      f"remove them ('echo 0 >{nic.path}/sriov_numvfs')")


def check_iommu(nic, no_iommu):
    if nic.group is None and not no_iommu:
        raise Problem(f"{nic.pci} is behind no IOMMU: switch it on in the firmware (VT-d, AMD-Vi) and boot with intel_iommu=on "
                      "iommu=pt; or --no-iommu, with which the device may write anywhere in memory")


def holders(system, device):
    """(pid, name) of processes that have this file of /dev open."""
    found = []
    for path in system.find("/proc/[0-9]*/fd"):
        if device in (system.target(f"{path}/{fd}") for fd in system.names(path)):
            pid = path.split("/")[2]
            found.append((pid, system.read(f"/proc/{pid}/comm", "?")))
    return found


def check_free(nic):
    """Unbinding a device that vfio-pci has given out waits, in the kernel and for ever, until it is closed."""
    files = ["/dev/" + name for name in nic.system.names(nic.path + "/uio")]
    if nic.group:
        files += [f"/dev/vfio/{nic.group}", f"/dev/vfio/noiommu-{nic.group}"]
    for file in files:
        for pid, comm in holders(nic.system, file):
            raise Problem(f"{nic.pci} is in use by process {pid} ({comm}): end that first")
