"""What the benchmarks of all sources share: the server, rows of the printed table, goals."""
import contextlib
import os
import shutil
import tempfile

from support import backend
from support.program import sources

PEER = os.environ.get("PEER")
SIZE = int(os.environ.get("SIZE", 1024))


class Server:
    """`pid`: whose CPU and memory are read."""

    def __init__(self, name, url, pid):
        self.name, self.url, self.pid = name, url, pid


def elasticsearch(work, ended):
    """The one that is given, or one of its own, stopped with `ended`."""
    url, pid = os.environ.get("ES_URL"), os.environ.get("ES_PID")
    if url and not pid:
        raise SystemExit("ES_URL needs ES_PID, the server's process, to read its CPU and memory")
    if not url:
        started = backend.elasticsearch(work)
        ended.callback(started.stop)
        url, pid = f"http://127.0.0.1:{started.port}", started.pid
    return Server("Elasticsearch", url, int(pid))


def row(label, run, docs):
    print(f"  {label:<34} {docs / run['wall']:>9,.0f} docs/s {run['wall']:>8.2f} s {run['cpu']:>7.2f} CPU s {run['rss']:>7.0f} MiB {run['files']:>5} files",
          flush=True)


def raw_rows(loads, docs):
    """Prints the best of the raw loader's rounds; answers its seconds until all was acknowledged, searchable, and done."""
    raw = min(loads, key=lambda load: load["acknowledged"])
    searchable, whole = (min(load[name] for load in loads) for name in ("searchable", "whole"))
    print(f"  {'raw _bulk loader, acknowledged':<34} {docs / raw['acknowledged']:>9,.0f} docs/s {raw['acknowledged']:>8.2f} s {raw['cpu']:>7.2f} CPU s of the server")
    print(f"  {'raw _bulk loader, searchable':<34} {docs / searchable:>9,.0f} docs/s {searchable:>8.2f} s")
    print(f"  {'raw loader with index and refresh':<34} {docs / whole:>9,.0f} docs/s {whole:>8.2f} s", flush=True)
    return raw["acknowledged"], searchable, whole


def judged(goals):
    """Prints goals `(name, value, goal, sign)`; answers how many were missed."""
    missed = 0
    for name, value, goal, sign in goals:
        met = value <= goal if sign == "<=" else value >= goal
        missed += not met
        print(f"  {name:<50} {value:>8.3f}   goal {sign} {goal:.2f}   {'met' if met else 'MISSED'}")
    return missed


def benchmark(names, known, usage):
    """Runs these of the known benchmarks, `(server, work, ended)` → goals, on one Elasticsearch. Answers the exit code."""
    if missing := [name for name in names if name not in known]:
        raise SystemExit(f"no benchmark for {', '.join(missing)}\n{usage}")
    if missing := [name for name in names if name not in sources()]:
        raise SystemExit(f"bin/connectors has no source {', '.join(missing)}")
    with contextlib.ExitStack() as ended:
        work, reached = tempfile.mkdtemp(prefix="connectors-bench-"), {}
        ended.callback(shutil.rmtree, work, ignore_errors=True)
        server = elasticsearch(work, ended)
        print(f"{os.cpu_count()} cores")
        for name in names:
            with contextlib.ExitStack() as one:
                reached[name] = known[name](server, work, one)
    missed = 0
    for name, goals in reached.items():
        print(f"\nratios, {name}")
        missed += judged(goals)
    return 1 if missed and os.environ.get("GOALS") else 0
