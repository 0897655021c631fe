"""A QEMU guest: booted, asked through a serial line, its NICs' cables pulled; and ended, whatever state it is in."""
import json
import os
import signal
import socket
import subprocess
import time

BOOT_LIMIT_S = 90
REQUEST_LIMIT_S = 30
POLL_S = 0.2
GUEST_MB = 672  # 256 of it hugepages; eight publishers with logs of 16 MB take the most of the rest
# no_timer_check: on a busy host ticks come so late that the guest's kernel takes its timer for broken, and panics.
COMMAND_LINE = ("console=ttyS0 panic=-1 quiet intel_iommu=on iommu=pt tsc=reliable no_timer_check "
                "harewire.limit={limit}")


class GuestError(Exception):
    """The guest does not start, or does not answer: nothing more can be had of it."""


class Line:
    """The other end of one of QEMU's character devices: we listen, QEMU connects when it starts."""

    def __init__(self, path, guest):
        self.path, self.guest = path, guest
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.socket, self.received = None, b""

    def accept(self, deadline):
        self.listener.settimeout(POLL_S)
        while not self.socket:
            try:
                self.socket = self.listener.accept()[0]
            except socket.timeout:
                if self.guest.process.poll() is not None or time.monotonic() > deadline:
                    raise GuestError("QEMU does not start" + self.guest.told()) from None

    def send(self, octets):
        try:
            self.socket.sendall(octets)
        except OSError:
            raise GuestError("the guest has ended" + self.guest.told()) from None

    def _more(self, deadline):
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            octets = self.socket.recv(65536)
        except socket.timeout:
            raise GuestError("the guest does not answer" + self.guest.told()) from None
        except OSError:
            octets = b""
        if not octets:
            raise GuestError("the guest has ended" + self.guest.told())
        self.received += octets

    def line(self, deadline):
        while b"\n" not in self.received:
            self._more(deadline)
        line, _, self.received = self.received.partition(b"\n")
        return line

    def octets(self, count, deadline):
        while len(self.received) < count:
            self._more(deadline)
        octets, self.received = self.received[:count], self.received[count:]
        return octets

    def close(self):
        self.listener.close()
        if self.socket:
            self.socket.close()


class Guest:
    """A context: booted and ready within it. `inside`: turns a command line into one for the namespace of the taps."""

    def __init__(self, vmlinux, initramfs, nics, directory, inside, limit_s, cpus=2):
        self.directory, self.limit_s = directory, limit_s
        self.console = os.path.join(directory, "console.log")
        self.process = None
        self.lines = []
        self.lost = False       # it has not answered once, so what comes next is no answer to what is asked next
        self.killed_on = set()  # NICs whose process was killed, until the next has started
        memory = GUEST_MB + (os.path.getsize(initramfs) * 2 >> 20)
        self.command = [
            # If this script dies without a chance to clean up, so does QEMU.
            "setpriv", "--pdeathsig", "KILL", *inside(
                "qemu-system-x86_64", "-M", "q35,hpet=off,smbus=off,sata=off,usb=off", "-accel", "tcg,thread=multi", "-cpu", "max",
                "-smp", str(cpus), "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-kernel", vmlinux, "-initrd", initramfs, "-append", COMMAND_LINE.format(limit=limit_s),
                "-chardev", f"file,id=console,path={self.console}", "-serial", "chardev:console",
                "-chardev", f"socket,id=agent,path={self._path('agent')}", "-serial", "chardev:agent",
                "-chardev", f"socket,id=monitor,path={self._path('monitor')}", "-mon", "chardev=monitor,mode=control",
                # In front of the NICs: it sees only what comes after it.
                "-device", "intel-iommu,intremap=on,caching-mode=on",
                *(argument for nic in nics for argument in nic.qemu_arguments()))]

    def _path(self, name):
        return os.path.join(self.directory, name)

    def __enter__(self):
        deadline = time.monotonic() + BOOT_LIMIT_S
        self.agent, self.monitor = (Line(self._path(name), self) for name in ("agent", "monitor"))
        self.lines = [self.agent, self.monitor]
        try:
            with open(self._path("qemu.log"), "wb") as log:
                # Not in the terminal's process group: an interrupt is for this script, which then ends QEMU.
                self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                start_new_session=True)
            for line in self.lines:
                line.accept(deadline)
            self._monitor_greet(deadline)
            if self.agent.line(deadline) != b"ready":
                raise GuestError("the guest is not ready" + self.told())
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *error):
        try:
            if error[0] is None:
                self.agent.send(b"end\n")
                self.process.wait(REQUEST_LIMIT_S)
        except (GuestError, subprocess.TimeoutExpired):
            pass
        finally:
            self.kill()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
        for line in self.lines:
            line.close()

    def told(self):
        """What QEMU and the guest's kernel have said last, to be put behind a complaint."""
        text = ""
        for name in ("qemu.log", "console.log"):
            try:
                with open(self._path(name), "rb") as f:
                    lines = f.read().decode(errors="replace").splitlines()[-40:]
            except OSError:
                continue
            text += "".join(f"\n    {name}: {line}" for line in lines)
        return text

    # ---- the second serial line ----

    def ask(self, request, limit_s=REQUEST_LIMIT_S):
        """Has the guest's shell run a line; returns its exit status and what it printed."""
        if self.lost:
            raise GuestError("the guest is lost")
        self.lost = True
        deadline = time.monotonic() + limit_s
        self.agent.send(request.encode() + b"\n")
        try:
            status, length = map(int, self.agent.line(deadline).split())
        except ValueError:
            raise GuestError(f"the guest's answer to {request!r} makes no sense" + self.told()) from None
        printed = self.agent.octets(length, deadline)
        self.lost = False
        return status, printed

    def do(self, request):
        """The same for what must work."""
        status, printed = self.ask(request)
        if status != 0:
            raise AssertionError(f"in the guest: {request}: exit {status}\n{printed.decode(errors='replace')}")
        return printed

    # ---- QEMU's monitor ----

    def _monitor_greet(self, deadline):
        self.monitor.line(deadline)
        self._monitor_execute("qmp_capabilities")

    def _monitor_execute(self, command, **arguments):
        deadline = time.monotonic() + REQUEST_LIMIT_S
        self.monitor.send(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = json.loads(self.monitor.line(deadline))
            if "error" in answer:
                raise AssertionError(f"QEMU's monitor: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def set_link(self, nic, up):
        """Puts the cable into the NIC or pulls it."""
        self._monitor_execute("set_link", name=nic.netdev, up=up)
