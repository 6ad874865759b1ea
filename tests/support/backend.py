"""Servers from tests/backends, each with a port and a data folder of its own, ended when the run ends."""
import glob
import os
import subprocess
import sys

from support.processes import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Backend:
    """A running server: `port`, `data`, and `pid`, its process."""

    def __init__(self, name, folder, *flags):
        self.name, self.port, self.data = name, free_port(), os.path.join(folder, name)
        # A server that is started by root runs as somebody else, who has to get here.
        os.chmod(folder, 0o755)
        command = [f"{ROOT}/tests/backends/{name}/start", "--port", str(self.port), "--data", self.data, *flags]
        started = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if started.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{started.stdout[-3000:]}")
        with open(os.path.join(self.data, "pid")) as file:
            self.pid = int(file.read())

    def stop(self):
        command = [f"{ROOT}/tests/backends/{self.name}/stop", "--data", self.data]
        if self.name in ("elasticsearch", "opensearch"):
            command += ["--port", str(self.port)]
        subprocess.run(command, stdout=subprocess.DEVNULL)


def elasticsearch(folder, heap="1g"):
    return Backend("elasticsearch", folder, "--heap", heap)


def pymongo():
    """The module, from the environment in the backends' cache."""
    cache = os.environ.get("BACKENDS_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "backends")
    venv = os.path.join(cache, "secantusdb")
    if not glob.glob(f"{venv}/lib/python3*/site-packages/pymongo"):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([f"{venv}/bin/pip", "-q", "install", "pymongo"], check=True)
    sys.path += glob.glob(f"{venv}/lib/python3*/site-packages")
    import pymongo as module
    return module
