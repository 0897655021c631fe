"""Packets are lost in both directions; messages are not."""
import subprocess

from harness import ALL_DRIVERS, case, holds


@case(drivers=ALL_DRIVERS)
def loses_nothing_at_one_percent_loss(t):
    # Segments of more than an MTU would be lost as a whole: as many packets as on a real wire, with either driver.
    subprocess.run(["ethtool", "-K", t.lab.interface, "tso", "off", "gso", "off"], check=True, stdout=subprocess.DEVNULL)
    t.make_queue()
    consumer = t.consumer(t.queue, "--verify", "--count", 30000, "--idle-timeout", 60)
    with t.lab.loss(1) as counted:
        result = t.publish("publish", "--queue", t.queue, "--count", 30000, "--size", 300)
        lost = counted()
    t.all_confirmed(result, 30000)
    t.arrived_once_in_order(consumer.wait(), 30000)
    holds(lost["INGRESS_DROPPED"] > 0 and lost["EGRESS_DROPPED"] > 0, f"nothing was lost: {lost}")
    holds(result["tcp"]["retransmits"] > 0, f"data was lost ({lost}), but nothing retransmitted")


@case(drivers=ALL_DRIVERS)
def gets_through_ten_percent_loss(t):
    with t.lab.loss(10) as counted:
        result = t.publish("publish", "--queue", t.queue, "--count", 2000, "--size", 300, "--rate", 1000, "--timeout", 60,
                           "--connect-timeout", 30)
        lost = counted()
    t.all_confirmed(result, 2000)
    t.arrived_once_in_order(t.consumer(t.queue, "--verify", "--count", 2000, "--idle-timeout", 10).wait(), 2000)
    holds(0.05 * lost["INGRESS_SEEN"] < lost["INGRESS_DROPPED"] < 0.2 * lost["INGRESS_SEEN"],
          f"not one packet in ten was lost: {lost}")
    holds(result["tcp"]["retransmits"] > 0, f"data was lost ({lost}), but nothing retransmitted")
