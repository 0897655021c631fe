"""A NIC to vfio-pci (or, without an IOMMU, uio_pci_generic) and back. What was before is on disk until it has been restored."""
import time

from devices import NOT_THE_KERNELS, PCI, UIO, VFIO, find, has_module
from refusals import check_free, check_functions, check_group, check_interfaces, check_iommu
from system import Problem

NO_IOMMU = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
PATIENCE_S = 5


def interface_state(system, name):
    """What unbind can restore: flags, MTU, addresses and routes that somebody has set (the kernel makes the others)."""
    link = system.ip("address", "show", "dev", name)[0]
    addresses = [f"{a['local']}/{a['prefixlen']}" for a in link.get("addr_info", [])
                 if a.get("scope") != "link" and not a.get("dynamic") and not a.get("temporary")]
    routes = []
    for version in ("-4", "-6"):
        for route in system.ip(version, "route", "show", "dev", name):
            if route.get("protocol") not in ("kernel", "ra", "dhcp") and route.get("type", "unicast") == "unicast":
                routes.append([version, route["dst"]] + (["via", route["gateway"]] if "gateway" in route else [])
                              + (["metric", str(route["metric"])] if "metric" in route else []))
    return {"name": name, "up": "UP" in link.get("flags", []), "mtu": link.get("mtu"), "addresses": addresses,
            "routes": routes}


def check_bind(nic, wanted, no_iommu):
    check_interfaces(nic.system, nic)
    check_functions(nic)
    check_iommu(nic, no_iommu)
    check_group(nic, wanted)


def prepare_vfio(system):
    system.run("modprobe", VFIO)
    return VFIO, None


def prepare_no_iommu(system):
    """The driver for devices behind none, and what vfio's mode for that was: None where it is not touched."""
    before = None
    if has_module(system, VFIO):
        system.run("modprobe", VFIO)
        before = system.read(NO_IOMMU)
    if before is not None:
        if before != "Y":
            system.write(NO_IOMMU, "Y")
        return VFIO, before
    if not has_module(system, UIO):
        raise Problem("this kernel has neither vfio's mode without an IOMMU (CONFIG_VFIO_NOIOMMU) nor uio_pci_generic")
    system.run("modprobe", UIO)
    return UIO, None


def give(nic, driver_override):
    """Takes the device from who has it and lets the bus find the driver that `driver_override` asks for."""
    system = nic.system
    # The override is there before the device is free, so that no other driver gets hold of it in between.
    system.write(nic.path + "/driver_override", driver_override + "\n")
    if nic.driver is not None:
        system.write(nic.path + "/driver/unbind", nic.pci)
    system.write("/sys/bus/pci/drivers_probe", nic.pci)


def former_override(nic):
    override = nic.attribute("driver_override", "")
    return "" if override in ("(null)", VFIO, UIO) else override


def bind_one(nic, target, no_iommu_before):
    system = nic.system
    state = {"driver": nic.driver, "driver_override": former_override(nic), "no_iommu": no_iommu_before,
             "interfaces": [interface_state(system, name) for name in nic.interfaces]}
    system.save(nic.pci, state)
    try:
        give(nic, target)
        if nic.driver != target:
            raise Problem(f"{nic.pci}: {target} does not take the device, the end of 'dmesg' says why")
    except Problem as problem:
        try:
            restore(nic, state)
        except Problem as second:
            raise Problem(f"{problem}; and it could not be put back: {second}; 'scripts/nic unbind {nic.pci}' tries "
                          "again") from None
        raise Problem(f"{problem}; it is back with {nic.driver or 'no driver'}") from None
    return state


def bind(system, names, no_iommu=False):
    """Sentences about what was done. Nothing is touched before every device has passed every check."""
    chosen = list({nic.pci: nic for nic in (find(system, name) for name in names)}.values())
    said, to_bind = [], []
    for nic in chosen:
        if nic.family.keeps_driver:
            said.append(f"{nic.pci}: {nic.driver} ({nic.family.name}) needs no binding: DPDK works beside the kernel's driver")
        elif nic.driver in (VFIO, UIO):
            said.append(f"{nic.pci}: {nic.driver} has it already")
        else:
            to_bind.append(nic)
    wanted = {nic.pci for nic in to_bind}
    for nic in to_bind:
        check_bind(nic, wanted, no_iommu)
    prepared = {}
    for nic in to_bind:
        prepare = prepare_vfio if nic.group else prepare_no_iommu
        if prepare not in prepared:
            prepared[prepare] = prepare(system)
        target, before = prepared[prepare]
        state = bind_one(nic, target, before)
        said.append(f"{nic.pci}: from {state['driver'] or 'no driver'} to {target}"
                    + (f", group {nic.group}" if nic.group else "") + f"; back with 'scripts/nic unbind {nic.pci}'")
    return said


# ---- and back ------------------------------------------------------------------------------------------------------


def restore_interface(system, was, name):
    """What could not be restored, as sentences."""
    failed = []

    def attempt(*command):
        try:
            system.run("ip", *command)
        except Problem as problem:
            failed.append(str(problem))

    if was["mtu"]:
        attempt("link", "set", "dev", name, "mtu", str(was["mtu"]))
    for address in was["addresses"]:
        attempt("address", "replace", address, "dev", name)
    if was["up"]:
        attempt("link", "set", "dev", name, "up")
        for version, *route in was["routes"]:
            attempt(version, "route", "replace", *route, "dev", name)
    return failed


def await_interfaces(nic, count):
    deadline = time.monotonic() + PATIENCE_S
    while len(nic.interfaces) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    return nic.interfaces


def no_iommu_is_needed(system, but):
    return any((system.saved(name) or {}).get("no_iommu") is not None for name in system.saved_names() if name != but)


def restore(nic, state):
    """The former driver, interface and settings; sentences about what could not be restored. Forgets the state."""
    system = nic.system
    give(nic, state["driver_override"])
    if nic.driver is None and state["driver"]:
        # A driver that takes a device only by name.
        system.write(f"/sys/bus/pci/drivers/{state['driver']}/bind", nic.pci)
    failed = []
    names = await_interfaces(nic, len(state["interfaces"]))
    for was, name in zip(state["interfaces"], names):
        if name != was["name"]:
            failed.append(f"the interface is called {name} now, not {was['name']}")
        failed += restore_interface(system, was, name)
    if len(names) < len(state["interfaces"]):
        failed.append(f"its interface {state['interfaces'][len(names)]['name']} has not come back")
    if state["no_iommu"] not in (None, "Y") and not no_iommu_is_needed(system, nic.pci):
        system.write(NO_IOMMU, state["no_iommu"])
    system.forget(nic.pci)
    return failed


def unbind_one(nic):
    state = nic.system.saved(nic.pci)
    if nic.driver not in NOT_THE_KERNELS:
        if state:
            nic.system.forget(nic.pci)
        return [f"{nic.pci}: the kernel's driver {nic.driver} has it already"]
    if state is None:
        # Bound by something else: the kernel chooses, and there is nothing to restore.
        state = {"driver": None, "driver_override": "", "no_iommu": None, "interfaces": []}
    check_free(nic)
    failed = restore(nic, state)
    if nic.driver in NOT_THE_KERNELS:
        raise Problem(f"{nic.pci}: no driver of the kernel takes the device back; is the module of its NIC loaded?")
    names = ", ".join(nic.interfaces) or "no interface yet"
    return [f"{nic.pci}: back with {nic.driver} ({names})"] + [f"{nic.pci}: {text}" for text in failed]


def of_interface(system, name):
    """The device whose interface had this name before it was bound, else the name itself."""
    for pci in system.saved_names():
        if name in [interface["name"] for interface in (system.saved(pci) or {}).get("interfaces", ())]:
            return pci
    return name


def unbind(system, names):
    """The named devices, or with none named all that bind has taken."""
    chosen = [find(system, of_interface(system, name)) for name in names] if names else \
        [find(system, name) for name in system.saved_names() if system.exists(f"{PCI}/{name}")]
    if not chosen:
        raise Problem("nothing is bound by this script")
    return [sentence for nic in chosen for sentence in unbind_one(nic)]
