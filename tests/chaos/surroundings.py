"""
The network of the chaos run: labs (scripts/lab) around a router that is nobody's, and the publisher at its other side.

    publisher's namespace        router's namespace                       namespaces of the labs
    hw0 10.202.0.2/30 ── veth ── up0 10.202.0.1/30    hw-NAME-1 .1/30 ── veth ── eth0 .2/30  RabbitMQ
                                                      hw-NAME-2 .5/30 ── veth ── eth0 .6/30  RabbitMQ
                                                      ...

A lab takes the namespace it is built from for the publisher's; here that is the router. Nothing is left of it after down().
"""
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from lab import Lab, LabError, inside, inside_namespace  # noqa: E402

PUBLISHER_NET = "10.202.0.0/30"
ROUTER_IP, PUBLISHER_IP = "10.202.0.1", "10.202.0.2"
INTERFACE = "hw0"
AMQP_PORT = 5672


def ip(*arguments, check=True):
    done = subprocess.run(["ip", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if check and done.returncode != 0:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Node(Lab):
    """A lab whose broker is known by what the router's namespace gave it, also while it does not run."""

    def __init__(self, name, router, settings):
        # Not `ip netns exec`: namespaces that are added in its mount namespace are nobody else's.
        super().__init__(name, ("nsenter", "--net=/run/netns/" + router))
        self.router, self.settings = router, settings
        self.accepting_ns = None

    def up(self, cluster):
        super().up(settings=self.settings, cluster=cluster)

    def start_broker(self):
        """Notes when the broker accepts connections, to the millisecond."""
        watch = threading.Thread(target=self.await_listener, args=(time.monotonic() + 120,))
        watch.start()
        super().start_broker(*self.settings)
        watch.join()

    def await_listener(self, deadline):
        self.accepting_ns = None
        with inside_namespace(self.netns):
            while time.monotonic() < deadline:
                try:
                    socket.create_connection((self.broker_ip, AMQP_PORT), timeout=1).close()
                    self.accepting_ns = time.monotonic_ns()
                    return
                except OSError:
                    time.sleep(0.002)

    def broker_pids(self):
        """Every process of the namespace that is Erlang's."""
        pids = []
        for pid in ip("netns", "pids", self.netns).split():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as f:
                if f.read().strip() == "beam.smp":
                    pids.append(int(pid))
        return pids

    def reset_connections_from(self, address):
        """Both ends get a RST from the broker's kernel; says how many connections there were."""
        done = subprocess.run(self.inside("ss", "-HKtn", "sport", "=", f":{AMQP_PORT}", "and", "dst", address),
                              stdout=subprocess.PIPE, text=True, check=True)
        return len(done.stdout.splitlines())

    @contextlib.contextmanager
    def unplugged(self):
        """Its cable is out."""
        ip("-n", self.router, "link", "set", "dev", self.interface, "down")
        try:
            yield
        finally:
            ip("-n", self.router, "link", "set", "dev", self.interface, "up")


class Surroundings:
    def __init__(self, name, node_count, settings=()):
        self.router, self.publisher = f"harewire-{name}-router", f"harewire-{name}-pub"
        self.nodes = [Node(f"{name}-{i + 1}", self.router, settings) for i in range(node_count)]

    def __enter__(self):
        try:
            self.down()  # what a killed run may have left
            self.build_network()
            for i, node in enumerate(self.nodes):
                node.up(("--join", self.nodes[0].name) if i else ("--cluster",))
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *error):
        self.down()

    def build_network(self):
        for name in (self.router, self.publisher):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "dev", "lo", "up")
        subprocess.run(inside(self.router, "sysctl", "-qw", "net.ipv4.ip_forward=1"), check=True)
        ip("-n", self.publisher, "link", "add", "dev", INTERFACE, "type", "veth", "peer", "name", "up0", "netns", self.router)
        for netns, link, address in ((self.publisher, INTERFACE, PUBLISHER_IP), (self.router, "up0", ROUTER_IP)):
            ip("-n", netns, "link", "set", "dev", link, "addrgenmode", "none")
            ip("-n", netns, "address", "add", f"{address}/{PUBLISHER_NET.rpartition('/')[2]}", "dev", link)
            ip("-n", netns, "link", "set", "dev", link, "up")
        ip("-n", self.publisher, "route", "add", "default", "via", ROUTER_IP)

    def down(self):
        for node in self.nodes:
            if os.path.exists("/run/netns/" + self.router):
                node.down()
        for name in (self.publisher, self.router):
            if os.path.exists("/run/netns/" + name):
                ip("netns", "delete", name)

    @property
    def hosts(self):
        return [f"{node.broker_ip}:{AMQP_PORT}" for node in self.nodes]

    def node_at(self, where):
        """The node an event's text names by its address."""
        for node in self.nodes:
            if node.broker_ip in where.replace(":", " ").split():
                return node
        raise LabError(f"no node is at {where!r}")
