"""Hugepages, by NUMA node, and back."""
from system import Problem

STATE = "hugepages"
SIZES = {"2M": "hugepages-2048kB", "1G": "hugepages-1048576kB"}


def directory(node, size):
    return f"/sys/devices/system/node/node{node}/hugepages/{SIZES[size]}"


def nodes(system):
    return sorted(int(path.rpartition("node")[2]) for path in system.find("/sys/devices/system/node/node[0-9]*"))


def totals(system):
    """(node, size, pages, of them free) where there are any."""
    found = []
    for node in nodes(system):
        for size in SIZES:
            pages = int(system.read(directory(node, size) + "/nr_hugepages", "0"))
            if pages:
                found.append((node, size, pages, int(system.read(directory(node, size) + "/free_hugepages", "0"))))
    return found


def reserve(system, count, node, size):
    if node not in nodes(system):
        raise Problem(f"this host has no NUMA node {node}; it has: {', '.join(map(str, nodes(system)))}")
    path = directory(node, size) + "/nr_hugepages"
    before = system.read(path)
    if before is None:
        raise Problem(f"this host has no hugepages of {size}B (the flag {'pdpe1gb' if size == '1G' else 'pse'} in /proc/cpuinfo)")
    # The first figure is what undoing goes back to, however often it is changed after that.
    saved = system.saved(STATE)
    system.save(STATE, {path: before, **(saved or {})})
    system.write(path, str(count))
    got = int(system.read(path))
    if got < count:
        system.write(path, before)
        if saved is None:
            system.forget(STATE)
        else:
            system.save(STATE, saved)
        raise Problem(f"only {got} of {count} hugepages of {size}B are to be had on node {node}: memory is in pieces. It is as "
                      "before. Reserve them at boot instead: "
                      + ("default_hugepagesz=1G hugepagesz=1G hugepages=N" if size == "1G" else "hugepages=N")
                      + " on the kernel's command line")
    return [f"node {node}: {got} hugepages of {size}B (was {before}); until the next boot, or 'scripts/nic hugepages undo'"]


def undo(system):
    saved = system.saved(STATE)
    if saved is None:
        raise Problem("no hugepages were reserved by this script")
    said = []
    for path, before in saved.items():
        system.write(path, before)
        now = system.read(path)
        said.append(f"{path}: {now}" + ("" if now == before else f", not {before}: the others are in use"))
    system.forget(STATE)
    return said
