"""What each driver needs of a process that is not root: what docs/deployment.md says, tried."""
import os
import shutil
import subprocess

from harness import ALL_DRIVERS, DPDK, Result, case, equal, holds, repository

NOBODY = "65534"
NEEDED = {"af_xdp": ("bpf", "net_admin", "net_raw", "ipc_lock"), "kernel": (), "net_tap": ("net_admin",),
          "net_af_packet": ("net_admin", "net_raw")}


def publish(t, capabilities, *arguments):
    """Runs as nobody, with these capabilities and no way to more."""
    os.chmod(t.directory, 0o755)
    program = shutil.copy(t.harewire, t.path("harewire"))  # where nobody may read it
    chosen = ",".join(["-all"] + ["+" + name for name in capabilities])
    port, prefix = (t.port.arguments(), t.port.prefix()) if t.port else ((), [])
    command = [*prefix, "setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--inh-caps", chosen, "--ambient-caps",
               chosen, "--no-new-privs", program, "publish", *(port or ("--interface", t.lab.interface)), "--driver", t.driver,
               "--queue", t.queue, "--auto-delete", "--count", "100", "--connect-timeout", "10", *arguments, "--json"]
    done = subprocess.run(command, env=t.environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    return Result(command, done.returncode, done.stdout, done.stderr)


@case(drivers=ALL_DRIVERS)
def runs_as_nobody_with_its_capabilities_alone(t):
    needed = NEEDED[t.device or t.driver]
    result = publish(t, needed)
    t.all_confirmed(result, 100)
    equal(result["driver"]["name"], t.driver, "driver")
    for left_out in needed:
        result = publish(t, [name for name in needed if name != left_out])
        equal((result.status, result["accepted"]), (1, 0), f"{result.text()}exit status and messages without {left_out}")
        holds("ermission" in result.err or "ermitted" in result.err or "CAP_" in result.err or left_out == "net_admin",
              f"{result.err}what is missing without {left_out}")


@case(drivers=DPDK)
def hugepages_need_no_privilege_once_they_are_reserved(t):
    subprocess.run([repository("scripts/nic"), "hugepages", "64"], check=True, stdout=subprocess.DEVNULL)
    try:
        result = publish(t, NEEDED[t.device], "--eal=")
        t.all_confirmed(result, 100)
    finally:
        subprocess.run([repository("scripts/nic"), "hugepages", "undo"], check=True, stdout=subprocess.DEVNULL)
