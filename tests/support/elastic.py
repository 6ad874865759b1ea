"""A few requests to Elasticsearch. Standard library only."""
import contextlib
import json
import time
import urllib.error
import urllib.request
from decimal import Decimal


def call(url, method, path, body=None, kind="application/json"):
    """The answer as JSON; None where a GET or DELETE finds nothing."""
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, method=method, data=data, headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        if error.code == 404 and method in ("GET", "DELETE"):
            return None
        raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()[:500]}")


@contextlib.contextmanager
def point_in_time(url, index):
    """The id of a point in time of all that was written until now."""
    call(url, "POST", f"/{index}/_refresh")
    pit = call(url, "POST", f"/{index}/_pit?keep_alive=5m")["id"]
    try:
        yield pit
    finally:
        call(url, "DELETE", "/_pit", {"id": pit})


def documents(url, pit, part=0, parts=1):
    """(id, source) of every document of a point in time, or of one of so many parts of them. Numbers with a fraction are `Decimal`, so
    that no digit gets lost on the way."""
    after = []
    while True:
        body = {"size": 2000, "pit": {"id": pit, "keep_alive": "5m"}, "sort": ["_shard_doc"]}
        if parts > 1:
            body["slice"] = {"id": part, "max": parts}
        if after:
            body["search_after"] = after
        request = urllib.request.Request(url + "/_search", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            hits = json.loads(answer.read(), parse_float=Decimal)["hits"]["hits"]
        if not hits:
            return
        yield from ((hit["_id"], hit["_source"]) for hit in hits)
        after = [int(value) for value in hits[-1]["sort"]]


def wait_until_idle(url, seconds=60):
    """Until no merge of segments runs: what was written before would cost what is measured next."""
    end = time.monotonic() + seconds
    while call(url, "GET", "/_stats/merge?filter_path=_all.total.merges.current")["_all"]["total"]["merges"]["current"]:
        if time.monotonic() > end:
            raise SystemExit(f"{url} still merges segments after {seconds} s")
        time.sleep(0.1)


def wait_until_up(url, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            return call(url, "GET", "/")
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise SystemExit(f"{url} does not answer")
            time.sleep(0.05)
