"""Services, ours and the peer, that find one pending job as Kibana would leave it."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from support.elastic import call
from support.processes import Watch

SETTINGS = {"name": "search-default-ingestion", "extract_binary_content": True, "reduce_whitespace": True, "run_ml_inference": False}
FILTERING = {"rules": [], "advanced_snippet": {"value": {}}, "validation": {"state": "valid", "errors": []}}
# What the peer wants to find in a job's pipeline.
PIPELINE = {"processors": [
    {"remove": {"field": ["_attachment", "_extract_binary_content", "_reduce_whitespace", "_run_ml_inference"], "ignore_missing": True}}]}


def field(value, order, kind="str", required=True, depends_on=()):
    """A configuration field as a connector's document has it."""
    return {"value": value, "default_value": None, "depends_on": [{"field": name, "value": wanted} for name, wanted in depends_on],
            "display": "text", "label": "", "options": [], "order": order, "required": required, "sensitive": False, "tooltip": None,
            "type": kind, "ui_restrictions": [], "validations": []}


def connector_documents(server, index, connector, service_type, configuration):
    """A connector, as Kibana would leave it, and a pending job."""
    call(server.url, "PUT", f"/.elastic-connectors/_doc/{connector}?refresh=true", {
        "index_name": index, "service_type": service_type, "status": "configured", "is_native": False, "name": connector, "language": None,
        "configuration": configuration, "pipeline": SETTINGS, "scheduling": {k: {"enabled": False, "interval": "0 0 0 * * ?"} for k in ("full", "incremental", "access_control")},
        "features": {"sync_rules": {"basic": {"enabled": True}, "advanced": {"enabled": False}}},
        "filtering": [{"domain": "DEFAULT", "active": FILTERING, "draft": FILTERING}], "error": None, "last_seen": None})
    return pending_job(server, index, connector, service_type, configuration)


def pending_job(server, index, connector, service_type, configuration):
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    call(server.url, "PUT", f"/.elastic-connectors-sync-jobs/_doc/{connector}-job?refresh=true", {
        "connector": {"id": connector, "index_name": index, "service_type": service_type, "language": None, "pipeline": SETTINGS,
                      "configuration": configuration, "filtering": FILTERING},
        "trigger_method": "on_demand", "job_type": "full", "status": "pending", "error": None, "created_at": now,
        "indexed_document_count": 0, "indexed_document_volume": 0, "deleted_document_count": 0})
    return f"{connector}-job"


def until(server, job, wanted, limit):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        document = call(server.url, "GET", f"/.elastic-connectors-sync-jobs/_doc/{job}")["_source"]
        if document["status"] in wanted:
            return document
        if document["status"] in ("error", "canceled"):
            raise SystemExit(f"job {job}: {document['status']}: {document.get('error')}")
        time.sleep(0.005)
    raise SystemExit(f"job {job} did not become {wanted} in {limit} s")


def service_run(server, command, job, environment=None):
    """Starts a service that finds one pending job; answers its cost until the job completed."""
    log = tempfile.TemporaryFile()
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    watch = Watch(process.pid)
    try:
        until(server, job, ("in_progress", "completed"), 120)
        claimed = time.monotonic() - began
        document = until(server, job, ("completed",), 1800)
        wall = time.monotonic() - began
    except SystemExit:
        log.seek(0)
        print(log.read().decode()[-3000:], file=sys.stderr)
        raise
    finally:
        watch.over = True
        process.send_signal(signal.SIGINT)
        timer = threading.Timer(30, process.kill)
        timer.start()
        _, _, usage = os.wait4(process.pid, 0)
        timer.cancel()
    return dict(wall=wall, claimed=claimed, cpu=usage.ru_utime + usage.ru_stime, rss=watch.rss, files=watch.files, document=document)


def service_config(server, folder, connector, service_type):
    config = {"elasticsearch": {"host": server.url, "feature_use_connectors_api": False}, "service": {"idling": 1},
              "connectors": [{"connector_id": connector, "service_type": service_type}]}
    path = os.path.join(folder, "service.yml")
    with open(path, "w") as file:
        json.dump(config, file)
    return path


def peer_run(server, program, config, job):
    """The peer's service, which needs the pipeline to be there. One that is made for it nobody else shall find: the raw loader goes
    through none."""
    pipeline = f"/_ingest/pipeline/{SETTINGS['name']}"
    is_there = call(server.url, "GET", pipeline) is not None
    if not is_there:
        call(server.url, "PUT", pipeline, PIPELINE)
    try:
        return service_run(server, [program, "--config-file", config, "--action", "sync_content"], job, {"ALLOW_ES_VERSION_MISMATCH": "true"})
    finally:
        if not is_there:
            call(server.url, "DELETE", pipeline)
