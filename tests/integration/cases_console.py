"""A running publisher looked into: its figures, its packets, who may ask."""
import json
import os
import socket
import stat
import subprocess
import time

from cases_wire import capture as tcpdump
from harness import DPDK, DRIVERS, case, equal, holds
from watch import await_confirmed, control, figures, finish, wait_for

OURS = ("af_xdp",) + tuple(name for name in DPDK if "net_tap" in name)
COUNT, RATE = 3000, 1000
CONNECTION_CLOSE = bytes([0, 10, 0, 50])


def publishing(t, path, *arguments, rate=RATE):
    """A paced publisher, by default an endless one, whose first messages are confirmed."""
    running = t.start_publisher("publish", "--queue", t.queue, "--rate", rate, "--control", path, *arguments)

    def confirmed():
        if not os.path.exists(path):
            return None
        found = figures(t, path)
        if not found["publishers"] or not found["publishers"][0]["confirmed"]:
            return None
        return found["connections"][0]["rttvar_ns"] > 0  # the worker tells TCP's figures from time to time
    wait_for(running, confirmed, "the first confirms and TCP's figures")
    return running


def tshark(path, *fields, only):
    command = ["tshark", "-r", path, "-Y", only, "-T", "fields", *(x for f in fields for x in ("-e", f))]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=100)
    equal(done.returncode, 0, f"$ {' '.join(command)}\n{done.stderr}exit status")
    return done.stdout.splitlines()


def stream(path, port):
    """Sequence number and data of every segment with data that we sent, without those sent twice."""
    return sorted(set(tshark(path, "tcp.seq_raw", "tcp.payload", only=f"tcp.srcport == {port} && tcp.len > 0")))


def sequence(line, origin):
    """How far a segment is behind another one, as a signed number."""
    distance = int(line.split("\t")[0]) - int(origin.split("\t")[0])
    return (distance + 2**31) % 2**32 - 2**31


@case(drivers=OURS)
def a_capture_shows_what_the_broker_is_sent(t):
    """The same segments as tcpdump sees at the other end."""
    path, file, other = t.path("control"), t.path("ours.pcapng"), t.path("theirs.pcap")
    if t.port:
        t.port.set_broker_link("up")  # net_tap takes its interface down when it ends
    with tcpdump(t, other, *([t.port.broker_interface] if t.port else [])):
        running = publishing(t, path)
        control(t, "capture", "start", file, path)
        mark = figures(t, path)
        wait_for(running, lambda: figures(t, path)["publishers"][0]["confirmed"] >= COUNT // 2, "confirms")
        stopped = control(t, "capture", "stop", path)
        finish(t, running)
    holds(" 0 packets dropped" in stopped, stopped)
    port = mark["connections"][0]["local"].rpartition(":")[2]
    ours, theirs = stream(file, port), stream(other, port)
    holds(len(ours) > COUNT // 10, f"only {len(ours)} segments")
    missing = [line for line in ours if line not in set(theirs)]
    equal(missing, [], "segments that the broker did not get")
    # Sequence numbers may wrap: they are counted from a segment of ours.
    place = [sequence(line, ours[0]) for line in ours]
    between = [line for line in theirs if min(place) <= sequence(line, ours[0]) <= max(place)]
    equal(len(between), len(ours), "segments that both have")
    equal(between, ours, "segments")


@case(drivers=OURS)
def every_message_published_under_a_capture_is_in_it_with_its_direction(t):
    """So slow that a segment holds one message: tshark sees no AMQP where a capture starts amid a frame."""
    path, file = t.path("control"), t.path("ours.pcapng")
    running = publishing(t, path, rate=20)
    control(t, "capture", "start", file, path)
    before = figures(t, path)
    made = before["publishers"][0]["accepted"]
    after = await_confirmed(t, running, path, made + 30)
    control(t, "capture", "stop", path)
    finish(t, running)
    out = tshark(file, "frame.packet_flags_direction", "amqp.method.method", only="amqp.method.method == 40 && amqp.method.class == 60")
    published = sum(line.split("\t")[1].split(",").count("40") for line in out)
    holds(published >= after - made, f"{published} publishes captured, {after - made} made meanwhile")
    equal({line.split("\t")[0] for line in out}, {"0x00000002"}, "direction of publishes")
    acks = tshark(file, "frame.packet_flags_direction", only="amqp.method.method == 80 && amqp.method.class == 60")
    equal(set(acks), {"0x00000001"}, "direction of confirms")
    name = tshark(file, "frame.interface_name", only="frame.number == 1")[0]
    equal(name, before["workers"][0]["device"], "interface")


@case(drivers=("af_xdp",))
def a_capture_is_started_and_stopped_twice_and_cut_to_a_snap_length(t):
    path = t.path("control")
    running = publishing(t, path)
    for i in range(2):
        file = t.path(f"{i}.pcapng")
        control(t, "capture", "start", file, path, "--snaplen", 60)
        control(t, "capture", "start", t.path("other"), path, status=1, words="runs already")
        seen = figures(t, path)["publishers"][0]["confirmed"]
        wait_for(running, lambda: figures(t, path)["publishers"][0]["confirmed"] > seen + 100, "more confirms")
        said = json.loads(control(t, "capture", "stop", path, "--json"))
        control(t, "capture", "stop", path, status=1, words="no capture runs")
        sizes = tshark(file, "frame.cap_len", "frame.len", only="frame")
        equal(len(sizes), said["packets"], "packets in the file")
        equal(max(int(line.split("\t")[0]) for line in sizes), 60, "longest capture")
        holds(max(int(line.split("\t")[1]) for line in sizes) > 300, "the true lengths are lost")
        equal(stat.S_IMODE(os.stat(file).st_mode), 0o600, "mode")
    finish(t, running)


@case(drivers=("af_xdp",))
def a_capture_that_still_runs_at_the_end_is_whole(t):
    path, file = t.path("control"), t.path("ours.pcapng")
    running = publishing(t, path)
    control(t, "capture", "start", file, path)
    finish(t, running)
    # In the octets: what was sent twice or out of order, tshark may not take for AMQP.
    closes = tshark(file, "tcp.seq_raw", only=f"tcp.payload contains {CONNECTION_CLOSE.hex(':')}")
    equal(len(set(closes)), 1, "connection.close in the capture")
    holds(not os.path.exists(path), "the socket was left")


@case(drivers=DRIVERS)
def stat_tells_what_the_summary_tells(t):
    path = t.path("control")
    running = publishing(t, path)
    text = control(t, "stat", path, "--once")
    for word in (t.driver, "ESTABLISHED", "harewire publish", str(running.process.pid)):
        holds(word in text, f"{text}does not show {word}")
    found = figures(t, path)
    worker, connection, publisher = (found[name][0] for name in ("workers", "connections", "publishers"))
    equal(worker["driver"], t.driver, "driver")
    holds(worker["longest_gap_ns"] > 0, "no gap between turns")
    equal(publisher["accepted"], publisher["confirmed"] + publisher["in_flight"], "outcomes")
    holds(connection["srtt_ns"] > 0 and connection["cwnd"] >= connection["mss"] > 500, f"TCP's figures: {connection}")
    holds(connection["rttvar_ns"] > 0, "no variation of the round-trip time")
    later = wait_for(running, lambda: (f := figures(t, path)["publishers"][0])["confirmed"] > publisher["confirmed"] and f, "more confirms")
    result = finish(t, running)
    holds(publisher["confirmed"] < later["confirmed"] <= result["confirmed"], "the figures did not move")


@case(drivers=("af_xdp",))
def the_engine_is_found_by_its_process_id_and_other_users_are_not_answered(t):
    running = t.start_publisher("publish", "--queue", t.queue, "--rate", RATE)
    path = f"/run/harewire/{running.process.pid}.sock"
    wait_for(running, lambda: os.path.exists(path), "the socket")
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode")
    equal(json.loads(control(t, "stat", running.process.pid, "--once", "--json"))["pid"], running.process.pid, "pid")
    os.chmod(path, 0o666)  # the mode no longer keeps others out: the check of who asks does
    ask = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'{\"request\":\"stat\"}\\n'); print(len(s.recv(10)))"
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "python3", "-c", ask, path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    holds(done.stdout.strip() in ("", "0"), f"another user was answered: {done.stdout}{done.stderr}")
    t.until_published(running, 100)
    finish(t, running)
    holds(not os.path.exists(path), "the socket was left")


@case(drivers=("af_xdp",))
def hostile_clients_do_not_hold_up_the_publisher(t):
    path = t.path("control")
    running = publishing(t, path)
    clients = []
    for i in range(12):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(0.2)
        s.connect(path)
        clients.append(s)
        try:
            s.sendall((b"\xff\x00garbage\n" * 5000, b"x" * 100000, b'{"request":"stat"}\n' * 20000)[i % 3])
        except (TimeoutError, OSError):
            pass  # it does not listen to us any more
    seen = figures(t, path)
    equal(seen["ok"], True, "answer")
    wait_for(running, lambda: figures(t, path)["publishers"][0]["confirmed"] > seen["publishers"][0]["accepted"], "more confirms")
    finish(t, running)
    for s in clients:
        s.close()


@case(drivers=("af_xdp",))
def a_trace_shows_how_a_silent_link_was_survived(t):
    """And a file of it is kept, because a timeout fired."""
    path, directory = t.path("control"), t.path("traces")
    os.mkdir(directory)
    running = publishing(t, path, "--trace-dir", directory)
    confirmed = lambda: figures(t, path)["publishers"][0]["confirmed"]
    subprocess.run(t.lab.inside("ip", "link", "set", "eth0", "down"), check=True)
    try:
        wait_for(running, lambda: figures(t, path)["connections"][0]["rto_fired"] >= 2, "timeouts")
    finally:
        subprocess.run(t.lab.inside("ip", "link", "set", "eth0", "up"), check=True)
    seen = confirmed()
    wait_for(running, lambda: confirmed() > seen + 100, "more confirms")
    text = control(t, "trace", path)
    for words in ("negotiated: MSS ", "state ESTABLISHED", "timeout: nothing of ", "resent, after a timeout: seq ",
                  "recovery is over"):
        holds(words in text, f"{text}\nThe trace does not say {words!r}")
    records = json.loads(control(t, "trace", path, "--connection", 1, "--json"))["records"]
    equal(records[0]["event"], "open", "the first record")
    holds([r["ns"] for r in records] == sorted(r["ns"] for r in records), "the records are out of order")
    holds(abs(records[-1]["ns"] / 1e9 - time.time()) < 60, "the times are not the wall clock's")
    control(t, "trace", path, "--connection", 2, status=1, words="no such connection")
    finish(t, running)
    kept = [os.path.join(directory, name) for name in os.listdir(directory)]
    holds(len(kept) >= 1, "no file was kept")
    with open(kept[0], encoding="utf-8") as f:
        kept = f.read()
    for words in ("a retransmission timeout fired", "timeout: nothing of "):
        holds(words in kept, f"{kept}\nThe file does not say {words!r}")


@case(drivers=("af_xdp",))
def a_trace_shows_a_lost_tick_repaired_by_a_probe(t):
    """Nothing comes behind it that could show the loss, and no timeout is needed."""
    path = t.path("control")
    running = t.start_publisher("publish", "--queue", t.queue, "--rate", RATE / 2, "--control", path)

    def repaired():
        """The probe that repeats the tick, and what became of it."""
        if not os.path.exists(path) or not figures(t, path)["connections"][0]["tlp_probes"]:
            return None
        records = json.loads(control(t, "trace", path, "--json"))["records"]
        fates = [i for i, r in enumerate(records) if r["event"] == "tail-probe" and "has repaired a loss" in r["text"]]
        return records, fates[0] if fates else None
    with t.lab.loss(2):
        records, fate = wait_for(running, lambda: (found := repaired()) and found[1] is not None and found, "a repair")
        probes = [i for i in range(fate) if "tail loss probe" in records[i]["text"] and records[i]["event"] == "resent"]
        holds(probes, "no probe is in front of its success")
        equal([r["text"] for r in records[probes[-1]:fate] if r["event"] == "rto"], [], "timeouts between")
        equal(records[fate + 1]["event"], "reduced", "what a repaired loss is answered with")
    finish(t, running)


@case(drivers=("kernel",))
def the_kernels_connections_have_no_trace(t):
    path = t.path("control")
    running = publishing(t, path)
    control(t, "trace", path, status=1, words="has no trace")
    finish(t, running)
