"""What the guest boots into: an archive in memory of files of this host and of the guest's kernel, nothing else."""
import glob
import os
import re
import stat
import subprocess

BUSYBOX = "/bin/busybox"
PMD_DIRECTORY = "/usr/lib/*/dpdk/pmds-*"
# Plugins that the EAL loads: these NICs', their bus, and the packet buffers' pools.
PMDS = ("bus_pci", "bus_vdev", "mempool_ring", "net_e1000", "net_virtio", "net_vmxnet3")
# In the order in which they can be loaded, after what they say they depend on.
MODULES = ("irqbypass", "vfio", "vfio_virqfd", "vfio_iommu_type1", "vfio-pci", "vmxnet3", "virtio_pci", "virtio_net")
# dlopen'ed, hence not among what ldd lists: glibc's pthread_exit wants it.
UNLISTED = ("libgcc_s.so.1",)


class InitramfsError(Exception):
    pass


class Archive:
    """cpio's "newc" (Documentation/driver-api/early-userspace/buffer-format.rst). Each path is there once."""

    def __init__(self):
        self.octets = bytearray()
        self.paths = set()

    def add(self, path, mode, data=b"", device=(0, 0)):
        path = path.strip("/")
        if path in self.paths:
            return
        if os.path.dirname(path):
            self.add(os.path.dirname(path), stat.S_IFDIR | 0o755)
        self.paths.add(path)
        self._entry(path, len(self.paths), mode, data, device)

    def _entry(self, path, inode, mode, data, device):
        name = path.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0)
        self.octets += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self._pad()
        self.octets += data
        self._pad()

    def _pad(self):
        self.octets += bytes(-len(self.octets) % 4)

    def finished(self):
        self._entry("TRAILER!!!", 0, 0, b"", (0, 0))
        return bytes(self.octets)

    # ---- from this host ----

    def add_text(self, path, text, mode=0o644):
        self.add(path, stat.S_IFREG | mode, text.encode())

    def add_file(self, path, source):
        with open(source, "rb") as f:
            self.add(path, stat.S_IFREG | (os.stat(source).st_mode & 0o777), f.read())

    def add_as_here(self, path):
        """
        A file of this host at its own path, with every link on the way to it: with a library under two names and in two
        places, the EAL would load it twice.
        """
        at = "/"
        for part in path.strip("/").split("/"):
            at = os.path.join(at, part)
            if os.path.islink(at):
                target = os.readlink(at)
                self.add(at, stat.S_IFLNK | 0o777, target.encode())
                rest = path[len(at):].lstrip("/")
                self.add_as_here(os.path.normpath(os.path.join(os.path.dirname(at), target, rest)))
                return
        self.add_file(path, path)


def libraries(path):
    """The shared libraries a program or library needs, and those that these need."""
    listed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    if "not found" in listed:
        raise InitramfsError(f"{path} lacks libraries:\n{listed}")
    return re.findall(r"(/\S+) \(0x", listed)


def add_pmds(archive):
    directories = glob.glob(PMD_DIRECTORY)
    if len(directories) != 1:
        raise InitramfsError(f"one directory {PMD_DIRECTORY} is needed, there are {len(directories)}")
    for name in PMDS:
        plugin = os.path.join(directories[0], f"librte_{name}.so")
        for path in (plugin, *libraries(plugin)):
            archive.add_as_here(path)


def add_program(archive, path, source, work):
    """Without its debugging information, at `path`; its libraries where they are here."""
    stripped = os.path.join(work, os.path.basename(path))
    subprocess.run(["strip", "-o", stripped, source], check=True)
    archive.add_file(path, stripped)
    needed = libraries(source)
    for library in needed:
        archive.add_as_here(library)
    libc = next(library for library in needed if "/libc.so" in library)
    for name in UNLISTED:
        archive.add_as_here(os.path.join(os.path.dirname(libc), name))


def module_files(tree):
    return {os.path.basename(path)[:-3].replace("-", "_"): path for path in glob.glob(f"{tree}/kernel/**/*.ko", recursive=True)}


def add_modules(archive, tree):
    """/modules lists them in the order of loading."""
    files, order = module_files(tree), []

    def add(name):
        path = files.get(name)
        if not path:
            raise InitramfsError(f"the guest's kernel has no module {name}")
        with open(path, "rb") as f:
            depends = re.search(rb"\0depends=([^\0]*)\0", f.read()).group(1).decode()
        for other in filter(None, depends.split(",")):
            add(other.replace("-", "_"))
        if name not in order:
            order.append(name)
            archive.add_file(f"/lib/modules/{name}.ko", path)

    for module in MODULES:
        add(module.replace("-", "_"))
    archive.add_text("/modules", "".join(name + "\n" for name in order))


def build(harewire, kernel, init, files, work):
    """The archive's octets. `files`: {path in the guest: path here}. `work`: a directory for what is made on the way."""
    if not os.path.exists(BUSYBOX):
        raise InitramfsError(f"no {BUSYBOX}: run scripts/deps test")
    archive = Archive()
    for directory in ("proc", "sys", "dev", "tmp", "run", "root", "var/run"):
        archive.add(directory, stat.S_IFDIR | 0o755)
    archive.add("/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    # As on this host: /bin, /lib and the like are links into /usr.
    for link in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink("/" + link):
            archive.add(link, stat.S_IFLNK | 0o777, os.readlink("/" + link).encode())
    archive.add_file(os.path.realpath("/bin") + "/busybox", BUSYBOX)
    archive.add_file("/init", init)
    add_program(archive, "/usr/bin/harewire", harewire, work)
    add_pmds(archive)
    add_modules(archive, kernel)
    for path, source in files.items():
        archive.add_file(path, source)
    return archive.finished()
