"""Writes a report: one page without anything beside it."""
import json
import os
import re
import time

from ftest.report import recorder
from support.backend import ROOT

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = re.compile(r'<script id="data" type="application/json">(.*?)</script>', re.DOTALL)


def rendered(runs):
    """The page of one run, or of two beside each other."""
    with open(os.path.join(HERE, "template.html")) as template, open(os.path.join(HERE, "charts.js")) as script:
        text, code = template.read(), script.read()
    # A "</script>" in the data must not end it.
    data = json.dumps(runs, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return text.replace("/*DATA*/", data).replace("/*SCRIPT*/", code)


def write(name, size, record, versions, problem):
    run = {"name": name, "size": size, "when": time.strftime("%Y-%m-%d %H:%M"), "problem": problem, "phases": record.phases,
           "facts": {**versions, "machine": recorder.machine()}}
    folder = os.path.join(ROOT, "reports", name)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "index.html")
    with open(path, "w") as file:
        file.write(rendered([run]))
    return os.path.relpath(path, ROOT)


def read(path):
    """The run that a report shows."""
    try:
        with open(path) as file:
            return json.loads(DATA.search(file.read())[1])[0]
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(f"{path} is no report of tests/ftest: {error}")
