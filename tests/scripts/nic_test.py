#!/usr/bin/env python3
"""scripts/nic against a played host: what it refuses, and the order in which it takes and gives back."""
import contextlib
import importlib.machinery
import importlib.util
import io
import sys
import unittest

from played_host import ROOT, PlayedHost

LOADER = importlib.machinery.SourceFileLoader("nic", ROOT + "/scripts/nic")
NIC = importlib.util.module_from_spec(importlib.util.spec_from_loader("nic", LOADER))
LOADER.exec_module(NIC)

A, B = "0000:3b:00.0", "0000:3b:00.1"
NO_IOMMU = "parameters/enable_unsafe_noiommu_mode"


class Case(unittest.TestCase):
    def setUp(self):
        self.host = PlayedHost()
        self.addCleanup(self.host.directory.cleanup)

    def nic(self, *arguments):
        """(exit status, standard output, standard error)"""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = NIC.main(list(arguments), self.host)
        return status, out.getvalue(), err.getvalue()

    def done(self, *arguments):
        status, out, err = self.nic(*arguments)
        self.assertEqual((status, err), (0, ""))
        return out

    def refused(self, *arguments, saying):
        status, out, err = self.nic(*arguments)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(saying, err)
        self.assertEqual(err.count("\n"), 1, "lines in the sentence")
        self.assertEqual(self.host.done, [], "what was done all the same")
        self.assertEqual(self.host.saved_names(), [], "state that was saved all the same")


class Refusals(Case):
    def setUp(self):
        super().setUp()
        self.host.add_nic(A, "eth1")

    def test_the_default_route_of_ipv4(self):
        self.host.routes["-4"] = [{"dst": "default", "dev": "eth1"}]
        self.refused("bind", A, saying="IPv4 default route")

    def test_the_default_route_of_ipv6(self):
        self.host.routes["-6"] = [{"dst": "default", "dev": "eth1"}]
        self.refused("bind", A, saying="IPv6 default route")

    def test_half_a_default_route(self):
        self.host.routes["-4"] = [{"dst": "128.0.0.0/1", "dev": "eth1"}]
        self.refused("bind", A, saying="IPv4 default route")

    def test_one_hop_of_several(self):
        self.host.routes["-4"] = [{"dst": "default", "nexthops": [{"dev": "eth7"}, {"dev": "eth1"}]}]
        self.refused("bind", "eth1", saying="IPv4 default route")

    def test_the_default_route_of_a_vlan_on_top(self):
        self.host.put("/sys/class/net/eth1/upper_eth1.7/x", "")
        self.host.put("/sys/class/net/eth1.7/upper_mac0/x", "")
        self.host.routes["-4"] = [{"dst": "default", "dev": "mac0"}]
        self.refused("bind", A, saying="by way of mac0")

    def test_the_address_of_an_ssh_session(self):
        self.host.add_ssh_session("0302010A", 22)
        self.refused("bind", A, saying="address 10.1.2.3 of an ssh session")

    def test_an_ssh_server_on_another_port(self):
        self.host.add_ssh_session("0302010A", 2222, inode="815")
        self.host.add_process(77, "sshd-session", fd3="socket:[815]")
        self.refused("bind", A, saying="of an ssh session")

    def test_an_ssh_session_over_a_socket_of_ipv6(self):
        self.host.add_ssh_session("0000000000000000FFFF00000302010A", 22, name="tcp6")
        self.refused("bind", A, saying="of an ssh session")

    def test_the_callers_own_session(self):
        self.host.variables["SSH_CONNECTION"] = "192.0.2.1 50000 10.1.2.3 22"
        self.refused("bind", A, saying="of an ssh session")

    def test_members_of_bridges_and_bonds(self):
        self.host.point("/sys/class/net/eth1/master", "../bond0")
        self.refused("bind", A, saying="member of bond0")

    def test_a_physical_function_with_virtual_ones(self):
        self.host.put(f"/sys/bus/pci/devices/{A}/sriov_numvfs", "4")
        self.refused("bind", A, saying="4 virtual functions")

    def test_a_device_behind_no_iommu(self):
        self.host.add_nic(B, "eth2", group=None)
        self.refused("bind", B, saying="--no-iommu")

    def test_half_an_iommu_group(self):
        self.host.add_nic(B, "eth2")
        self.refused("bind", A, saying=f"together with {B}, which the kernel's driver ice has")

    def test_one_of_two_refuses_both(self):
        self.host.add_nic(B, "eth2")
        self.host.routes["-4"] = [{"dst": "default", "dev": "eth2"}]
        self.refused("bind", A, B, saying="IPv4 default route")

    def test_names_that_are_none(self):
        self.host.put("/sys/class/net/lo/carrier", "1")
        self.host.add_device("0000:00:1f.0", kind="0x060100")
        self.refused("bind", "eth9", saying="neither a PCI device nor an interface eth9")
        self.refused("bind", "lo", saying="belongs to no PCI device")
        self.refused("bind", "0000:00:1f.0", saying="no network device")

    def test_everybody_but_root(self):
        self.host.root_user = False
        for command in (("bind", A), ("unbind", A), ("hugepages", "4")):
            self.refused(*command, saying="only root")

    def test_a_kernel_without_any_way(self):
        self.host.add_nic(B, "eth2", group=None)
        self.host.put("/lib/modules/6.1.0-test/modules.dep", "")
        self.refused("bind", B, "--no-iommu", saying="CONFIG_VFIO_NOIOMMU")


class NotRefused(Case):
    def test_other_interfaces_routes_and_sessions(self):
        self.host.add_nic(A, "eth1")
        self.host.routes["-4"] = [{"dst": "default", "dev": "eth0"}, {"dst": "10.9.0.0/16", "dev": "eth1", "gateway": "10.1.2.1"},
                                  {"type": "unreachable", "dst": "default", "dev": "eth1"}]
        self.host.add_ssh_session("0402010A", 22)
        self.assertIn("to vfio-pci", self.done("bind", A))

    def test_connections_that_are_not_ssh(self):
        self.host.add_nic(A, "eth1")
        self.host.add_ssh_session("0302010A", 5672, inode="9")
        self.host.add_process(78, "harewire", fd3="socket:[9]")
        self.done("bind", A)

    def test_ssh_sessions_that_have_ended(self):
        self.host.add_nic(A, "eth1")
        self.host.add_ssh_session("0302010A", 22, state="06")
        self.done("bind", A)

    def test_a_group_with_a_bridge(self):
        self.host.add_nic(A, "eth1")
        self.host.add_device("0000:3a:00.0", "pcieport", "12", kind="0x060400")
        self.done("bind", "3b:00.0")

    def test_mlx5_needs_no_binding(self):
        self.host.add_nic(A, "eth1", driver="mlx5_core")
        self.assertIn("needs no binding", self.done("bind", A))
        self.assertEqual((self.host.done, self.host.saved_names()), ([], []))

    def test_twice_is_once(self):
        self.host.add_nic(A, "eth1")
        self.done("bind", A, "eth1")
        self.host.done.clear()
        self.assertIn("has it already", self.done("bind", A))
        self.assertEqual(self.host.done, [])


class ThereAndBack(Case):
    BIND = [(A + "/driver_override", "vfio-pci\n"), ("driver/unbind", A), ("pci/drivers_probe", A)]
    UNBIND = [(A + "/driver_override", "\n"), ("driver/unbind", A), ("pci/drivers_probe", A)]

    def setUp(self):
        super().setUp()
        self.host.add_nic(A, "eth1")

    def test_bind_saves_loads_overrides_unbinds_and_probes(self):
        self.done("bind", A)
        self.assertEqual(self.host.commands(), ["modprobe vfio-pci"])
        self.assertEqual(self.host.writes(), self.BIND)
        self.assertEqual(self.host.done[0][0], "run", "the module is there before anything is written")
        self.assertTrue(self.host.state_seen[0], "the state is on disk before anything is written")
        self.assertEqual(NIC.devices.Nic(self.host, A).driver, "vfio-pci")

    def test_unbind_restores_driver_then_mtu_address_link_and_routes(self):
        self.host.routes["-4"] = [{"dst": "10.1.2.0/24", "dev": "eth1", "protocol": "kernel"},
                                  {"dst": "10.9.0.0/16", "dev": "eth1", "gateway": "10.1.2.1", "metric": 5}]
        self.done("bind", A)
        self.host.done.clear()
        self.assertIn("back with ice (eth1)", self.done("unbind", A))
        self.assertEqual(self.host.writes(), self.UNBIND)
        self.assertEqual(self.host.commands(), [
            "ip link set dev eth1 mtu 9000", "ip address replace 10.1.2.3/24 dev eth1", "ip link set dev eth1 up",
            "ip -4 route replace 10.9.0.0/16 via 10.1.2.1 metric 5 dev eth1"])
        self.assertEqual(self.host.saved_names(), [])

    def test_an_override_of_before_comes_back(self):
        self.host.put(f"/sys/bus/pci/devices/{A}/driver_override", "ice")
        self.done("bind", A)
        self.host.done.clear()
        self.done("unbind", "3b:00.0")
        self.assertEqual(self.host.writes()[0], (A + "/driver_override", "ice\n"))

    def test_a_link_that_was_down_stays_down(self):
        self.host.addresses[0]["flags"] = ["BROADCAST"]
        self.done("bind", A)
        self.done("unbind", A)
        self.assertNotIn("ip link set dev eth1 up", self.host.commands())

    def test_a_new_name_is_said_and_used(self):
        self.done("bind", A)
        self.host.renamed["eth1"] = "ens5"
        self.assertIn("is called ens5 now, not eth1", self.done("unbind", A))
        self.assertIn("ip link set dev ens5 up", self.host.commands())

    def test_a_bind_that_fails_is_undone(self):
        self.host.refusing.add("vfio-pci")
        status, _, err = self.nic("bind", A)
        self.assertEqual(status, 1)
        self.assertIn("vfio-pci does not take the device", err)
        self.assertIn("it is back with ice", err)
        self.assertEqual(self.host.writes(), self.BIND + [self.UNBIND[0], self.UNBIND[2]])
        self.assertIn("ip link set dev eth1 up", self.host.commands())
        self.assertEqual(self.host.saved_names(), [])

    def test_what_cannot_be_put_back_is_kept(self):
        self.host.refusing.add("/sys/bus/pci/drivers_probe")
        status, _, err = self.nic("bind", A)
        self.assertEqual((status, self.host.saved_names()), (1, [A]))
        self.assertIn("tries again", err)
        self.host.refusing.clear()
        self.assertIn("back with ice", self.done("unbind", A))

    def test_a_device_in_use_is_not_unbound(self):
        self.done("bind", A)
        self.host.add_process(99, "harewire", fd7="/dev/vfio/12")
        self.host.done.clear()
        status, _, err = self.nic("unbind", A)
        self.assertEqual((status, self.host.done), (1, []))
        self.assertIn("in use by process 99 (harewire)", err)

    def test_the_interface_that_was_names_the_device_too(self):
        self.done("bind", "eth1")
        self.assertIn(f"{A}: back with ice (eth1)", self.done("unbind", "eth1"))

    def test_unbind_of_what_the_kernel_has(self):
        self.assertIn("has it already", self.done("unbind", A))
        self.assertEqual(self.host.done, [])

    def test_unbind_of_what_somebody_else_bound(self):
        self.host.detach(A)
        self.host.attach(A, "vfio-pci")
        self.host.put(f"/sys/bus/pci/devices/{A}/driver_override", "vfio-pci")
        self.assertIn("back with ice", self.done("unbind", A))
        self.assertEqual(self.host.writes(), self.UNBIND)

    def test_unbind_without_a_name_is_all(self):
        self.host.add_nic(B, "eth2")
        self.done("bind", A, B)
        out = self.done("unbind")
        self.assertEqual([A in out, B in out, self.host.saved_names()], [True, True, []])
        status, _, err = self.nic("unbind")
        self.assertEqual((status, err), (1, "scripts/nic: nothing is bound by this script\n"))


class WithoutIommu(Case):
    def test_the_mode_is_set_and_goes_with_the_last(self):
        self.host.add_nic(A, "eth1", group=None)
        self.host.add_nic(B, "eth2", group=None)
        self.done("bind", A, B, "--no-iommu")
        self.assertEqual(self.host.writes()[0], (NO_IOMMU, "Y"))
        self.done("unbind", A)
        self.assertEqual(self.host.read("/sys/module/vfio/" + NO_IOMMU), "Y")
        self.done("unbind", B)
        self.assertEqual(self.host.read("/sys/module/vfio/" + NO_IOMMU), "N")

    def test_a_kernel_without_that_mode_has_uio(self):
        self.host.add_nic(A, "eth1", group=None)
        self.host.can_no_iommu = False
        self.assertIn("from ice to uio_pci_generic", self.done("bind", A, "--no-iommu"))
        self.assertEqual(self.host.commands(), ["modprobe vfio-pci", "modprobe uio_pci_generic"])
        self.assertEqual(self.host.writes()[0], (A + "/driver_override", "uio_pci_generic\n"))
        self.assertIn("bound, no IOMMU", self.done("status"))
        self.assertIn("uio_pci_generic has it already", self.done("bind", A))
        self.host.put(f"/sys/bus/pci/devices/{A}/uio/uio3/name", "")
        self.host.add_process(99, "harewire", fd7="/dev/uio3")
        self.assertIn("in use by process 99", self.nic("unbind", A)[2])
        self.host.point("/proc/99/fd/7", "/dev/null")
        self.assertIn("back with ice", self.done("unbind", A))

    def test_devices_with_and_without_one_together(self):
        self.host.add_nic(A, "eth1")
        self.host.add_nic(B, "eth2", group=None)
        self.host.can_no_iommu = False
        self.done("bind", A, B, "--no-iommu")
        self.assertEqual([NIC.devices.Nic(self.host, pci).driver for pci in (A, B)], ["vfio-pci", "uio_pci_generic"])
        self.done("unbind")
        self.assertEqual([NIC.devices.Nic(self.host, pci).driver for pci in (A, B)], ["ice", "ice"])

    def test_the_mode_is_not_set_for_a_device_that_has_one(self):
        self.host.add_nic(A, "eth1")
        self.done("bind", A, "--no-iommu")
        self.assertEqual(self.host.read("/sys/module/vfio/" + NO_IOMMU), "N")


class Hugepages(Case):
    PATH = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/"

    def setUp(self):
        super().setUp()
        self.host.put(self.PATH + "nr_hugepages", "3")
        self.host.put(self.PATH + "free_hugepages", "2")

    def test_the_first_figure_comes_back(self):
        self.done("hugepages", "64", "--node", "1")
        self.done("hugepages", "128", "--node", "1")
        self.assertEqual(self.host.read(self.PATH + "nr_hugepages"), "128")
        self.done("hugepages", "undo")
        self.assertEqual(self.host.read(self.PATH + "nr_hugepages"), "3")
        self.assertEqual(self.host.saved_names(), [])

    def test_fewer_than_asked_for_is_an_error_and_undone(self):
        give = self.host.write

        def short_of_memory(path, text):
            give(path, "40" if text == "64" else text)
        self.host.write = short_of_memory
        status, _, err = self.nic("hugepages", "64", "--node", "1")
        self.assertEqual((status, self.host.read(self.PATH + "nr_hugepages"), self.host.saved_names()), (1, "3", []))
        self.assertIn("only 40 of 64", err)

    def test_what_there_is_not(self):
        self.refused("hugepages", "64", "--node", "2", saying="no NUMA node 2")
        self.refused("hugepages", "4", "--node", "1", "--size", "1G", saying="no hugepages of 1GB")
        self.refused("hugepages", "many", saying="a number or 'undo'")
        self.refused("hugepages", "undo", saying="no hugepages were reserved")


class Status(Case):
    def verdicts(self, **nic):
        self.host.add_nic(A, "eth1", **nic)
        row = NIC.row_of(NIC.devices.find(self.host, A))
        return row["dpdk"], row["af_xdp"], row["link"]

    def test_a_nic_that_can_be_bound(self):
        self.assertEqual(self.verdicts(), ("after bind", "zero-copy", "up, 10000 Mbit/s"))

    def test_a_nic_without_iommu_and_module(self):
        self.host.put("/lib/modules/6.1.0-test/modules.dep", "kernel/drivers/vfio/vfio_pci_core.ko:")
        self.assertEqual(self.verdicts(group=None, driver="igb"),
                         ("missing: IOMMU, vfio-pci", "copy; zero-copy from Linux 6.14 on", "up, 10000 Mbit/s"))

    def test_an_old_kernel(self):
        self.host.release = (5, 10)
        self.assertEqual(self.verdicts()[1], "needs Linux 5.18")

    def test_mlx5(self):
        self.assertEqual(self.verdicts(driver="mlx5_core")[0], "yes, beside the kernel's driver")

    def test_one_that_is_bound_keeps_its_name(self):
        self.host.add_nic(A, "eth1")
        self.done("bind", A)
        out = self.done("status")
        for words in (A, "vfio-pci", "yes, bound", "Intel E810"):
            self.assertIn(words, out)


class Check(Case):
    """Every verdict both ways."""
    CPU = "/sys/devices/system/cpu/"

    def setUp(self):
        super().setUp()
        host = self.host
        host.add_nic(A, "eth1", node=1)
        host.put("/proc/self/status", "CapEff:\t0000000000004000")
        host.put("/proc/cmdline", "quiet rcu_nocbs=3")
        for name, text in (("online", "0-3"), ("isolated", "3"), ("nohz_full", "3"), ("cpu3/topology/thread_siblings_list", "3"),
                           ("cpu3/cpufreq/scaling_governor", "performance"), ("cpu3/node1/x", ""),
                           ("cpu3/cpuidle/state0/name", "POLL"), ("cpu3/cpuidle/state0/latency", "0"),
                           ("cpu3/cpuidle/state1/name", "C6"), ("cpu3/cpuidle/state1/latency", "130"),
                           ("cpu3/cpuidle/state1/disable", "1")):
            host.put(self.CPU + name, text)
        host.put("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc")
        host.put("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "64")
        host.put("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "64")
        host.put("/proc/irq/30/effective_affinity_list", "2")
        host.put("/sys/kernel/irq/30/actions", "eth0")

    def verdicts(self):
        return {subject: (verdict, text) for subject, verdict, text in NIC.host_check.rows(self.host, 3, A)}

    def test_a_host_that_is_well_prepared(self):
        self.assertEqual({k: v for k, v in self.verdicts().items() if v[0] != "ok"}, {})
        self.assertEqual(self.nic("check", "--cpu", "3", "--device", A)[0], 0)

    def test_each_flaw_is_found(self):
        for subject, verdict, path, text, words in (
                ("hugepages", "missing", "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages", "31", "--node 1"),
                ("isolation", "slow", self.CPU + "isolated", "2", "isolcpus"),
                ("tick", "slow", self.CPU + "nohz_full", "(null)", "nohz_full=3"),
                ("sibling", "slow", self.CPU + "cpu3/topology/thread_siblings_list", "1,3", "CPU 1"),
                ("governor", "slow", self.CPU + "cpu3/cpufreq/scaling_governor", "powersave", "powersave"),
                ("idle states", "slow", self.CPU + "cpu3/cpuidle/state1/disable", "0", "C6 (130 us)"),
                ("interrupts", "slow", "/proc/irq/30/effective_affinity_list", "2-3", "IRQ 30"),
                ("clock", "slow", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "hpet"),
                ("irqbalance", "slow", "/proc/50/comm", "irqbalance", "IRQBALANCE_BANNED_CPULIST")):
            with self.subTest(subject):
                before = self.host.read(path, "")
                self.host.put(path, text)
                self.assertEqual(self.verdicts()[subject][0], verdict)
                self.assertIn(words, self.verdicts()[subject][1])
                self.host.put(path, before)

    def test_rcu_without_either(self):
        self.host.put("/proc/cmdline", "quiet")
        self.assertEqual(self.verdicts()["RCU"][0], "ok", "nohz_full implies it")
        self.host.put(self.CPU + "nohz_full", "")
        self.assertEqual(self.verdicts()["RCU"][0], "slow")

    def test_a_cpu_of_another_node_and_one_that_is_not_there(self):
        self.host.put(f"/sys/bus/pci/devices/{A}/numa_node", "0")
        self.assertEqual(self.verdicts()["NUMA"][0], "slow")
        self.host.put(self.CPU + "online", "0-2")
        self.assertEqual(self.verdicts()["CPU 3"][0], "missing")

    def test_no_iommu_and_no_module_end_with_1(self):
        self.host.add_nic(B, "eth2", group=None, node=1)
        status, out, _ = self.nic("check", "--device", B)
        self.assertEqual(status, 1)
        self.assertIn("missing  IOMMU", out)
        self.host.put("/lib/modules/6.1.0-test/modules.dep", "")
        self.assertIn("missing  vfio-pci", self.nic("check")[1])

    def test_mlx5_needs_neither(self):
        self.host.put("/lib/modules/6.1.0-test/modules.dep", "")
        self.host.add_nic(B, "eth2", driver="mlx5_core", group=None, node=1)
        self.assertEqual(self.nic("check", "--device", B)[0], 0)


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)
