"""What a worker needs of its host, looked at without privilege: what is, and why and how it should be otherwise.

Three verdicts: "ok"; "slow", it will run but with a tail of latencies that need not be; "missing", it will not run.
"""
import re
import resource

import hugepages
from devices import VFIO, find, has_iommu, has_module

CPU = "/sys/devices/system/cpu"
DEEP_US = 10  # waking up from an idle state that is slower than this is seen in the tail


def cpu_list(text):
    """"1,4-6" as a set."""
    found = set()
    for part in (text or "").split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match:
            found |= set(range(int(match.group(1)), int(match.group(2) or match.group(1)) + 1))
    return found


def running(system, name):
    return any(system.read(path) == name for path in system.find("/proc/[0-9]*/comm"))


# ---- for the driver dpdk -------------------------------------------------------------------------------------------


def check_hugepages(system, nic):
    free = {}
    for node, size, _, unused in hugepages.totals(system):
        free[node] = free.get(node, 0) + unused * (2 if size == "2M" else 1024)
    wanted = nic.node if nic is not None and nic.node is not None else None
    have = free.get(wanted, 0) if wanted is not None else max(free.values(), default=0)
    where = f"NUMA node {wanted}, the NIC's" if wanted is not None else "any NUMA node"
    if have >= 64:
        return "ok", f"{have} MB free on {where}"
    node = wanted or 0
    return "missing", (f"{have} MB free on {where}, a worker needs 64: packet buffers live there, one TLB entry for 2 MB. "
                       f"'scripts/nic hugepages 64 --node {node}'; for good: vm.nr_hugepages=64 in /etc/sysctl.d")


def check_iommu(system, nic):
    if nic is not None and nic.family.keeps_driver:
        return "ok", f"{nic.driver} needs none"
    if has_iommu(system) and (nic is None or nic.group is not None):
        return "ok", "there are IOMMU groups" if nic is None else f"{nic.pci} is in group {nic.group}"
    return "missing", ("none: VFIO keeps a device to its owner's memory with it. Switch on VT-d or AMD-Vi in the firmware, boot "
                       "with intel_iommu=on (Intel) and iommu=pt; or 'scripts/nic bind --no-iommu'")


def check_vfio(system, nic):
    if nic is not None and nic.family.keeps_driver:
        return "ok", f"{nic.driver} needs no vfio-pci"
    if has_module(system, VFIO):
        return "ok", "vfio-pci is there"
    return "missing", "this kernel has no module vfio-pci: another kernel package has (Debian: linux-image-amd64)"


def check_memlock(system, nic):
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    capabilities = int(re.search(r"^CapEff:\s*([0-9a-f]+)", system.read("/proc/self/status", ""), re.MULTILINE).group(1), 16)
    if soft == resource.RLIM_INFINITY or capabilities & 1 << 14:
        return "ok", "no limit" if soft == resource.RLIM_INFINITY else "CAP_IPC_LOCK"
    return "slow", (f"{soft // 1024} kB, without CAP_IPC_LOCK: VFIO pins what the NIC may reach, AF_XDP its packet buffers. "
                    "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited")


# ---- for the worker's core -----------------------------------------------------------------------------------------


def check_exists(system, cpu):
    if cpu in cpu_list(system.read(CPU + "/online")):
        return "ok", f"CPU {cpu} is online"
    return "missing", f"CPU {cpu} is not online; online: {system.read(CPU + '/online')}"


def parameter(system, name):
    match = re.search(rf"(?:^|\s){name}=(\S+)", system.read("/proc/cmdline", ""))
    return match.group(1) if match else None


def check_isolated(system, cpu):
    if cpu in cpu_list(system.read(CPU + "/isolated")):
        return "ok", "the scheduler leaves it alone"
    return "slow", (f"the scheduler puts other threads on it, each for a millisecond and more. isolcpus=managed_irq,domain,{cpu} "
                    "on the kernel's command line")


def check_tick(system, cpu):
    if cpu in cpu_list(system.read(CPU + "/nohz_full")):
        return "ok", "without the scheduler's tick while one thread runs"
    return "slow", f"interrupted 100 to 1000 times a second by the tick. nohz_full={cpu}, which implies rcu_nocbs={cpu}"


def check_rcu(system, cpu):
    covered = cpu_list(parameter(system, "rcu_nocbs")) | cpu_list(system.read(CPU + "/nohz_full"))
    if cpu in covered or parameter(system, "rcu_nocbs") == "all":
        return "ok", "RCU's callbacks run elsewhere"
    return "slow", f"RCU's callbacks run on it as softirqs. rcu_nocbs={cpu}"


def check_sibling(system, cpu):
    siblings = cpu_list(system.read(f"{CPU}/cpu{cpu}/topology/thread_siblings_list")) - {cpu}
    busy = siblings - cpu_list(system.read(CPU + "/isolated"))
    if not busy:
        return "ok", "no other thread shares its core" if not siblings else "its sibling is isolated too"
    other = ", ".join(map(str, sorted(busy)))
    return "slow", (f"CPU {other} is the same core and not isolated: what runs there takes half of the worker's. Isolate it and "
                    f"leave it idle ('echo 0 >{CPU}/cpu{sorted(busy)[0]}/online')")


def check_governor(system, cpu):
    governor = system.read(f"{CPU}/cpu{cpu}/cpufreq/scaling_governor")
    if governor in (None, "performance"):
        return "ok", governor or "the kernel does not change its frequency"
    return "slow", (f"'{governor}' starts at a low frequency after each pause. 'cpupower -c {cpu} frequency-set -g performance', or "
                    "cpufreq.default_governor=performance")


def check_idle_states(system, cpu):
    deep = []
    for path in system.find(f"{CPU}/cpu{cpu}/cpuidle/state[0-9]*"):
        latency = int(system.read(path + "/latency", "0"))
        if latency > DEEP_US and system.read(path + "/disable") != "1":
            deep.append(f"{system.read(path + '/name', '?')} ({latency} us)")
    if not deep:
        return "ok", f"none that takes more than {DEEP_US} us to leave"
    return "slow", (f"{', '.join(deep)}: with --idle backoff each wake-up pays that; with spin the siblings and the uncore do. "
                    f"'cpupower -c {cpu} idle-set -D {DEEP_US}', or intel_idle.max_cstate=1 processor.max_cstate=1")


def check_interrupts(system, cpu):
    """Of devices that have a handler: numbers without one never fire."""
    mine = [irq for irq in sorted(filter(str.isdigit, system.names("/proc/irq")), key=int)
            if cpu in cpu_list(system.read(f"/proc/irq/{irq}/effective_affinity_list"))
            and system.read(f"/sys/kernel/irq/{irq}/actions")]
    if not mine:
        return "ok", "no device interrupts it"
    return "slow", (f"devices interrupt it (IRQ {', '.join(mine[:6])}{' and more' if len(mine) > 6 else ''}): write other CPUs "
                    "into /proc/irq/N/smp_affinity_list; irqaffinity= on the kernel's command line for those to come")


def check_near(system, cpu, nic):
    if nic.node is None or system.exists(f"{CPU}/cpu{cpu}/node{nic.node}"):
        return "ok", f"CPU {cpu} and {nic.pci} are on the same node"
    near = system.read(f"{nic.path}/local_cpulist", "?")
    return "slow", f"CPU {cpu} is on another node than {nic.pci}: each descriptor crosses the socket. Near it: {near}"


# ---- for the host --------------------------------------------------------------------------------------------------


def check_irqbalance(system):
    if not running(system, "irqbalance"):
        return "ok", "does not run"
    return "slow", ("runs, and moves interrupts about; it leaves isolated CPUs alone, and no others. IRQBALANCE_BANNED_CPULIST in "
                    "/etc/default/irqbalance, or 'systemctl disable --now irqbalance'")


def check_clock(system):
    source = system.read("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source in ("tsc", "arch_sys_counter"):
        return "ok", source
    return "slow", (f"'{source}': the kernel does not trust the TSC, so reading the time costs up to a microsecond. 'dmesg | grep -i "
                    "tsc' says why; tsc=reliable if you know better")


def check_kernel(system):
    if system.kernel() >= (5, 18):
        return "ok", "%d.%d" % system.kernel()
    return "missing", "%d.%d: af_xdp wants 5.18; dpdk and kernel do not care" % system.kernel()


def rows(system, cpu=None, device=None):
    """(subject, verdict, text)"""
    nic = find(system, device) if device else None
    found = [("kernel", *check_kernel(system)), ("hugepages", *check_hugepages(system, nic)), ("IOMMU", *check_iommu(system, nic)),
             ("vfio-pci", *check_vfio(system, nic)), ("locked memory", *check_memlock(system, nic)),
             ("irqbalance", *check_irqbalance(system)), ("clock", *check_clock(system))]
    if cpu is None:
        return found
    found.append((f"CPU {cpu}", *check_exists(system, cpu)))
    if found[-1][1] != "ok":
        return found
    for subject, check in (("isolation", check_isolated), ("tick", check_tick), ("RCU", check_rcu), ("sibling", check_sibling),
                           ("governor", check_governor), ("idle states", check_idle_states), ("interrupts", check_interrupts)):
        found.append((subject, *check(system, cpu)))
    if nic is not None:
        found.append(("NUMA", *check_near(system, cpu, nic)))
    return found
