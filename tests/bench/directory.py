"""The benchmark of the `dir` source: many small files, on Elasticsearch and on the embedded node."""
import json
import os
import random
import subprocess

from measure import PEER, SIZE, Server, raw_rows, row
from raw import bodies_of, raw_load
from services import connector_documents, field, peer_run, service_config, service_run
from support import program
from support.elastic import call, wait_until_up
from support.processes import free_port, measured, rss_of

FILES = int(os.environ.get("FILES", 20_000))
ROUNDS = int(os.environ.get("ROUNDS", 5))
WORDS = [a + b + c for a in ("ka", "lo", "mi", "ne", "ru", "ta") for b in ("b", "st", "v", "nd") for c in ("an", "el", "ir", "os", "um", "ey")]


def make_files(folder):
    rng = random.Random(7)
    for n in range(FILES):
        sub = os.path.join(folder, f"d{n // 200:04}")
        if n % 200 == 0:
            os.makedirs(sub)
        text = []
        length = 0
        while length < SIZE:
            word = rng.choice(WORDS)
            text.append(word)
            length += len(word) + 1
        with open(os.path.join(sub, f"note-{n:06}.txt"), "w") as file:
            file.write(" ".join(text)[:SIZE])


def sync(server, config, files, index):
    run = measured([program.CONNECTORS, "-c", config, "sync", "dir", "--index", index, "--set", f"directory={files}",
                    "--set", "pattern=**/*", "-o", "json"], stderr=subprocess.DEVNULL)
    run["report"] = json.loads(run["output"])
    return run


def measure(server, files, work):
    config = os.path.join(work, f"{server.name}.yml")
    with open(config, "w") as file:
        json.dump({"elasticsearch": {"host": server.url}}, file)
    print(f"\n{server.name}")
    # Warmed up by both: a cold JVM is no measure. Then in turn, so that neither gains from a server that still gets warmer.
    sync(server, config, files, "bench-warm-up")
    bodies = bodies_of(server, "bench-warm-up", FILES)
    raw_load(server, bodies, "bench-raw", "bench-warm-up", FILES)
    firsts, loads = [], []
    for _ in range(ROUNDS):
        call(server.url, "DELETE", "/bench-sync?ignore_unavailable=true")
        firsts.append(sync(server, config, files, "bench-sync"))
        assert firsts[-1]["report"]["indexed_document_count"] == FILES, firsts[-1]["report"]
        loads.append(raw_load(server, bodies, "bench-raw", "bench-warm-up", FILES))
    first = min(firsts, key=lambda run: run["wall"])
    row("connectors sync, first", first, FILES)
    again = min((sync(server, config, files, "bench-sync") for _ in range(ROUNDS)), key=lambda run: run["wall"])
    assert again["report"]["indexed_document_count"] == 0, again["report"]
    row("connectors sync, unchanged", again, FILES)
    raw, searchable, whole = raw_rows(loads, FILES)
    print(f"  {'server peak RSS':<34} {rss_of(server.pid, peak=True):>9,.0f} MiB")
    return dict(first=first, again=again, whole=whole, raw=raw, searchable=searchable, rss=rss_of(server.pid, peak=True))


def services(server, files, work):
    configuration = {key: field(value, n) for n, (key, value) in enumerate([("directory", files), ("pattern", "**/*.*")], 1)}
    job = connector_documents(server, "search-bench-ours", "bench-ours", "dir", configuration)
    config = service_config(server, work, "bench-ours", "dir")
    ours = service_run(server, [program.SERVICE, "-c", config, "--action", "sync_content"], job)
    print("\nservice on Elasticsearch, one pending job")
    row("elastic-ingest (ours)", ours, FILES)
    print(f"  {'start-up to first claimed job':<34} {ours['claimed'] * 1000:>9,.0f} ms")
    if not PEER:
        print("  the peer: set PEER=<path to its elastic-ingest> to measure it")
        return ours, None
    call(server.url, "PUT", "/search-bench-peer", {})
    job = connector_documents(server, "search-bench-peer", "bench-peer", "dir", configuration)
    peer = peer_run(server, PEER, service_config(server, work, "bench-peer", "dir"), job)
    row("elastic-ingest (the peer)", peer, FILES)
    return ours, peer


def goals(server, work, ended):
    """Measures; answers the goals and what was reached."""
    files = os.path.join(work, "files")
    make_files(files)
    print(f"dir: {FILES:,} files of {SIZE:,} bytes, best of {ROUNDS} rounds")
    port = free_port()
    process = subprocess.Popen([program.SERVICE, "node", "--path", os.path.join(work, "node"), "--port", str(port)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    node = Server("embedded node", f"http://127.0.0.1:{port}", process.pid)
    ended.callback(process.wait)
    ended.callback(process.terminate)
    wait_until_up(node.url)
    real, embedded = (measure(one, files, work) for one in (server, node))
    process.terminate()
    process.wait()
    ours, peer = services(server, files, work)
    reached = [
        ("first sync on Elasticsearch / raw loader, wall", real["first"]["wall"] / real["whole"], 1.3, "<="),
        ("start-up to first claimed job, s", ours["claimed"], 1.0, "<="),
        ("node / Elasticsearch, acknowledged docs/s", real["raw"] / embedded["raw"], 1.5, ">="),
        ("node / Elasticsearch, searchable docs/s", real["searchable"] / embedded["searchable"], 1.1, ">="),
        ("node / Elasticsearch, peak RSS", embedded["rss"] / real["rss"], 1 / 3, "<="),
    ]
    if peer:
        reached += [("ours / peer, CPU", ours["cpu"] / peer["cpu"], 0.1, "<="), ("ours / peer, peak RSS", ours["rss"] / peer["rss"], 1 / 3, "<="),
                    ("ours / peer, wall", ours["wall"] / peer["wall"], 1.0, "<=")]
    return reached
