#!/usr/bin/env python3
"""The guest's kernel: kernel.py DIRECTORY

Unpacks Debian's newest linux-image-cloud-amd64 there: `vmlinux`, which QEMU boots through its PVH entry without a boot
loader or a decompressor (under emulation those take longer than the rest of the boot), and `modules/`. With both there it
does nothing, so that only the first call needs the network.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

METAPACKAGE = "linux-image-cloud-amd64"
LZ4_LEGACY = bytes.fromhex("02214c18")


class KernelError(Exception):
    pass


def output(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if done.returncode != 0:
        raise KernelError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def package_name():
    """The package that the metapackage stands for today."""
    fields = output("apt-cache", "show", "--no-all-versions", METAPACKAGE).decode()
    depends = next((line.split()[1] for line in fields.splitlines() if line.startswith("Depends: ")), "")
    if not depends.startswith("linux-image-"):
        raise KernelError(f"{METAPACKAGE} depends on no kernel: Debian 12's package lists are needed")
    return depends


def download(directory):
    """The package's file. The lists at hand may do; they are asked for anew when they do not."""
    try:
        output("apt-get", "download", package_name(), cwd=directory)
    except KernelError:
        output("apt-get", "update", "-o", "DPkg::Lock::Timeout=300")
        output("apt-get", "download", package_name(), cwd=directory)
    return next(entry.path for entry in os.scandir(directory) if entry.name.endswith(".deb"))


def payload(image):
    """What a bzImage unpacks at boot (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length)."""
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (setup_sectors + 1) * 512 + offset
    if image[0x202:0x206] != b"HdrS" or begin + length > len(image):
        raise KernelError("this vmlinuz is no bzImage")
    return image[begin:begin + length]


def unpack(vmlinuz, vmlinux):
    with open(vmlinuz, "rb") as f:
        packed = payload(f.read())
    if packed[:4] != LZ4_LEGACY:
        raise KernelError(f"{vmlinuz} is packed with something other than lz4 (it begins with {packed[:4].hex()})")
    with open(vmlinux, "wb") as f:
        # The last four octets are the unpacked size, and not lz4's.
        unpacking = subprocess.run(["lz4", "-dcq"], input=packed[:-4], stdout=f, stderr=subprocess.PIPE)
    with open(vmlinux, "rb") as f:
        magic = f.read(4)
    if unpacking.returncode != 0 or magic != b"\x7fELF":
        raise KernelError(f"{vmlinuz} does not unpack: {unpacking.stderr.decode(errors='replace').strip()}")


def only_entry(directory, prefix=""):
    return next(entry.path for entry in os.scandir(directory) if entry.name.startswith(prefix))


def fetch(directory):
    """`directory` appears when all is in it, or not at all."""
    if os.path.exists(directory):
        return
    os.makedirs(os.path.dirname(os.path.abspath(directory)), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kernel-", dir=os.path.dirname(os.path.abspath(directory))) as work:
        package = download(work)
        tree, result = os.path.join(work, "tree"), os.path.join(work, "result")
        output("dpkg-deb", "-x", package, tree)
        os.mkdir(result)
        unpack(only_entry(os.path.join(tree, "boot"), "vmlinuz-"), os.path.join(result, "vmlinux"))
        shutil.move(only_entry(os.path.join(tree, "lib", "modules")), os.path.join(result, "modules"))
        with open(os.path.join(result, "package"), "w") as f:
            f.write(os.path.basename(package) + "\n")
        os.rename(result, directory)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        fetch(sys.argv[1])
    except (KernelError, OSError) as e:
        sys.exit(f"tests/nic/kernel.py: {e}")
