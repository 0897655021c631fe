"""An AMQP 0-9-1 client of the tests' own, so that what the broker delivers is read by nobody's code but theirs."""
import collections
import socket
import struct

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE

Message = collections.namedtuple("Message", "exchange routing_key properties body redelivered")

# Properties in the order of their flags, from the highest bit down (section 4.2.6.1), with their types.
PROPERTIES = [("content_type", "s"), ("content_encoding", "s"), ("headers", "F"), ("delivery_mode", "B"),
              ("priority", "B"), ("correlation_id", "s"), ("reply_to", "s"), ("expiration", "s"), ("message_id", "s"),
              ("timestamp", "Q"), ("type", "s"), ("user_id", "s"), ("app_id", "s"), ("cluster_id", "s")]

FIXED = {"t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">Q", "f": ">f",
         "d": ">d", "T": ">Q"}


class AmqpError(Exception):
    pass


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise AmqpError("a frame ends too soon")
        self.at += n
        return self.data[self.at - n:self.at]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def shortstr(self):
        return self.take(self.unpack(">B")).decode()

    def longstr(self):
        return self.take(self.unpack(">I"))

    def table(self):
        fields, inner = {}, Reader(self.longstr())
        while inner.at < len(inner.data):
            name = inner.shortstr()
            fields[name] = inner.value()
        return fields

    def value(self):
        kind = chr(self.unpack(">B"))
        if kind in FIXED:
            return self.unpack(FIXED[kind])
        if kind == "S":
            return self.longstr().decode()
        if kind == "x":
            return self.longstr()
        if kind == "F":
            return self.table()
        if kind == "A":
            items, inner = [], Reader(self.longstr())
            while inner.at < len(inner.data):
                items.append(inner.value())
            return items
        if kind == "V":
            return None
        raise AmqpError(f"a field of unknown type {kind!r}")

    def properties(self):
        flags, found = self.unpack(">H"), {}
        for i, (name, kind) in enumerate(PROPERTIES):
            if flags & (0x8000 >> i):
                found[name] = {"s": self.shortstr, "F": self.table}.get(kind, lambda k=kind: self.unpack(">" + k))()
        return found


def shortstr(text):
    data = text.encode()
    return bytes([len(data)]) + data


def longstr(data):
    return struct.pack(">I", len(data)) + data


def table(fields):
    """A table of strings, booleans and tables."""
    data = b""
    for name, value in fields.items():
        data += shortstr(name)
        if isinstance(value, bool):
            data += b"t" + bytes([value])
        elif isinstance(value, dict):
            data += b"F" + table(value)
        else:
            data += b"S" + longstr(value.encode())
    return longstr(data)


class Connection:
    """One connection with channel 1 open. Use in a `with`; raises AmqpError on whatever is not as expected."""

    def __init__(self, lab, timeout=30, user="guest", password="guest", properties=None):
        with lab.namespace():
            self.socket = socket.create_connection((lab.broker_ip, 5672), timeout=timeout)
        self.buffer = bytearray()
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self.expect(0, 10, 10)
        login = longstr(f"\0{user}\0{password}".encode())
        self.send(0, 10, 11, table(properties or {}) + shortstr("PLAIN") + login + shortstr("en_US"))
        tune = self.expect(0, 10, 30)
        channel_max, frame_max = tune.unpack(">H"), tune.unpack(">I")
        self.send(0, 10, 31, struct.pack(">HIH", channel_max, frame_max, 0))
        self.call(0, 10, 40, shortstr("/") + shortstr("") + b"\0")
        self.call(1, 20, 10, shortstr(""))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            if error[0] is None:
                self.call(0, 10, 50, struct.pack(">H", 200) + shortstr("") + struct.pack(">HH", 0, 0))
        finally:
            self.socket.close()

    def send(self, channel, class_id, method_id, arguments):
        payload = struct.pack(">HH", class_id, method_id) + arguments
        self.socket.sendall(struct.pack(">BHI", METHOD, channel, len(payload)) + payload + bytes([FRAME_END]))

    def receive(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(1 << 20)
            if not data:
                raise AmqpError("the broker has closed the connection")
            self.buffer += data

    def frame(self):
        while True:
            self.receive(7)
            kind, channel, size = struct.unpack_from(">BHI", self.buffer)
            self.receive(size + 8)
            if self.buffer[7 + size] != FRAME_END:
                raise AmqpError("a frame without its end")
            payload = bytes(self.buffer[7:7 + size])
            del self.buffer[:8 + size]
            if kind != HEARTBEAT:
                return kind, channel, payload

    def expect(self, channel, class_id, method_id):
        """The next frame, which has to be this method: a reader of its arguments."""
        kind, got_channel, payload = self.frame()
        reader = Reader(payload)
        got = (kind, got_channel, reader.unpack(">H"), reader.unpack(">H"))
        if got != (METHOD, channel, class_id, method_id):
            text = ""
            if kind == METHOD and got[2:] in ((10, 50), (20, 40)):
                text = f": {reader.unpack('>H')} {reader.shortstr()}"
            raise AmqpError(f"expected method {class_id}.{method_id}, got {got}{text}")
        return reader

    def call(self, channel, class_id, method_id, arguments):
        self.send(channel, class_id, method_id, arguments)
        return self.expect(channel, class_id, method_id + 1)

    def declare_queue(self, name, durable=False, arguments=None):
        """Declares a queue, transient if not durable; returns how many messages lie in it."""
        reply = self.call(1, 50, 10, struct.pack(">H", 0) + shortstr(name) + bytes([2 * durable]) + table(arguments or {}))
        reply.shortstr()
        return reply.unpack(">I")

    def bind_queue(self, queue, exchange, routing_key):
        self.call(1, 50, 20, struct.pack(">H", 0) + shortstr(queue) + shortstr(exchange) + shortstr(routing_key) + b"\0" +
                  struct.pack(">I", 0))

    def declare_exchange(self, name, kind):
        self.call(1, 40, 10, struct.pack(">H", 0) + shortstr(name) + shortstr(kind) + b"\0" + struct.pack(">I", 0))

    def delete_exchange(self, name):
        self.call(1, 40, 20, struct.pack(">H", 0) + shortstr(name) + b"\0")

    def delete_queue(self, name):
        """Returns how many messages lay in it."""
        return self.call(1, 50, 40, struct.pack(">H", 0) + shortstr(name) + b"\0").unpack(">I")

    def consume(self, queue, count):
        """The first `count` messages of a queue, without acks. Once per connection; a stall raises socket.timeout."""
        self.start_consuming(queue, no_ack=True)
        return [self.delivery() for _ in range(count)]

    def start_consuming(self, queue, no_ack=False, prefetch=0):
        self.call(1, 60, 10, struct.pack(">IHB", 0, prefetch, 0))
        self.call(1, 60, 20, struct.pack(">H", 0) + shortstr(queue) + shortstr("") + bytes([2 * no_ack]) + table({}))

    def ack_up_to(self, tag):
        self.send(1, 60, 80, struct.pack(">QB", tag, 1))

    def delivery(self):
        """The next message; the tag of its delivery is in `delivery_tag`."""
        deliver = self.expect(1, 60, 60)
        deliver.shortstr()
        self.delivery_tag = deliver.unpack(">Q")
        redelivered, exchange, routing_key = deliver.unpack(">?"), deliver.shortstr(), deliver.shortstr()
        kind, _, payload = self.frame()
        if kind != HEADER:
            raise AmqpError("a delivery without a content header")
        header = Reader(payload)
        header.unpack(">I")
        size = header.unpack(">Q")
        properties, body = header.properties(), b""
        parts = []
        while size > 0:
            kind, _, body = self.frame()
            if kind != BODY or not body or len(body) > size:
                raise AmqpError("a body that does not add up")
            parts.append(body)
            size -= len(body)
        return Message(exchange, routing_key, properties, b"".join(parts), redelivered)
