#!/usr/bin/env python3
"""Has tshark dissect messages made from our templates.

    amqp_tshark.py <dump_frames>

Each message that dump_frames prints goes into a pcap file as one TCP segment of a connection of its own, behind the
protocol header. tshark must find in it what was put in, and nothing to complain about.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

LINKTYPE_RAW = 101
CLIENT, BROKER, BROKER_PORT = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), 5672
TEXT_PROPERTIES = ["content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "type", "user_id",
                   "app_id"]
CONSTANT_HEADERS = {"feed": "iex-deep", "shard": -3, "late": True}


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(port, seq, payload):
    """An IPv4 packet with one TCP segment from the client to the broker."""
    tcp = struct.pack(">HHIIBBHHH", port, BROKER_PORT, seq, 1, 5 << 4, 0x18, 65535, 0, 0)
    pseudo = CLIENT + BROKER + struct.pack(">BBH", 0, 6, len(tcp) + len(payload))
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + payload)) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp) + len(payload), 0, 0x4000, 64, 6, 0) + CLIENT + BROKER
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return ip + tcp + payload


def write_pcap(path, messages):
    greeting = b"AMQP\0\0\x09\x01"
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, LINKTYPE_RAW))
        for i, message in enumerate(messages):
            port, octets = 40000 + i, bytes.fromhex(message["octets"])
            for seq, payload in ((1, greeting), (1 + len(greeting), octets)):
                packet = segment(port, seq, payload)
                out.write(struct.pack("<IIII", 1700000000 + i, 0, len(packet), len(packet)) + packet)


def dissect(path):
    """The AMQP frames of every second packet, in order: a list of lists of <proto name="amqp">."""
    command = ["tshark", "-n", "-r", path, "-T", "pdml", "-o", "tcp.check_checksum:TRUE",
               "-o", "ip.check_checksum:TRUE",
               "-d", f"tcp.port=={BROKER_PORT},amqp"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    packets = ElementTree.fromstring(run.stdout).findall("packet")
    return [packet for i, packet in enumerate(packets) if i % 2]


def shown(frames, name):
    return [field.get("show") for frame in frames for field in frame.iter("field") if field.get("name") == name]


def headers_table(frames):
    """name -> text of the value, as tshark writes them: "name (type): value"."""
    table = {}
    for frame in frames:
        for headers in frame.iter("field"):
            if headers.get("name") == "amqp.method.properties.headers":
                for entry in headers.findall("field"):
                    name, value = entry.get("showname").split(" (", 1)
                    table[name.strip()] = value
    return table


class Mismatch(Exception):
    pass


def expect(what, got, want):
    if got != want:
        raise Mismatch(f"{what}: tshark says {got!r}, not {want!r}")


def check_frames(message, frames):
    body_len, chunk = message["body_len"], message["frame_max"] - 8
    bodies = [chunk] * (body_len // chunk) + ([body_len % chunk] if body_len % chunk else [])
    expect("frame types", shown(frames, "amqp.type"), ["1", "2"] + ["3"] * len(bodies))
    expect("channels", set(shown(frames, "amqp.channel")), {str(message["channel"])})
    expect("body frames", [int(n) for n in shown(frames, "amqp.length")][2:], bodies)
    expect("body size", shown(frames, "amqp.header.body-size"), [str(body_len)])
    expect("weight", shown(frames, "amqp.header.weight"), ["0"])
    expect("body", "".join(shown(frames, "amqp.payload")).replace(":", ""), "62" * body_len)


def check_method(message, frames):
    expect("class", shown(frames, "amqp.method.class"), ["60"])
    expect("method", shown(frames, "amqp.method.method"), ["40"])
    for name in ("exchange", "routing_key"):
        expect(name, shown(frames, f"amqp.method.arguments.{name}"), [message[name]])
    expect("mandatory", shown(frames, "amqp.method.arguments.mandatory"), [str(message["mandatory"])])
    expect("immediate", shown(frames, "amqp.method.arguments.immediate"), ["0"])


def check_properties(message, frames):
    prefix = "amqp.method.properties."
    for name in TEXT_PROPERTIES:
        expect(name, shown(frames, prefix + name), [message[name]] if name in message else [])
    expect("delivery mode", shown(frames, prefix + "delivery_mode"),
           [str(message["delivery_mode"])] if message["delivery_mode"] else [])
    expect("priority", shown(frames, prefix + "priority"),
           [str(message["priority"])] if message["priority"] >= 0 else [])
    slots = message["slots"]
    expect("message id", shown(frames, prefix + "message_id"), [slots["message_id"]] if "message_id" in slots else [])
    timestamps = [f for frame in frames for f in frame.iter("field") if f.get("name") == prefix + "timestamp"]
    expect("timestamp", [f.get("value") for f in timestamps],
           [f"{slots['timestamp']:016x}"] if "timestamp" in slots else [])


def check_headers(message, frames):
    want = {name: value for name, value in message["slots"].items() if name.startswith("harewire-")}
    if message["constant_headers"]:
        want.update(CONSTANT_HEADERS)
    got = headers_table(frames)
    expect("header names", set(got), set(want))
    for name, value in want.items():
        kind = {bool: "boolean", int: "long int", str: "string"}[type(value)]
        text = str(value).lower() if isinstance(value, bool) else str(value)
        expect(f"header {name}", got[name], f"{kind}): {text}")


def check(message, packet):
    frames = packet.findall("proto[@name='amqp']")
    check_frames(message, frames)
    check_method(message, frames)
    check_properties(message, frames)
    check_headers(message, frames)
    complaints = [f.get("showname") for f in packet.iter("field") if f.get("name") == "_ws.expert.message"]
    expect("complaints", complaints, [])
    expect("malformed", [p.get("name") for p in packet.findall("proto[@name='_ws.malformed']")], [])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lines = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines]
    with tempfile.TemporaryDirectory(prefix="harewire-tshark-") as directory:
        path = os.path.join(directory, "frames.pcap")
        write_pcap(path, messages)
        packets = dissect(path)
    if len(packets) != len(messages):
        sys.exit(f"amqp_tshark: {len(messages)} messages but {len(packets)} packets")
    failed = 0
    for message, packet in zip(messages, packets):
        try:
            check(message, packet)
        except Mismatch as mismatch:
            failed += 1
            print(f"FAIL {message['name']} body {message['body_len']} slots {sorted(message['slots'])}: {mismatch}")
    print(f"amqp_tshark: {len(messages) - failed} of {len(messages)} messages dissected as written")
    sys.exit(1 if failed or not messages else 0)


if __name__ == "__main__":
    main()
