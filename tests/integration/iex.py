"""IEX-TP captures, read and written independently of control/feed: the tests compare the two."""
import gzip
import random
import struct

DEEP = 0x8004
SYSTEM_EVENT = ord("S")
ETHERTYPE_VLAN, ETHERTYPE_IPV4, IPPROTO_UDP = 0x8100, 0x0800, 17


def packets(path):
    """Ethernet frames of a classic pcap file, gzip'ed or not; of the last one what is there."""
    with open(path, "rb") as f:
        is_gzip = f.read(2) == b"\x1f\x8b"
    with (gzip.open if is_gzip else open)(path, "rb") as f:
        order = "<" if f.read(24)[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        while len(head := f.read(16)) == 16:
            yield f.read(struct.unpack(order + "IIII", head)[2])


def udp_payload(frame):
    if len(frame) < 14 + 20 + 8:
        return b""
    ethertype, at = struct.unpack_from(">H", frame, 12)[0], 14
    while ethertype == ETHERTYPE_VLAN:
        ethertype, at = struct.unpack_from(">H", frame, at + 2)[0], at + 4
    if ethertype != ETHERTYPE_IPV4 or frame[at + 9] != IPPROTO_UDP:
        return b""
    at += (frame[at] & 15) * 4
    return frame[at + 8:at + struct.unpack_from(">H", frame, at + 4)[0]]


def messages(path):
    """The bodies of all whole messages, in the order of the capture."""
    for frame in packets(path):
        payload = udp_payload(frame)
        if len(payload) < 40:
            continue
        count = struct.unpack_from("<H", payload, 14)[0]
        at = 40
        for _ in range(count):
            if at + 2 > len(payload):
                break
            size = struct.unpack_from("<H", payload, at)[0]
            if size > len(payload) - at - 2:
                break
            yield payload[at + 2:at + 2 + size]
            at += 2 + size


def routing_key(body):
    """The default pattern, md.{feed}.{type}.{symbol}, for DEEP."""
    symbol = "-"
    if body[0] != SYSTEM_EVENT and len(body) >= 18:
        symbol = body[10:18].decode("ascii").rstrip().replace(".", "/") or "-"
    return f"md.deep.{chr(body[0])}.{symbol}"


def make_message(rng, symbols):
    kind = rng.choice(b"8855TTQSOHP")
    stamp = struct.pack("<Q", 1_700_000_000_000_000_000 + rng.randrange(10 ** 12))
    if kind == SYSTEM_EVENT:
        return bytes([kind]) + rng.choice(b"OSRMEC").to_bytes(1, "little") + stamp
    tail = struct.pack("<IQ", rng.randrange(1, 10 ** 6), rng.randrange(1, 10 ** 9))
    return bytes([kind, rng.randrange(256)]) + stamp + rng.choice(symbols).ljust(8).encode() + tail


def write_capture(path, count):
    """
    Writes a DEEP capture with dots in some symbols. Its last packet is cut short, within the last of its messages. Returns the
    bodies of the `count` whole messages.
    """
    rng = random.Random(count)
    symbols = ["AAPL", "BRK.A", "BRK.B", "ZVZZT", "A", "LONGNAME"] + [f"SYM{i}" for i in range(300)]
    bodies = [make_message(rng, symbols) for _ in range(count)]
    with gzip.open(path, "wb", 1) as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        at, sequence, offset = 0, 1, 0
        while at < count:
            batch = bodies[at:at + rng.randrange(1, 20)]
            is_last = at + len(batch) == count
            frame = iextp_frame(batch + [bodies[0]] * is_last, sequence, offset)
            f.write(struct.pack("<IIII", 1_700_000_000 + at // 1000, at % 1000, len(frame), len(frame)))
            f.write(frame[:-1] if is_last else frame)
            at, sequence, offset = at + len(batch), sequence + len(batch), offset + sum(len(b) + 2 for b in batch)
    return bodies


def iextp_frame(bodies, sequence, offset):
    data = b"".join(struct.pack("<H", len(b)) + b for b in bodies)
    header = struct.pack("<BBHIIHHqqq", 1, 0, DEEP, 1, 0x11223344, len(data), len(bodies), offset, sequence, 0)
    udp = struct.pack(">HHHH", 10378, 10378, 8 + len(header) + len(data), 0)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp) + len(header) + len(data), 0, 0x4000, 64, IPPROTO_UDP, 0,
                     bytes([23, 226, 155, 132]), bytes([233, 215, 21, 4]))
    return bytes.fromhex("01005e570415" "020000000001" "0800") + ip + udp + header + data
