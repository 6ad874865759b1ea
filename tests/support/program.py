"""Our programs, run as a user runs them."""
import json
import os
import signal
import subprocess
import time

from support.backend import ROOT
from support.elastic import call
from support.processes import Watch, measured

CONNECTORS, SERVICE = f"{ROOT}/bin/connectors", f"{ROOT}/bin/elastic-ingest"
# An expression that is due once a year: a schedule that never starts a job within a test.
YEARLY = "0 0 0 1 1 ?"


def sources():
    """Service types the program has."""
    if not os.access(CONNECTORS, os.X_OK):
        raise SystemExit(f"{CONNECTORS} is missing: run `make install`")
    listed = subprocess.run([CONNECTORS, "source", "list", "-o", "json"], check=True, stdout=subprocess.PIPE)
    return [source["service_type"] for source in json.loads(listed.stdout)]


class Connector:
    """One connector on one Elasticsearch. Secrets go through the environment: arguments can be read by all users of a machine."""

    def __init__(self, url, folder, service_type, index, settings, secrets, incremental=False):
        self.url, self.folder, self.service_type, self.index = url, folder, service_type, index
        self.sets = [flag for key, value in settings.items() for flag in ("--set", f"{key}={value}")]
        self.config = self.write("connectors.yml", {"elasticsearch": {"host": url}})
        # What a program keeps from one sync to the next must not mix with that of other runs.
        self.environment = {**os.environ, "CONNECTORS_DATA": os.path.join(folder, "data")}
        given = {f"SECRET_{key.upper()}": value for key, value in secrets.items()}
        flags = [flag for key in secrets for flag in ("--set-env", f"{key}=SECRET_{key.upper()}")]
        made = self.json(["connector", "create", "--index-name", index, "--service-type", service_type, *self.sets, *flags], given)
        self.id = made["id"]
        if incremental:
            self.json(["connector", "schedule", self.id, "--incremental", YEARLY], {})

    def write(self, name, config):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            json.dump(config, file)
        return path

    def json(self, arguments, environment):
        return json.loads(self.run([*arguments, "-o", "json"], environment))

    def run(self, arguments, environment):
        done = subprocess.run([CONNECTORS, "-c", self.config, *arguments], env={**self.environment, **environment},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise SystemExit(f"connectors {' '.join(arguments)}: exit {done.returncode}\n{done.stderr.decode()[-3000:]}")
        return done.stdout

    def use_pipeline(self, name, processors):
        """Has this ingest pipeline run over the documents of all syncs from now on."""
        call(self.url, "PUT", f"/_ingest/pipeline/{name}", {"processors": processors})
        call(self.url, "POST", f"/.elastic-connectors/_update/{self.id}?refresh=true", {"doc": {"pipeline": {"name": name}}})

    def delete(self):
        """The connector, its jobs, its index, and what it left at its source."""
        self.run(["connector", "delete", self.id, "--index", "--yes"], {})

    def has_incremental(self):
        document = call(self.url, "GET", f"/.elastic-connectors/_doc/{self.id}")["_source"]
        return bool((document.get("features") or {}).get("incremental_sync", {}).get("enabled"))

    def sync(self, watch=Watch, log=None, progress=None):
        """A full sync; `log`: file for the lines of --debug; `progress`: file for the figures of the running sync. Answers its cost,
        with the report."""
        debug, figures = ["--debug"] if log else [], ["--progress-file", progress] if progress else []
        command = [CONNECTORS, "-c", self.config, *debug, "sync", self.service_type, "--index", self.index, *self.sets, *figures, "-o", "json"]
        path = log or os.path.join(self.folder, "sync.log")
        with open(path, "wb") as errors:
            try:
                run = measured(command, watch, stderr=errors, env=self.environment)
            except SystemExit as failed:
                with open(path, errors="replace") as text:
                    raise SystemExit(f"{failed}\n{text.read()[-3000:]}") from None
        run["report"] = json.loads(run["output"])
        return run

    def incremental(self, watch=Watch, log=None, progress=None, limit=1800):
        """An incremental sync by the service, started for it, which writes no figures. Answers its cost, with the job as `report`."""
        job = self.json(["job", "start", "-i", self.id, "-t", "incremental"], {})["id"]
        config = self.write("service.yml", {
            "elasticsearch": {"host": self.url}, "service": {"idling": 1, **({"log_level": "DEBUG"} if log else {})},
            "connectors": [{"connector_id": self.id, "service_type": self.service_type}]})
        path, began = log or os.path.join(self.folder, "service.log"), time.monotonic()
        with open(path, "wb") as output:
            process = subprocess.Popen([SERVICE, "-c", config, "--action", "sync_content"], stdout=output, stderr=output, env=self.environment)
        watched = watch(process.pid)
        try:
            document = self.until_ended(job, process, limit)
            wall = time.monotonic() - began
        finally:
            watched.over = True
            process.send_signal(signal.SIGINT)
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = 0
        if document["status"] != "completed":
            with open(path, errors="replace") as text:
                raise SystemExit(f"the incremental job ended as {document['status']}: {document.get('error')}\n{text.read()[-3000:]}")
        return dict(wall=wall, cpu=usage.ru_utime + usage.ru_stime, rss=watched.rss, files=watched.files, report=document)

    def until_ended(self, job, process, limit):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            # Looked at without reaping: its cost is asked for in the end.
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise SystemExit(f"the service ended before the job {job} did")
            document = call(self.url, "GET", f"/.elastic-connectors-sync-jobs/_doc/{job}")["_source"]
            if document["status"] in ("completed", "error", "canceled"):
                return document
            time.sleep(0.02)
        raise SystemExit(f"the job {job} did not end within {limit} s")
