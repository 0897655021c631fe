"""What the run took place on: hardware, kernel, versions, settings. Whatever cannot be had is left out."""
import glob
import json
import os
import platform
import re
import shlex
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def output(*command, timeout=30):
    """Standard output, or None: no such program, or it failed."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=timeout)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read().strip()
    except OSError:
        return None


def cpu_model():
    match = re.search(r"^model name\s*:\s*(.*)$", read("/proc/cpuinfo") or "", re.MULTILINE)
    return match.group(1) if match else platform.machine()


def host(cpu):
    """CPU, kernel, and what of the command line and the worker's CPU has to do with latency."""
    system = "/sys/devices/system/"
    found = {
        "cpu": cpu_model(), "cpus": os.cpu_count(), "online": read(system + "cpu/online"),
        "numa_nodes": len(glob.glob(system + "node/node[0-9]*")),
        "kernel": platform.release(),
        "distribution": (platform.freedesktop_os_release() if os.path.exists("/etc/os-release") else {}).get("PRETTY_NAME"),
        "virtual": bool(re.search(r"^flags\s*:.*\bhypervisor\b", read("/proc/cpuinfo") or "", re.MULTILINE)),
        "isolated": read(system + "cpu/isolated"), "nohz_full": read(system + "cpu/nohz_full"),
        "command_line": " ".join(word for word in (read("/proc/cmdline") or "").split()
                                 if re.match(r"(isolcpus|nohz|rcu_|irqaffinity|intel_|amd_|iommu|processor\.|idle=|mitigations|"
                                             r"hugepages|hugepagesz|default_hugepagesz|tsc|clocksource|pcie_|nosmt|skew_tick)", word)),
        "clock": read(system + "clocksource/clocksource0/current_clocksource"),
        "turbo_off": read(system + "cpu/intel_pstate/no_turbo"),
        "mitigations": {os.path.basename(p): read(p) for p in sorted(glob.glob(system + "cpu/vulnerabilities/*"))
                        if "Vulnerable" not in (read(p) or "") and "Not affected" not in (read(p) or "")},
    }
    if cpu is not None:
        directory = f"{system}cpu/cpu{cpu}/"
        found["worker_cpu"] = {
            "number": cpu, "governor": read(directory + "cpufreq/scaling_governor"),
            "siblings": read(directory + "topology/thread_siblings_list"),
            "idle_states": [f"{read(p + '/name')} {read(p + '/latency')} us" + (", off" if read(p + "/disable") == "1" else "")
                            for p in sorted(glob.glob(directory + "cpuidle/state[0-9]*"))]}
    return found


def checks(cpu, device):
    """scripts/nic check, line by line: it knows what matters."""
    command = [ROOT + "/scripts/nic", "check", *(["--cpu", str(cpu)] if cpu is not None else []),
               *(["--device", device] if device else [])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [line for line in done.stdout.splitlines() if re.match(r"(ok|slow|missing) ", line)] or [done.stdout.strip()]


def pci_device(device):
    """What the bus says of a PCI device: ids, link width and speed, NUMA node, IOMMU."""
    directory = f"/sys/bus/pci/devices/{device}/"
    if not os.path.isdir(directory):
        return None
    names = ("vendor", "device", "subsystem_vendor", "subsystem_device", "revision", "numa_node", "current_link_speed",
             "current_link_width", "max_link_speed", "max_link_width")
    found = {name: read(directory + name) for name in names}
    found["description"] = (output("lspci", "-s", device) or "").partition(" ")[2] or None
    found["iommu_group"] = os.path.basename(os.path.realpath(directory + "iommu_group")) \
        if os.path.exists(directory + "iommu_group") else None
    return {k: v for k, v in found.items() if v is not None}


def probe(program, prefix, device, eal):
    """What the device's DPDK driver says it can do; {"error": ...} where it cannot be asked."""
    if not os.path.exists(program):
        return {"error": "built without DPDK"}
    command = [*prefix, program, device, *shlex.split(eal)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=90)
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"error": "no answer within 90 s"}
    except ValueError:
        return {"error": " ".join(done.stderr.split()[-40:]) or f"exit {done.returncode}"}


def interface(name, prefix=()):
    """What ethtool says of an interface the kernel has."""
    found = {}
    for key, option in (("driver", "-i"), ("settings", ""), ("offloads", "-k"), ("queues", "-l"), ("rings", "-g"),
                        ("coalescing", "-c"), ("rss", "-x")):
        text = output(*prefix, "ethtool", *([option] if option else []), name)
        if text:
            lines = [line.strip() for line in text.splitlines()]
            found[key] = [line for line in lines if ":" in line and not line.endswith("[fixed]")]
    return found


def interface_counters(name, prefix=()):
    """Counters of the interface and its driver, by name."""
    found = {}
    for line in (output(*prefix, "ethtool", "-S", name) or "").splitlines():
        match = re.fullmatch(r"\s*(\S.*?):\s*(\d+)", line)
        if match:
            found[match.group(1)] = int(match.group(2))
    for path in glob.glob(f"/sys/class/net/{name}/statistics/*"):
        found[os.path.basename(path)] = int(read(path) or 0)
    return found


def interruptions(cpu):
    """What has interrupted a CPU so far: name -> count, from /proc/interrupts."""
    lines = (read("/proc/interrupts") or "").splitlines()
    columns = lines[0].split() if lines else []
    if f"CPU{cpu}" not in columns:
        return {}
    at, found = columns.index(f"CPU{cpu}"), {}
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > len(columns) and fields[at + 1].isdigit():
            found[" ".join([fields[0].rstrip(":")] + fields[len(columns) + 1:])] = int(fields[at + 1])
    return found


def grown(before, after):
    return {name: after[name] - before.get(name, 0) for name in sorted(after) if after[name] != before.get(name, 0)}
