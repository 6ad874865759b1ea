#!/usr/bin/env python3
"""One source end to end, on its real server and a real Elasticsearch: every document is compared with what was put in.

Usage: tests/ftest/verified_sync.py NAME     (`make ftest NAME=...` builds and runs it)
Environment: SIZE=small|medium|large (1,000, 12,000, 1,000,000 documents; default medium), ES_URL=<running Elasticsearch>
             ES_PID=<its process, for the report> (else tests/backends/elasticsearch starts one),
             SOURCE_PORT=<port of a running server of tests/backends to load into, else one is started>
Full sync; changes; full sync that writes these only; full sync that writes nothing; where the source has its own incremental sync,
changes again, an incremental sync, and a full one that writes what incremental ones do not see. Leaves reports/NAME/index.html.
"""
import contextlib
import importlib
import os
import shutil
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
from ftest.report import page, recorder  # noqa: E402
from ftest.verify import verify  # noqa: E402
from support import backend, program  # noqa: E402
from support.elastic import call  # noqa: E402

# Removes what a document carries for its pipeline, so that the content of files stays and can be compared.
PIPELINE = "connectors-ftest"
PROCESSORS = [{"remove": {"field": ["_extract_binary_content", "_reduce_whitespace", "_run_ml_inference"]}}]
SIZES = {"small": 1_000, "medium": 12_000, "large": 1_000_000}


class Run:
    def __init__(self, source, connector, record, folder):
        self.source, self.connector, self.record, self.folder = source, connector, record, folder
        self.url, self.index, self.verified = connector.url, connector.index, {}

    def phase(self, name, sync, expected, counts, skipped=False):
        """One sync, the index verified after it, and the counts it reports. `skipped`: it may have seen at once that nothing changed."""
        watches, log, progress = [], os.path.join(self.folder, f"{name}.log"), os.path.join(self.folder, f"{name}.jsonl")
        run = sync(lambda pid: watches.append(self.record.watch(pid)) or watches[0], log, progress)
        began, verified = time.monotonic(), (0, 0)
        try:
            verified = verify(self.url, self.index, self.source, expected, name, self.verified)
        finally:
            self.record.record(name, run, watches[0], log, progress, verified)
        told = " ".join(f"{key.removesuffix('_document_count')} {run['report'].get(key)}" for key in counts)
        print(f"  {name:<12} {run['wall']:7.2f} s {run['cpu']:7.2f} CPU s {run['rss']:6.0f} MiB {run['files']:4} files   {told}   "
              f"verified {verified[0]:,} documents, {verified[1]:,} fields in {time.monotonic() - began:.0f} s", flush=True)
        wrong = [f"{key}: {run['report'].get(key)} instead of {value}" for key, value in counts.items() if run["report"].get(key) != value]
        if wrong and skipped and all(run["report"].get(key) == (counts[key] if key == "status" else 0) for key in counts):
            print("               the source said that nothing changed, so nothing was read")
            return
        if wrong:
            raise SystemExit(f"the report of the {name} sync is wrong: {', '.join(wrong)}")

    def full(self, name, written, deleted):
        """`written`: None for all documents."""
        expected = self.source.expected()
        total = len(expected)
        written = total if written is None else written
        self.phase(name, self.connector.sync, expected, {
            "status": "completed", "extracted_document_count": total, "indexed_document_count": written, "deleted_document_count": deleted,
            "unchanged_document_count": total - written, "dead_letter_count": 0}, skipped=written + deleted == 0)

    def incremental(self, changes):
        written = changes["inserted"] + changes["changed"]
        self.phase("incremental", self.connector.incremental, self.source.expected(),
                   {"status": "completed", "indexed_document_count": written, "deleted_document_count": changes["deleted"]})

    def all(self):
        self.full("first", None, 0)
        changes = self.source.change(0.02)
        print(f"  changed rows: {changes}")
        self.full("changed", changes["inserted"] + changes["changed"], changes["deleted"])
        self.full("unchanged", 0, 0)
        if self.connector.has_incremental():
            changes = self.source.change_for_incremental(0.002)
            print(f"  changed rows: {changes}")
            self.incremental(changes)
            # What is written now is what an incremental sync does not see, and nothing it wrote in another form.
            late = self.source.see_all()
            self.full("caught up", late["inserted"] + late["changed"], late["deleted"])
        else:
            print("  the source has no incremental sync of its own")


def main(name, size):
    module = importlib.import_module(f"ftest.sources.{name}")
    if name not in program.sources():
        raise SystemExit(f"bin/connectors has no source {name}")
    began = time.monotonic()
    with contextlib.ExitStack() as ended:
        folder = tempfile.mkdtemp(prefix="connectors-ftest-")
        ended.callback(shutil.rmtree, folder, ignore_errors=True)
        url, pid, port = os.environ.get("ES_URL"), os.environ.get("ES_PID"), os.environ.get("SOURCE_PORT")
        if not url:
            server = backend.elasticsearch(folder)
            ended.callback(server.stop)
            url, pid = f"http://127.0.0.1:{server.port}", server.pid
        if module.BACKEND and not port:
            server = backend.Backend(module.BACKEND, folder)
            ended.callback(server.stop)
            port = server.port
        source = module.Source(folder, port and int(port), SIZES[size])
        ended.callback(source.close)
        print(f"{name}, {size}: servers ready after {time.monotonic() - began:.0f} s; loading", flush=True)
        source.load()
        print(f"  loaded after {time.monotonic() - began:.0f} s", flush=True)
        connector = program.Connector(url, folder, module.SERVICE_TYPE, f"search-{name}", *source.settings(), incremental=True)
        ended.callback(call, url, "DELETE", f"/_ingest/pipeline/{PIPELINE}")
        ended.callback(connector.delete)
        connector.use_pipeline(PIPELINE, PROCESSORS)
        record = recorder.Recorder(url, connector.index, pid and int(pid))
        problem = None
        try:
            Run(source, connector, record, folder).all()
        except SystemExit as failed:
            problem = str(failed)
            raise
        finally:
            if record.phases:
                path = page.write(name, size, record, recorder.versions(url, source.versions()), problem)
                print(f"  report: {path}")
    print(f"{name}: every document as expected, {time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    if len(sys.argv) != 2 or os.environ.get("SIZE", "medium") not in SIZES:
        sys.exit(__doc__)
    main(sys.argv[1], os.environ.get("SIZE", "medium"))
