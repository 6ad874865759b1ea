"""The ceiling: a loader that sends prepared `_bulk` bodies and does nothing else."""
import http.client
import json
import subprocess
import threading
import time

from support.elastic import call, point_in_time, wait_until_idle
from support.processes import cpu_of

CONNECTIONS, CHUNK = 5, 500


def bodies_of(server, index, count):
    """The documents of an index as bulk bodies for another."""
    documents, after = [], None
    with point_in_time(server.url, index) as pit:
        while True:
            body = {"size": 5000, "pit": {"id": pit, "keep_alive": "5m"}, "sort": ["_shard_doc"]}
            if after:
                body["search_after"] = after
            hits = call(server.url, "POST", "/_search", body)["hits"]["hits"]
            if not hits:
                break
            documents += [(hit["_id"], json.dumps(hit["_source"], separators=(",", ":"))) for hit in hits]
            after = hits[-1]["sort"]
    assert len(documents) == count, (len(documents), count)
    lines = [f'{{"index":{{"_id":{json.dumps(i)}}}}}\n{source}\n' for i, source in documents]
    return ["".join(lines[n:n + CHUNK]).encode() for n in range(0, len(lines), CHUNK)]


def raw_load(server, bodies, index, like, count, beside=None):
    """Sends prepared bodies over a few connections: seconds from the first body to the last acknowledgement, to all searchable, and
    of all that a sync does at the server as well: make the index, write, refresh, count. `beside`: a command that reads
    the source meanwhile. It writes a line when it has the first documents, before which nothing can be sent, and is waited for."""
    call(server.url, "DELETE", f"/{index}?ignore_unavailable=true")
    mapping = call(server.url, "GET", f"/{like}/_mapping")[like]["mappings"]
    settings = call(server.url, "GET", f"/{like}/_settings")[like]["settings"]["index"]
    wait_until_idle(server.url)
    kept = {key: settings[key] for key in ("analysis", "number_of_shards", "auto_expand_replicas") if key in settings}
    before = time.monotonic()
    other = subprocess.Popen(beside, stdout=subprocess.PIPE) if beside else None
    call(server.url, "PUT", f"/{index}", {"mappings": mapping, "settings": kept})
    host = server.url.removeprefix("http://")
    waiting, failed = list(reversed(bodies)), []

    def work():
        connection = http.client.HTTPConnection(host, timeout=300)
        while True:
            try:
                body = waiting.pop()
            except IndexError:
                return
            connection.request("POST", f"/{index}/_bulk", body, {"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse().read()
            if b'"errors":false' not in answer[:200]:
                failed.append(answer[:500])
                return

    if other:
        other.stdout.readline()
    cpu = cpu_of(server.pid)
    began = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    acknowledged = time.monotonic() - began
    call(server.url, "POST", f"/{index}/_refresh")
    searchable = time.monotonic() - began
    if failed:
        raise SystemExit(f"raw loader: {failed[0]}")
    found = call(server.url, "GET", f"/{index}/_count")["count"]
    if other and other.wait(300):
        raise SystemExit(f"{' '.join(beside)}: exit code {other.returncode}")
    whole = time.monotonic() - before
    assert found == count, (found, count)
    return dict(whole=whole, acknowledged=acknowledged, searchable=searchable, cpu=cpu_of(server.pid) - cpu)
