"""Reads the collection that the benchmark fills, as it comes over the wire, and drops it: what its server needs for that.
Writes a line when the first documents came.

Usage: raw_reader.py PORT COUNT
"""
import os
import sys

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
from ftest.sources.mongodb import COLLECTION, DATABASE  # noqa: E402
from support.backend import pymongo  # noqa: E402

# As the source asks for them.
BATCH = 2000


def batches(port):
    """The documents of the collection as they come: each batch is the bytes of documents that follow each other."""
    with pymongo().MongoClient("127.0.0.1", port, directConnection=True) as client:
        yield from client[DATABASE][COLLECTION].find_raw_batches(batch_size=BATCH)


def main():
    port, count = map(int, sys.argv[1:])
    size = 0
    for batch in batches(port):
        if not size:
            print("first", flush=True)
        size += len(batch)
    # Twenty bytes is the least a document has with an id: an answer that is cut short would be seen.
    if size < 20 * count:
        sys.exit(f"{size} bytes read for {count} documents")


if __name__ == "__main__":
    main()
