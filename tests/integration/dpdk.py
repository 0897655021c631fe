"""The virtual devices of the driver dpdk that `scripts/lab up --driver dpdk` makes."""
import shlex
import subprocess

DEVICES = ("net_tap", "net_af_packet")
EAL = "--no-huge"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdin=subprocess.DEVNULL)


class Port:
    """The lab's device, as its `status --env` describes it."""

    def __init__(self, lab):
        self.lab = lab

    @property
    def address(self):
        return self.lab.environment["HAREWIRE_ADDRESS"].partition("/")[0]

    @property
    def gateway(self):
        return self.lab.environment["HAREWIRE_GATEWAY"]

    @property
    def broker_interface(self):
        return self.lab.environment["BROKER_INTERFACE"]

    def set_broker_link(self, *setting):
        ip("-n", self.lab.netns, "link", "set", "dev", self.broker_interface, *setting)

    def arguments(self):
        return tuple(shlex.split(self.lab.environment["HAREWIRE_ARGS"]))

    def prefix(self):
        return shlex.split(self.lab.environment["HAREWIRE_RUN"])
