"""A server that speaks as much of MongoDB's protocol as a first sync needs, and hands out the documents of a collection that it
read before and made answers of: to answer, it sends them. So what a sync from it takes is nearly all the client's and Elasticsearch's.

Usage: instant.py PORT COUNT     reads the benchmark's collection at PORT, writes the port where it answers, runs until it is killed
Format: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/, https://bsonspec.org/spec.html
"""
import itertools
import os
import socketserver
import struct
import sys

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
from ftest.sources.mongodb import COLLECTION, DATABASE  # noqa: E402
from raw_reader import batches as raw_batches  # noqa: E402

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
# MongoDB's numbers of errors.
NO_CHANGE_STREAMS, NO_SUCH_COMMAND, NO_SUCH_CURSOR = 40573, 59, 43

HELLO = {"ok": 1.0, "ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48_000_000,
         "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21, "readOnly": False}


def element(kind, name, value):
    return bytes([kind]) + name.encode() + b"\0" + value


def document(*elements):
    body = b"".join(elements) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def elements_of(raw):
    """The documents that follow each other in these bytes, as the elements of an array."""
    at = 0
    for number in itertools.count():
        if at == len(raw):
            return
        length = struct.unpack_from("<i", raw, at)[0]
        yield element(3, str(number), raw[at:at + length])
        at += length


def cursor(name, batch, identity):
    """An answer with a batch, a whole array, in three parts: the batch is not copied. A cursor of the identity 0 is at its end."""
    text = f"{DATABASE}.{COLLECTION}".encode() + b"\0"
    behind = element(18, "id", struct.pack("<q", identity)) + element(2, "ns", struct.pack("<i", len(text)) + text) + b"\0"
    before, end = element(4, name, b""), element(1, "ok", struct.pack("<d", 1.0)) + b"\0"
    inner = 4 + len(before) + len(batch) + len(behind)
    opening = element(3, "cursor", b"")
    length = 4 + len(opening) + inner + len(end)
    return [struct.pack("<i", length) + opening + struct.pack("<i", inner) + before, batch, behind + end]


class Answers:
    """`batches`: arrays of documents. Each query gets a cursor of its own over all of them."""

    def __init__(self, bson, batches):
        self.bson, self.batches = bson, batches
        self.identities, self.places = itertools.count(1), {}

    def to(self, command):
        """The parts of the answer."""
        name = next(iter(command))
        if name.lower() in ("hello", "ismaster"):
            return [self.bson.encode(HELLO)]
        if name in ("ping", "endSessions", "killCursors"):
            return [self.bson.encode({"ok": 1.0})]
        if name == "listCollections":
            return cursor("firstBatch", document(element(3, "0", self.bson.encode({"name": COLLECTION, "type": "collection", "options": {}}))), 0)
        if name == "find":
            # Whether it can be read is asked for with one document.
            if command.get("limit") in (1, -1):
                return cursor("firstBatch", document(), 0)
            identity = next(self.identities)
            self.places[identity] = 0
            return self.batch(identity, "firstBatch")
        if name == "getMore":
            if command[name] in self.places:
                return self.batch(command[name], "nextBatch")
            return self.refusal(NO_SUCH_CURSOR, "cursor not found")
        if name == "aggregate":
            return self.refusal(NO_CHANGE_STREAMS, "The $changeStream stage is only supported on replica sets")
        return self.refusal(NO_SUCH_COMMAND, f"no such command: {name}")

    def batch(self, identity, name):
        place = self.places[identity]
        self.places[identity] += 1
        is_last = place + 1 == len(self.batches)
        if is_last:
            del self.places[identity]
        return cursor(name, self.batches[place], 0 if is_last else identity)

    def refusal(self, code, message):
        return [self.bson.encode({"ok": 0.0, "code": code, "codeName": "X", "errmsg": message})]


def server(bson, batches):
    answers = Answers(bson, batches)

    class Connection(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self):
            while len(header := self.rfile.read(16)) == 16:
                length, request, _, operation = struct.unpack("<iiii", header)
                body = self.rfile.read(length - 16)
                # OP_QUERY: flags, a name, two numbers. OP_MSG: flags, and the kind of the section.
                start = body.index(b"\0", 4) + 1 + 8 if operation == OP_QUERY else 5
                size = struct.unpack_from("<i", body, start)[0]
                answer = answers.to(bson.decode(body[start:start + size]))
                # OP_REPLY: flags, cursor, where it starts, and that there is one document.
                code, lead = (OP_REPLY, bytes(16) + struct.pack("<i", 1)) if operation == OP_QUERY else (OP_MSG, bytes(5))
                length = 16 + len(lead) + sum(map(len, answer))
                answer[0] = struct.pack("<iiii", length, 0, request, code) + lead + answer[0]
                for part in answer:
                    self.request.sendall(part)

    socketserver.ThreadingTCPServer.daemon_threads = True
    return socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)


def main():
    port, count = map(int, sys.argv[1:])
    batches, found = [], 0
    for raw in raw_batches(port):
        elements = list(elements_of(raw))
        found += len(elements)
        batches.append(document(*elements))
    if found != count:
        sys.exit(f"{found} documents instead of {count}")
    # It comes with the driver, which the reading found.
    import bson
    with server(bson, batches) as instant:
        print(instant.server_address[1], flush=True)
        instant.serve_forever()


if __name__ == "__main__":
    main()
