"""The benchmarks of databases: rows of about one size, on a real Elasticsearch."""
import os
import statistics
import subprocess
import sys

from ftest import data
from ftest.sources import mongodb, mysql, postgresql
from ftest.tables import Column, Table
from measure import PEER, SIZE, raw_rows, row
from raw import bodies_of, raw_load
from services import connector_documents, field, peer_run, pending_job, service_config
from support import backend
from support.elastic import call, wait_until_idle
from support.processes import cpu_of, cpu_of_family
from support.program import Connector

DOCS = int(os.environ.get("DOCS", 100_000))
ROUNDS = int(os.environ.get("DB_ROUNDS", 5))
WARM_UPS = 8
# A share of the rows is deleted, changed and added each.
CHANGES = 100
# What a document of about SIZE bytes has besides its text.
OTHERS = 200
NAMES = ["mysql", "postgresql", "mongodb"]
# Configuration fields the peer wants to find, beyond those that are set: (value, kind, required, depends on).
TLS = (("ssl_enabled", True),)
PEER_FIELDS = {
    "mysql": {"tables": ("*", "list", True), "ssl_enabled": (False, "bool", True), "ssl_ca": ("", "str", True, TLS),
              "fetch_size": (5000, "int", False), "retry_count": (3, "int", False)},
    "postgresql": {"tables": ("*", "list", True), "ssl_enabled": (False, "bool", True), "ssl_ca": ("", "str", True, TLS),
                   "fetch_size": (50, "int", False), "retry_count": (3, "int", False)},
    "mongodb": {"user": ("", "str", False), "password": ("", "str", False), "direct_connection": (True, "bool", True),
                "ssl_enabled": (False, "bool", True), "ssl_ca": ("", "str", False, TLS), "tls_insecure": (False, "bool", True, TLS),
                "datetime_conversion": ("DATETIME", "str", False)},
}


def notes(text, moment, size=SIZE):
    """A table with a key of one number. `text`, `moment`: types of the dialect."""
    return Table("notes", 1.0, ["number"], [
        Column("number", "bigint", lambda r, n: n + 1), Column("title", "varchar(100)", lambda r, n: data.name(r), null=0),
        Column("body", text, lambda r, n: data.words(r, size - OTHERS), null=0),
        Column("price", "decimal(10,2)", lambda r, n: data.decimal(r, 10, 2), null=0),
        Column("created", moment, lambda r, n: data.moment(r, micros=False), null=0), Column("kind", "int", lambda r, n: r.randrange(9), null=0)])


def item(number, version, size=SIZE):
    """The same as a document."""
    r = data.rng("note", number, version)
    return {"title": data.name(r), "body": data.words(r, size - OTHERS), "price": r.randrange(10**6) / 100,
            "created": data.moment(r, micros=False), "kind": r.randrange(9), "version": version}, {}


def source_of(name, port, docs, tables, make):
    """`tables(text, moment)`: its table; `make(number, version)`: its documents."""
    if name == "mongodb":
        return mongodb.Source(None, port, docs, make)
    if name == "postgresql":
        return postgresql.Source(None, port, docs, [tables("text", "timestamp")], schema="bench")
    return mysql.Source(None, port, docs, [tables("text", "datetime")])


def started(name, work, ended):
    """The port of the source's server, and its process, if it is not somebody else's."""
    if port := os.environ.get("SOURCE_PORT"):
        return int(port), None
    server = backend.Backend({"mysql": "mariadb", "mongodb": "secantusdb"}.get(name, name), work)
    ended.callback(server.stop)
    return server.port, server.pid


def loaded(name, work, ended, docs, tables=notes, make=item):
    """The source with its rows, on its server."""
    port, pid = started(name, work, ended)
    source = source_of(name, port, docs, tables, make)
    source.pid = pid
    ended.callback(source.close)
    print(f"\n{name}: loading {docs:,} rows", flush=True)
    source.load()
    print(f"{name}: {docs:,} rows in {source.versions()['server']}", flush=True)
    return source, port


def goals_of(name):
    """The benchmark of this source: `(server, work, ended)` → goals and what was reached."""
    def goals(server, work, ended):
        source, _ = loaded(name, work, ended, DOCS)
        print(f"documents of about {SIZE:,} bytes, best of {ROUNDS} rounds", flush=True)
        return measure(name, source, server, work, ended)
    return goals


def measure(name, source, server, work, ended):
    index, folder = f"search-bench-{name}", os.path.join(work, f"bench-{name}")
    os.makedirs(folder)
    connector = Connector(server.url, folder, name, index, *source.settings(), incremental=True)
    ended.callback(connector.delete)
    # Warmed up by both: for the first loads, a JVM spends most of its time on compiling. Then in turn, so that neither gains from a
    # server that still gets warmer.
    for _ in range(WARM_UPS):
        call(server.url, "DELETE", f"/{index}?ignore_unavailable=true")
        written(connector.sync(), DOCS)
    bodies = bodies_of(server, index, DOCS)
    for _ in range(WARM_UPS):
        raw_load(server, bodies, "bench-raw", index, DOCS)
    firsts, loads, loads_beside = [], [], []
    reader = raw_reader(name, source, DOCS)
    for _ in range(ROUNDS):
        loads.append(raw_load(server, bodies, "bench-raw", index, DOCS))
        if reader:
            loads_beside.append(raw_load(server, bodies, "bench-raw", index, DOCS, reader))
        call(server.url, "DELETE", f"/{index}")
        wait_until_idle(server.url)
        before, of_source = cpu_of(server.pid), source.pid and cpu_of_family(source.pid)
        firsts.append(written(connector.sync(), DOCS))
        firsts[-1]["server"], firsts[-1]["source"] = cpu_of(server.pid) - before, source.pid and cpu_of_family(source.pid) - of_source
    first = best(firsts)
    row("connectors sync, first", first, DOCS)
    print(f"  {'its work at Elasticsearch':<62} {first['server']:>7.2f} CPU s")
    if source.pid:
        print(f"  {'its work at the server of the source':<62} {first['source']:>7.2f} CPU s")
    again = best([written(connector.sync(), 0) for _ in range(ROUNDS)])
    # A source that knows at once that nothing changed reads nothing.
    row("connectors sync, unchanged" + ("" if again["report"]["extracted_document_count"] else " (not read)"), again, DOCS)
    raw_rows(loads, DOCS)
    call(server.url, "DELETE", "/bench-raw")
    goals = [("first sync / raw loader, wall", ratio("first sync / raw loader", firsts, loads), 1.2, "<=")]
    if reader:
        beside = min(load["whole"] for load in loads_beside)
        print(f"  {'raw loader beside a raw reader':<34} {DOCS / beside:>9,.0f} docs/s {beside:>8.2f} s")
        goals.append(("first sync / raw loader beside a raw reader, wall", ratio("first sync / raw beside a reader", firsts, loads_beside), 1.2, "<="))
    if name == "mongodb":
        goals.append(("first sync of 100,000 documents, s", first["wall"] * 100_000 / DOCS, 30.0, "<="))
        goals.append(("first sync from an instant server / raw loader, wall", from_instant(name, source, server, bodies, index, folder, ended), 1.2, "<="))
    if connector.has_incremental():
        changes = source.change(CHANGES / 3 / DOCS)
        run = changed(connector.incremental(), changes)
        row(f"incremental, {sum(changes.values())} changes", run, sum(changes.values()))
    else:
        print("  no incremental sync of its own")
    if PEER:
        goals += beside_peer(name, source, server, folder, first, again)
    else:
        print("  the peer: set PEER=<path to its elastic-ingest> to measure it")
    return goals


def raw_reader(name, source, docs):
    """A command that reads all documents of a source and does nothing with them, where the source's server needs so much of the
    machine that this counts."""
    return [sys.executable, os.path.join(os.path.dirname(__file__), "raw_reader.py"), str(source.port), str(docs)] if name == "mongodb" else None


def from_instant(name, source, server, bodies, like, folder, ended):
    """The same documents from a server that needs next to nothing for its answers, beside the raw loader, in turn. `like`: the index that
    the bodies are from."""
    command = [sys.executable, os.path.join(os.path.dirname(__file__), "instant.py"), str(source.port), str(DOCS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            port = process.stdout.readline().decode().strip()
            if not port:
                raise SystemExit("the instant server did not start")
            index, (plain, secret) = f"{like}-instant", source.settings()
            connector = Connector(server.url, folder, name, index, {**plain, "host": f"mongodb://127.0.0.1:{port}"}, secret)
            ended.callback(connector.delete)
            firsts, loads = [], []
            for _ in range(ROUNDS):
                loads.append(raw_load(server, bodies, "bench-raw", like, DOCS))
                call(server.url, "DELETE", f"/{index}?ignore_unavailable=true")
                wait_until_idle(server.url)
                before = cpu_of(process.pid)
                firsts.append(written(connector.sync(), DOCS))
                firsts[-1]["source"] = cpu_of(process.pid) - before
        finally:
            process.kill()
    call(server.url, "DELETE", "/bench-raw")
    row("first, from an instant server", best(firsts), DOCS)
    print(f"  {'its work at that server':<62} {best(firsts)['source']:>7.2f} CPU s")
    return ratio("from an instant server / raw", firsts, loads)


def beside_peer(name, source, server, folder, first, again):
    """The peer's service, with one pending job each, on the same rows."""
    plain, secret = source.settings()
    given = {**{key: (value, "str" if not isinstance(value, int) else "int", True) for key, value in {**plain, **secret}.items()}, **PEER_FIELDS[name]}
    configuration = {key: field(value, order, *more) for order, (key, (value, *more)) in enumerate(given.items(), 1)}
    index, connector = f"search-bench-peer-{name}", f"bench-peer-{name}"
    call(server.url, "DELETE", f"/{index}?ignore_unavailable=true")
    call(server.url, "PUT", f"/{index}", {})
    config = service_config(server, folder, connector, name)
    total = len(source.expected())
    job = connector_documents(server, index, connector, name, configuration)
    peer = peer_run(server, PEER, config, job)
    row("the peer, first", peer, total)
    call(server.url, "POST", f"/{index}/_refresh")
    if (found := call(server.url, "GET", f"/{index}/_count")["count"]) != total:
        raise SystemExit(f"the peer wrote {found} documents of {total}")
    peer_again = peer_run(server, PEER, config, pending_job(server, index, connector, name, configuration))
    row("the peer, unchanged", peer_again, total)
    call(server.url, "DELETE", f"/{index}")
    return [("ours / peer, CPU", first["cpu"] / peer["cpu"], 0.1, "<="), ("ours / peer, peak RSS", first["rss"] / peer["rss"], 1 / 3, "<="),
            ("ours / peer, unchanged, wall", again["wall"] / peer_again["wall"], 0.1, "<=")]


def written(run, count):
    if run["report"]["indexed_document_count"] != count:
        raise SystemExit(f"a sync wrote {run['report']['indexed_document_count']} documents instead of {count}")
    return run


def changed(run, changes):
    counts = run["report"]["indexed_document_count"], run["report"]["deleted_document_count"]
    if counts != (changes["inserted"] + changes["changed"], changes["deleted"]):
        raise SystemExit(f"the incremental sync wrote and deleted {counts} for {changes}")
    return run


def ratio(label, firsts, loads):
    """Prints the rounds' ratios and answers the middle one: a round's two loads follow each other, on a machine that is as fast for both."""
    ratios = [first["wall"] / load["whole"] for first, load in zip(firsts, loads)]
    print(f"  {label:<34} {'  '.join(f'{one:.2f}' for one in ratios)}")
    return statistics.median(ratios)


def best(runs):
    return min(runs, key=lambda run: run["wall"])
