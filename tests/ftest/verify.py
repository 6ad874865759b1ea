"""Compares every document of an index, field by field, with what the source holds."""
import collections
import hashlib
import json
import multiprocessing
import os
import re

from ftest.rules import Null, Text, fits, is_moment
from support.elastic import documents, point_in_time

HASH = re.compile(r"[A-Za-z0-9_-]{22}")
SHOWN = 10


class Mismatch(SystemExit):
    pass


def differences(identifier, got, expected):
    """What is wrong with one document, as lines."""
    wrong = []
    got = dict(got)
    if not is_moment(got.pop("_timestamp", None)):
        wrong.append("_timestamp is missing or no moment in the past")
    if (version := got.pop("_content_hash", None)) is not None and not HASH.fullmatch(str(version)):
        wrong.append(f"_content_hash: {version!r} is no hash")
    if "id" not in expected:
        expected = {**expected, "id": Text(identifier)}
    for field, rule in expected.items():
        value = got.pop(field, None)
        if not fits(value, rule):
            wrong.append(f"{field}: {value!r:.200} is not {rule!r:.200}")
    wrong += [f"{field}: {value!r:.200} was not expected" for field, value in got.items()]
    return wrong


def digest(identifier, got, version):
    """Of a document with all of its fields, and of the version it is to be."""
    whole = f"{identifier} {version} {json.dumps(got, sort_keys=True, default=repr)}"
    return hashlib.blake2b(whole.encode(errors="surrogatepass"), digest_size=16).digest()


def compare(part, parts, url, pit, source, expected, before):
    """One part of the documents: what told each of them, with its digest and how many of its fields agree, and what is wrong.
    `before`: the same of those that were compared in an earlier phase."""
    problems, told = [], []
    for identifier, got in documents(url, pit, part, parts):
        name = identifier if identifier in expected else source.identify(identifier, got)
        if name not in expected:
            problems.append(f"{identifier}: not in the source")
            continue
        row = expected[name]
        mark = digest(identifier, got, version) if (version := source.version(row)) is not None else None
        then = before.get(name)
        if mark and then and mark == then[0]:
            # The very document that was right then, and it is to be the same.
            told.append((name, *then))
            continue
        rules = source.document(row)
        told.append((name, mark, sum(not isinstance(rule, Null) for rule in rules.values())))
        problems += [f"{identifier}: {line}" for line in differences(identifier, got, rules)]
        if len(problems) > 1000:
            break
    return told, problems


# What the processes of `verify` compare with; they are forked, so that nothing of it is sent to them.
job = ()


def compare_part(part):
    return compare(part, *job)


def verify(url, index, source, expected, phase, before):
    """Answers how many documents and fields agree; raises at the end of the index if any does not, or one is missing or too many.
    `expected`: `source.expected()`. `before`: an empty dictionary, to be given again in the next phase: a document that is to be as it
    was, and is so to the last byte, is not taken apart again. One process for each processor: making the values takes the time."""
    global job
    parts = os.cpu_count() or 1
    with point_in_time(url, index) as pit:
        job = (parts, url, pit, source, expected, before)
        with multiprocessing.get_context("fork").Pool(parts) as pool:
            compared = pool.map(compare_part, range(parts), chunksize=1)
        job = ()
    told = [one for some, _ in compared for one in some]
    problems = [line for _, lines in compared for line in lines]
    seen = collections.Counter(name for name, _, _ in told)
    problems += [f"{name}: twice" for name, count in seen.items() if count > 1]
    if len(problems) <= 1000:
        problems += [f"{name}: missing in the index" for name in map(str, expected.keys() - seen)]
    if problems:
        lines = "\n  ".join(sorted(problems)[:SHOWN])
        raise Mismatch(f"after the {phase} sync the index {index} is not what the source holds: {len(problems):,} differences\n  {lines}")
    before.clear()
    before.update((name, (mark, fields)) for name, mark, fields in told)
    return len(seen), sum(fields for _, _, fields in told)
