"""Interoperability with the incumbent: see the `run` script beside this file. Standard library only."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

URL = sys.argv[1].rstrip("/")
PEER = pathlib.Path(os.environ["PEER"])
OURS = os.environ.get("OURS")
CONNECTORS, JOBS = ".elastic-connectors", ".elastic-connectors-sync-jobs"


def call(method, path, body=None, accept=(200, 201)):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    if status not in accept:
        raise SystemExit(f"{method} {path}: {status} {text.decode(errors='replace')}")
    return status, json.loads(text) if text else None


def protocol_indices():
    """The two indices with their aliases, as a cluster's own templates would make them."""
    for alias in (CONNECTORS, JOBS):
        if call("HEAD", f"/{alias}-v1", accept=(200, 404))[0] == 404:
            call("PUT", f"/{alias}-v1", {"settings": {"index.hidden": True}, "aliases": {alias: {"is_hidden": True}}, "mappings": {"dynamic": False, "properties": {
                "service_type": {"type": "keyword"}, "status": {"type": "keyword"}, "is_native": {"type": "boolean"},
                "job_type": {"type": "keyword"}, "created_at": {"type": "date"}, "last_seen": {"type": "date"},
                "connector": {"properties": {"id": {"type": "keyword"}, "service_type": {"type": "keyword"}}},
            }}})
        elif call("HEAD", f"/_alias/{alias}", accept=(200, 404))[0] == 404:
            call("PUT", f"/{alias}-v1/_alias/{alias}")


def connector(identifier, index):
    """A connector that knows no more than its type: the first service writes the rest."""
    call("PUT", f"/{CONNECTORS}/_doc/{identifier}?refresh=true", {
        "name": identifier, "index_name": index, "service_type": "dir", "is_native": False, "language": None,
        "status": "created", "api_key_id": None, "custom_scheduling": {}, "description": None, "error": None,
        "features": None, "configuration": {},
        "filtering": [{"domain": "DEFAULT", "active": rules(), "draft": rules()}],
        "scheduling": {k: {"enabled": False, "interval": "0 0 0 * * ?"} for k in ("full", "incremental", "access_control")},
        "pipeline": {"name": "search-default-ingestion", "extract_binary_content": False, "reduce_whitespace": True,
                     "run_ml_inference": False},
        "last_seen": None, "last_sync_status": None, "last_synced": None, "last_sync_error": None, "sync_cursor": None,
    })


def rules():
    now = "2024-01-01T00:00:00+00:00"
    return {"advanced_snippet": {"created_at": now, "updated_at": now, "value": {}},
            "rules": [{"id": "DEFAULT", "field": "_", "rule": "regex", "policy": "include", "value": ".*", "order": 0,
                       "created_at": now, "updated_at": now}],
            "validation": {"state": "valid", "errors": []}}


def start_job(identifier):
    source = call("GET", f"/{CONNECTORS}/_doc/{identifier}")[1]["_source"]
    snapshot = {"id": identifier, "filtering": source["filtering"][0]["active"]}
    snapshot |= {key: source[key] for key in ("index_name", "language", "pipeline", "service_type", "configuration")}
    _, made = call("POST", f"/{JOBS}/_doc?refresh=true", {
        "connector": snapshot, "trigger_method": "on_demand", "job_type": "full", "status": "pending",
        "indexed_document_count": 0, "indexed_document_volume": 0, "deleted_document_count": 0,
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "last_seen": None,
    })
    return made["_id"]


def service(program, identifier, folder):
    """Starts a service for one connector; its log goes to a file that is shown when something fails."""
    config = folder / f"{identifier}.yml"
    config.write_text(json.dumps({
        "elasticsearch": {"host": URL, "username": os.environ.get("ES_USER", "elastic"),
                          "password": os.environ.get("ES_PASSWORD", "changeme"), "feature_use_connectors_api": False},
        "service": {"idling": 1, "heartbeat": 5},
        "connectors": [{"connector_id": identifier, "service_type": "dir"}],
    }))
    log = open(folder / f"{identifier}.log", "w")
    command = [str(program), "-c", str(config), "--log-level", "DEBUG", "--action", "sync_content", "--action", "schedule"]
    # The peer refuses a server whose version differs from its own.
    env = {**os.environ, "ALLOW_ES_VERSION_MISMATCH": "true"}
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env), log.name


def stop(process):
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def configure(program, identifier, directory, folder, seconds=60):
    """`program` writes the default configuration; then a user fills it in."""
    process, log = service(program, identifier, folder)
    try:
        deadline = time.time() + seconds
        while True:
            source = call("GET", f"/{CONNECTORS}/_doc/{identifier}")[1]["_source"]
            if source["status"] == "needs_configuration":
                break
            if time.time() > deadline or process.poll() is not None:
                print(pathlib.Path(log).read_text()[-6000:], file=sys.stderr)
                raise SystemExit(f"{program} wrote no configuration: {source}")
            time.sleep(0.2)
    finally:
        stop(process)
    values = {"directory": str(directory), "pattern": "**/*.txt"}
    configuration = {key: {"value": value} for key, value in values.items()}
    call("POST", f"/{CONNECTORS}/_update/{identifier}?refresh=true", {"doc": {"configuration": configuration, "status": "configured"}})


def run_job(program, identifier, folder, seconds=120):
    """One job by one service; gives the finished job document."""
    job = start_job(identifier)
    process, log = service(program, identifier, folder)
    try:
        deadline = time.time() + seconds
        while time.time() < deadline:
            source = call("GET", f"/{JOBS}/_doc/{job}")[1]["_source"]
            if source["status"] in ("completed", "error", "canceled"):
                break
            if process.poll() is not None:
                break
            time.sleep(0.5)
        if source["status"] != "completed":
            print(pathlib.Path(log).read_text()[-6000:], file=sys.stderr)
            raise SystemExit(f"{program}: job {source['status']}: {source.get('error')}")
        return source
    finally:
        stop(process)


def indexed(index):
    call("POST", f"/{index}/_refresh")
    hits = call("GET", f"/{index}/_search?size=1000")[1]["hits"]["hits"]
    return {hit["_source"]["path"]: hit["_id"] for hit in hits}


def expect(what, got, expected):
    if got != expected:
        raise SystemExit(f"{what}: expected {expected!r}, got {got!r}")
    print(f"{what}: ok")


def case(name, first, second, folder):
    """`first` completes the connector document and syncs a directory, `second` syncs it again after changes."""
    tree = folder / f"{name}-tree"
    (tree / "deep").mkdir(parents=True)
    for n in range(30):
        (tree / ("deep" if n % 3 else "") / f"file-{n}.txt").write_text(f"text of file {n}")
    index = f"peer-{name}"
    call("DELETE", f"/{index}?ignore_unavailable=true")
    call("PUT", f"/{index}")
    connector(name, index)
    configure(first, name, tree, folder)
    job = run_job(first, name, folder)
    expect(f"{name}: first job", (job["indexed_document_count"], job["deleted_document_count"]), (30, 0))
    before = indexed(index)
    expect(f"{name}: index equals directory", set(before), {str(p) for p in tree.rglob("*.txt")})
    if second is None:
        return
    (tree / "file-0.txt").unlink()
    (tree / "new.txt").write_text("new")
    job = run_job(second, name, folder)
    expect(f"{name}: second job deletes one", job["deleted_document_count"], 1)
    if second is not PEER:
        # The peer writes every document again.
        expect(f"{name}: second job writes only what changed", job["indexed_document_count"], 1)
    after = indexed(index)
    expect(f"{name}: index equals directory again", set(after), {str(p) for p in tree.rglob("*.txt")})
    same = {path: identifier for path, identifier in before.items() if path in after}
    expect(f"{name}: ids are the same", {path: after[path] for path in same}, same)


def main():
    protocol_indices()
    if call("GET", "/_ingest/pipeline/search-default-ingestion", accept=(200, 404))[0] == 404:
        call("PUT", "/_ingest/pipeline/search-default-ingestion", {"processors": [{"remove": {"ignore_missing": True, "field": [
            "_attachment", "_attachment_indexed_chars", "_extracted_attachment", "_extract_binary_content",
            "_reduce_whitespace", "_run_ml_inference"]}}]})
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        case("peer-alone", PEER, PEER, folder)
        if OURS:
            case("peer-then-ours", PEER, OURS, folder)
            case("ours-then-peer", OURS, PEER, folder)


main()
