"""scripts/nic-acceptance against the lab: what its report says, and what it does not."""
import json
import os
import re
import shlex
import subprocess

from harness import DPDK, case, equal, holds, repository

USER, PASSWORD = "acceptance", "s3cret/of @ours"
IN_URL = "s3cret%2Fof%20%40ours"


def add_user(t):
    for command in (("add_user", USER, PASSWORD), ("set_permissions", USER, ".*", ".*", ".*")):
        t.lab.run("ctl", *command, check=False)  # it may be there from the case before


def run(t, *options, arguments=None):
    """(exit status, the report's text, what it printed)"""
    environment = {**t.environment(), "AMQP_URL": t.lab.url.replace("amqp://", f"amqp://{USER}:{IN_URL}@")}
    prefix = t.port.prefix() if t.port else []
    command = [repository("scripts/nic-acceptance"), "--build", t.build, "--report", t.path("report.md"), "--run", shlex.join(prefix),
               "--consumer-run", shlex.join(t.lab.inside()), *map(str, options), "--", *(arguments or t.port.arguments())]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300)
    try:
        with open(t.path("report.md")) as f:
            return done.returncode, f.read(), done.stdout
    except FileNotFoundError:
        return done.returncode, "", done.stdout


def raw(text):
    return json.loads(text.split("```json\n")[1].split("```")[0])


def has_no_password(text):
    for secret in (PASSWORD, IN_URL):
        holds(secret not in text, "the password is in the report")


@case(drivers=DPDK)
def an_acceptance_describes_device_host_and_runs(t):
    minutes = 0.1
    add_user(t)
    status, text, said = run(t, "--minutes", minutes, "--rates", "500,2000", arguments=(*t.port.arguments(), "--cpu", "0"))
    has_no_password(text)
    verdicts = text.partition("## The device")[0].splitlines()
    # A host that is busy with other things may well delay a segment until it is sent again, or the publisher.
    bad = [line for line in verdicts if "LOOK" in line and "were retransmitted" not in line and "were achieved" not in line]
    equal(bad, [], f"{said}what did not go well")
    equal(status, int(any("LOOK" in line for line in verdicts)), "exit status")
    data = raw(text)
    equal(data["probe"]["driver"], t.device, "the driver that was asked")
    for name in ("tx_offloads", "rx_queues_max", "flow_rule_5_tuple", "rss_ipv4_tcp", "transmit_paths", "link", "counters", "dpdk"):
        holds(name in data["probe"], f"{name} is not known of the device")
    for name in ("cpu", "kernel", "isolated", "worker_cpu", "clock"):
        holds(name in data["host"], f"{name} is not known of the host")
    holds(any(line.startswith("missing  vfio-pci") or line.startswith("ok       vfio-pci") for line in data["checks"]),
          f"scripts/nic check was not asked: {data['checks']}")
    names = [phase["phase"] for phase in data["phases"]]
    equal(names[:3] + names[-1:], ["500 a second", "2000 a second", "full speed", "delivered, 2000 a second"], "phases")
    for rate in (500, 2000):
        holds(re.search(rf"^- (good|LOOK): {rate} a second: \d+ a second were achieved$", text, re.MULTILINE),
              f"the rate of {rate} a second is not in the verdicts")
    cannot = [phase for phase in data["phases"] if phase["phase"] in ("checksum-offload on", "tso on") and phase["exit"] != 0]
    for phase in cannot:
        equal(phase["result"]["error"]["name"], "UNSUPPORTED", f"why there is no {phase['phase']}")
    equal(len(cannot), 2 if t.device == "net_af_packet" else 0, "offloads that are not to be had")
    for phase in (phase for phase in data["phases"] if phase not in cannot):
        equal((phase["exit"], phase["result"]["driver"]["name"]), (0, "dpdk"), f"{phase['phase']}: exit status and driver")
        equal(phase["result"]["confirmed"], phase["result"]["accepted"], f"{phase['phase']}: confirmed")
        holds(phase["counters"]["interruptions"], f"{phase['phase']}: nothing interrupted CPU 0")
    seconds = sum(phase["result"]["seconds"] for phase in data["phases"])
    holds(seconds > 0.5 * 60 * minutes, f"the phases took {seconds} s of {minutes} minutes")
    for title in ("The device", "The host", "Throughput", "Loss", "From publish() to the device", "to the broker's confirm",
                  "What interrupted the worker", "What a worker wants of it"):
        holds(f"\n## {title}" in text or title in text, f"no section '{title}'")


@case(drivers=DPDK[:1])
def an_acceptance_sees_loss_and_masks_names(t):
    add_user(t)
    with t.lab.loss(5) as counted:
        status, text, said = run(t, "--minutes", 0.05, "--rates", "2000", "--mask")
        lost = counted()
    equal(status, 1, said + "exit status")
    holds(lost["INGRESS_DROPPED"] > 0, f"nothing was lost: {lost}")
    again = sum(phase["result"]["tcp"]["retransmits"] for phase in raw(text)["phases"])
    holds(again > 0 and f"LOOK: {again} of " in text, f"{again} retransmissions are not in the verdict: {text[:1000]}")
    has_no_password(text)
    for name in (t.lab.broker_ip, t.port.address, t.port.gateway):
        holds(name not in text, f"{name} is in a masked report")


@case(drivers=("af_xdp",))
def an_acceptance_of_af_xdp_reads_the_interface(t):
    add_user(t)
    status, text, said = run(t, "--minutes", 0.05, "--rates", "1000",
                             arguments=("--driver", "af_xdp", "--interface", t.lab.interface))
    data = raw(text)
    equal([phase["exit"] for phase in data["phases"]], [0] * 3, f"{said}{text[:3000]}exit statuses")
    holds("driver: veth" in data["interface"]["driver"], f"ethtool says {data['interface'].get('driver')}")
    equal({phase["result"]["driver"]["name"] for phase in data["phases"]}, {"af_xdp"}, "drivers")
    holds(all(phase["counters"]["interface"] for phase in data["phases"]), "the interface's counters did not move")
    has_no_password(text)


@case()
def an_acceptance_without_a_broker_says_why(t):
    status, text, said = run(t, "--minutes", 0.05, "--rates", "1000", "--no-consumer",
                             arguments=("--driver", "kernel", "--url", f"amqp://{t.lab.broker_ip}:1", "--connect-timeout", "5"))
    equal(status, 1, said + "exit status")
    holds("nothing listens on that port" in text.partition("## The device")[0], text[:2000])
    for words, options, arguments in (("belongs in $AMQP_URL", (), ("--url", "amqp://a:b@c")),
                                      ("numbers separated by commas", ("--rates", "many"), ("--driver", "kernel")),
                                      ("larger than nothing", ("--minutes", "0"), ("--driver", "kernel")),
                                      ("--rate=9 is what the phases set", (), ("--driver", "kernel", "--rate=9"))):
        os.path.exists(t.path("report.md")) and os.unlink(t.path("report.md"))
        status, text, said = run(t, *options, arguments=arguments)
        holds(status == 2 and words in said and not text, f"{options} {arguments}: {status} {said}")
    status, text, said = run(t, "--report", "/nonexistent/report.md", arguments=("--driver", "kernel"))
    holds(status == 1 and "cannot be written" in said and "described" not in said, f"{status} {said}")
