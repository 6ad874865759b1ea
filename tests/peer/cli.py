"""The incumbent's command line and its service on our embedded node, with the connector API and API keys.

    PEER=<path of the peer's elastic-ingest> OURS=<path of our elastic-ingest> python3 tests/peer/cli.py

The peer must be installed by its user (its licence is not ours; nothing of it is in this repository); its `connectors` and
`fake-kibana` lie beside its `elastic-ingest`. A node with credentials is started on a free port and stopped at the end. Shown:
`connectors login`, `connector create` and `list`, `job start`, `list`, `view` and `cancel`; `fake-kibana` makes a connector; the
peer's service runs a job to its end with the API key that `connector create` made for the connector, which opens no other index,
and another with nothing but a key.
Standard library only.
"""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PEER = pathlib.Path(os.environ.get("PEER") or sys.exit(__doc__))
OURS = pathlib.Path(os.environ.get("OURS") or sys.exit(__doc__))
USER, PASSWORD = "elastic", "changeme"
# The peer refuses a server whose version differs from its own.
ENVIRONMENT = {**os.environ, "ALLOW_ES_VERSION_MISMATCH": "true"}


def basic():
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def call(url, method, path, body=None, authorization=None):
    """Status and answer of one request."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": authorization or basic()}
    request = urllib.request.Request(url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


def expect(what, got, expected=True):
    if got != expected:
        raise SystemExit(f"{what}: expected {expected!r}, got {got!r}")
    print(f"{what}: ok", flush=True)


def until(what, probe, seconds=60):
    """Waits for a value that is true, and gives it."""
    deadline = time.time() + seconds
    while time.time() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(0.3)
    raise SystemExit(f"{what}: not within {seconds} s")


def stop(process):
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def start_node(folder):
    """A node that asks for credentials, and its URL."""
    (folder / "password").write_text(PASSWORD)
    address = folder / "address"
    command = [OURS, "node", "--path", folder / "node", "--port", "0", "--address-file", address,
               "--username", USER, "--password-file", folder / "password"]
    log = open(folder / "node.log", "w")
    process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT)
    return process, until("the node", lambda: address.exists() and address.read_text().strip())


def peer(folder, program, *arguments, entered=""):
    """Runs one command of the peer and gives what it printed."""
    done = subprocess.run([str(PEER.parent / program), *arguments], cwd=folder, env=ENVIRONMENT, input=entered,
                          capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise SystemExit(f"{program} {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def log_in(folder, url):
    printed = peer(folder, "connectors", "login", "--host", url, "--method", "basic", entered=f"{USER}\n{PASSWORD}\n")
    expect("connectors login", "Authentication successful" in printed)


def create(folder, url, tree):
    """A connector made by the command line: its id and its API key."""
    (folder / "values.json").write_text(json.dumps({"directory": str(tree), "pattern": "**/*.txt"}))
    (folder / "service.yml").write_text(json.dumps({"elasticsearch": {"host": url}}))
    printed = peer(folder, "connectors", "connector", "create", "--index-name", "peer-cli", "--service-type", "dir",
                   "--index-language", "en", "--name", "Made by the command line", "--from-file", "values.json",
                   "--connector-service-config", "service.yml", "--update-config")
    found = re.search(r"ID: (\S+), service_type: dir, api_key: (\S+)\)", printed)
    expect("connectors connector create", bool(found))
    identifier, key = found.groups()
    listed = until("the connector in the list", lambda: call(url, "GET", "/_connector?index_name=peer-cli")[1]["results"])
    expect("the connector API shows it", (listed[0]["id"], listed[0]["status"]), (identifier, "configured"))
    printed = peer(folder, "connectors", "connector", "list")
    expect("connectors connector list", identifier in printed and "peer-cli" in printed)
    return identifier, key


def create_native(folder, url):
    """The key of a native connector is stored as a connector secret."""
    printed = peer(folder, "connectors", "connector", "create", "--index-name", "content-peer", "--service-type", "dir",
                   "--index-language", "en", "--name", "Native", "--native", "--from-file", "values.json")
    key = re.search(r"api_key: (\S+)\)", printed).group(1)
    made = until("the native connector", lambda: call(url, "GET", "/_connector?index_name=content-peer")[1]["results"])[0]
    secret = call(url, "GET", f"/_connector/_secret/{made['api_key_secret_id']}")[1]
    expect("connectors connector create --native", (made["is_native"], secret["value"]), (True, key))


def jobs(folder, url, connector):
    """Jobs are started, listed, shown and cancelled; the one that is left is the answer."""
    start = lambda: json.loads(peer(folder, "connectors", "job", "start", "-i", connector, "-t", "full", "-o", "json"))["id"]
    job = start()
    status, shown = call(url, "GET", f"/_connector/_sync_job/{job}")
    expect("connectors job start", (status, shown["status"], shown["connector"]["id"]), (200, "pending", connector))
    # Lists are searches, which see a new job after the next refresh.
    expect("connectors job list", until("the list", lambda: job in peer(folder, "connectors", "job", "list", connector)))
    expect("connectors job view", job in peer(folder, "connectors", "job", "view", job))
    peer(folder, "connectors", "job", "cancel", job, entered="y\n")
    expect("connectors job cancel", call(url, "GET", f"/_connector/_sync_job/{job}")[1]["status"], "canceling")
    call(url, "DELETE", f"/_connector/_sync_job/{job}")
    return start()


def serve(folder, url, connector, job, tree, elasticsearch, name, own=None):
    """The peer's service runs a job to its end; `own` is what its configuration says of the connector beside its id."""
    config = folder / f"{name}.yml"
    config.write_text(json.dumps({
        "elasticsearch": {"host": url, **elasticsearch}, "service": {"idling": 1, "heartbeat": 5},
        "connectors": [{"connector_id": connector, "service_type": "dir", **(own or {})}],
    }))
    log = folder / f"{name}.log"
    with open(log, "w") as file:
        command = [str(PEER), "-c", str(config), "--log-level", "DEBUG"]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=ENVIRONMENT)
    ended = ("completed", "error", "canceled")
    try:
        def probe():
            shown = call(url, "GET", f"/_connector/_sync_job/{job}")[1]
            return shown if shown["status"] in ended or process.poll() is not None else None
        shown = until(f"{name}: the job", probe, 120)
        expect(f"{name}: the job", (shown["status"], shown.get("error")), ("completed", None))
        # The service writes the connector after the job.
        done = lambda: call(url, "GET", f"/_connector/{connector}")[1]["last_sync_status"] == "completed"
        expect(f"{name}: the connector", until("the connector's last sync", done))
    except SystemExit:
        print(log.read_text()[-6000:], file=sys.stderr)
        raise
    finally:
        stop(process)
    index = shown["connector"]["index_name"]
    call(url, "POST", f"/{index}/_refresh")
    hits = call(url, "GET", f"/{index}/_search?size=1000")[1]["hits"]["hits"]
    expect(f"{name}: index equals directory", {hit["_source"]["path"] for hit in hits}, {str(p) for p in tree.rglob("*.txt")})


def fake_kibana(folder, url, tree):
    """A connector made by what the peer's tests use in place of Kibana."""
    config = folder / "kibana.yml"
    config.write_text(json.dumps({
        "elasticsearch": {"host": url, "username": USER, "password": PASSWORD},
        "connectors": [{"connector_id": "made-by-kibana", "service_type": "dir"}],
    }))
    peer(folder, "fake-kibana", "--config-file", str(config), "--service-type", "dir", "--index-name", "peer-kibana")
    status, made = call(url, "GET", "/_connector/made-by-kibana")
    expect("fake-kibana", (status, made["status"], made["index_name"]), (200, "configured", "peer-kibana"))
    expect("fake-kibana: schedule", made["scheduling"]["full"], {"enabled": True, "interval": "1 * * * * ?"})
    values = {"directory": str(tree), "pattern": "**/*.txt"}
    call(url, "PUT", "/_connector/made-by-kibana/_configuration", {"values": values})
    off = {"full": {"enabled": False, "interval": "1 * * * * ?"}}
    call(url, "PUT", "/_connector/made-by-kibana/_scheduling", {"scheduling": off})
    return call(url, "POST", "/_connector/_sync_job", {"id": "made-by-kibana"})[1]["id"]


def least(url):
    """A key with what Elastic's guide for self-managed connectors says a service needs."""
    roles = {"connector": {"cluster": ["monitor", "manage_connector"], "indices": [
        {"names": ["peer-kibana", ".search-acl-filter-peer-kibana", ".elastic-connectors*"], "privileges": ["all"]}]}}
    status, made = call(url, "POST", "/_security/api_key", {"name": "service", "role_descriptors": roles})
    expect("a key for the service", status, 200)
    return made["encoded"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tree = folder / "tree"
        tree.mkdir()
        for n in range(20):
            (tree / f"file-{n}.txt").write_text(f"text of file {n}")
        node, url = start_node(folder)
        try:
            log_in(folder, url)
            connector, key = create(folder, url, tree)
            create_native(folder, url)
            job = jobs(folder, url, connector)
            authorization = f"ApiKey {key}"
            call(url, "PUT", "/peer-other/_doc/1?refresh=true", {"a": 1})
            expect("the key opens no other index", call(url, "GET", "/peer-other/_search", None, authorization)[0], 403)
            expect("the key reads no secrets", call(url, "GET", "/_connector/_secret/x", None, authorization)[0], 403)
            user = {"username": USER, "password": PASSWORD}
            serve(folder, url, connector, job, tree, user, "a user, and the connector's key", {"api_key": key})
            job = fake_kibana(folder, url, tree)
            serve(folder, url, "made-by-kibana", job, tree, {"api_key": least(url)}, "a key alone")
        except SystemExit:
            print((folder / "node.log").read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            stop(node)
    print("the peer works on the node")


if __name__ == "__main__":
    main()
