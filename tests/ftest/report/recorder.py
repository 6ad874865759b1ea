"""Takes samples while a sync runs: of its process from /proc, and of the index from Elasticsearch's own statistics."""
import json
import os
import platform
import re
import subprocess
import threading
import time

from support.backend import ROOT
from support.elastic import call
from support.processes import Watch, cpu_of, files_of, rss_of

# A page this long to a side is more than a screen shows; longer runs keep every n-th sample.
MOST = 2000
PAGE = re.compile(r"page of (.+): (\d+) rows in ([\d.]+) ms")
COUNTERS = re.compile(r"Counters: (\{.*\})")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def thinned(samples):
    return samples[::max(1, -(-len(samples) // MOST))]


class Recorder:
    """The phases of one run. `server_pid`: Elasticsearch's process, if it is ours to look at."""

    def __init__(self, url, index, server_pid=None):
        self.url, self.index, self.server_pid, self.phases = url, index, server_pid, []

    def watch(self, pid):
        return ProcessSamples(pid, self.url, self.index, self.server_pid)

    def record(self, name, run, watch, log, progress, verified):
        """Keeps what is shown of a phase: its cost, its counts, its samples. `log`, `progress`: files the program wrote."""
        report = {key: value for key, value in run["report"].items() if isinstance(value, (int, float, str)) and not isinstance(value, bool)}
        pages, counters = read_log(log)
        self.phases.append({
            "name": name, "wall": round(run["wall"], 3), "cpu": round(run["cpu"], 3), "rss": round(run["rss"], 1), "files": run["files"],
            "report": report, "counters": counters, "documents": verified[0], "fields": verified[1],
            "process": thinned(watch.samples), "server": thinned(watch.server),
            "program": thinned(read_progress(progress)), "pages": thinned(pages)})


class ProcessSamples(Watch):
    interval = 0.05

    def __init__(self, pid, url, index, server_pid):
        self.samples, self.server, self.url, self.index, self.server_pid = [], [], url, index, server_pid
        self.began = time.monotonic()
        self.thread = threading.Thread(target=self.look_at_server, daemon=True)
        super().__init__(pid)
        self.thread.start()

    def look(self):
        super().look()
        with open(f"/proc/{self.pid}/io") as file:
            io = dict(line.split(": ") for line in file.read().splitlines())
        self.samples.append({"t": round(time.monotonic() - self.began, 3), "rss": round(rss_of(self.pid), 2), "cpu": cpu_of(self.pid),
                             "files": files_of(self.pid), "written": int(io["wchar"])})
        if len(self.samples) % MOST == 0:
            self.interval *= 2

    def look_at_server(self):
        while not self.over:
            stats = call(self.url, "GET", f"/{self.index}/_stats/indexing,bulk")
            if stats and stats["_all"]["primaries"]:
                stats = stats["_all"]["primaries"]
                bulk, indexing = stats.get("bulk", {}), stats["indexing"]
                sample = {"t": round(time.monotonic() - self.began, 3), "docs": indexing["index_total"], "deletes": indexing["delete_total"],
                          "bulks": bulk.get("total_operations", 0), "bulk_ms": bulk.get("total_time_in_millis", 0)}
                if self.server_pid:
                    sample["cpu"] = cpu_of(self.server_pid)
                self.server.append(sample)
            time.sleep(4 * self.interval)


def read_log(path):
    """Pages with their times, and the job's counters, as far as the program's debug log has them."""
    pages, counters = [], {}
    with open(path, errors="replace") as file:
        for line in file:
            line = COLOURS.sub("", line)
            if found := PAGE.search(line):
                pages.append({"table": found[1], "rows": int(found[2]), "ms": float(found[3])})
            elif found := COUNTERS.search(line):
                counters = json.loads(found[1])
    return pages, counters


def read_progress(path):
    """The program's own figures; an incremental sync writes none."""
    if not os.path.exists(path):
        return []
    wanted = ("extracted", "indexed", "queued_bytes", "bulk_requests", "bulk_millis")
    with open(path) as file:
        return [{"t": round(line["seconds"], 3), **{name: line[name] for name in wanted}} for line in map(json.loads, file.read().splitlines())]


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.+)", file.read())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def versions(url, source):
    ours = subprocess.run([f"{ROOT}/bin/connectors", "--version"], stdout=subprocess.PIPE, text=True).stdout.strip()
    return {"connectors": ours, "Elasticsearch": call(url, "GET", "/")["version"]["number"], **source}
