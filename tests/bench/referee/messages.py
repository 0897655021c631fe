"""What the sink has to receive: `harewire publish --size N --count M --slots none`, encoded here by the book (AMQP 0-9-1)."""
import struct

ALPHABET = b"abcdefghijklmnopqrstuvwxyz"
ROUTING_KEY = "referee"
FRAME_END = b"\xce"


def frame(kind, payload):
    return struct.pack(">BHI", kind, 1, len(payload)) + payload + FRAME_END


def body(number, size):
    """docs/command.md: generated bodies begin with the message's number; letters follow, which depend on it."""
    head = f"{number}\n".encode()[:size]
    at = (number + len(head)) % 26
    return head + (ALPHABET[at:] + ALPHABET * (size // 26 + 1))[:size - len(head)]


def message(number, size):
    key = ROUTING_KEY.encode()
    publish = struct.pack(">HHHBB", 60, 40, 0, 0, len(key)) + key + b"\0"
    header = struct.pack(">HHQH", 60, 0, size, 0)
    return frame(1, publish) + frame(2, header) + frame(3, body(number, size))


def message_octets(size):
    return len(message(1, size))


def stream(count, size):
    return b"".join(message(n, size) for n in range(1, count + 1))
