"""Compares every document of an index, field by field, with what the source holds."""
import re

from ftest.rules import Null, Text, fits, is_moment
from support.elastic import documents

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


def verify(url, index, source, phase):
    """Answers how many documents and fields agree; raises at the end of the index if any does not, or one is missing or too many."""
    expected, problems, seen, fields = source.expected(), [], set(), 0
    for identifier, got in documents(url, index):
        told = identifier if identifier in expected else source.identify(identifier, got)
        if told not in expected:
            problems.append(f"{identifier}: not in the source")
            continue
        if told in seen:
            problems.append(f"{identifier}: twice")
        seen.add(told)
        row = expected[told]
        rules = source.document(row)
        fields += sum(not isinstance(rule, Null) for rule in rules.values())
        problems += [f"{identifier}: {line}" for line in differences(identifier, got, rules)]
        if len(problems) > 1000:
            break
    else:
        problems += [f"{identifier}: missing in the index" for identifier in map(str, expected.keys() - seen)]
    if problems:
        lines = "\n  ".join(sorted(problems)[:SHOWN])
        raise Mismatch(f"after the {phase} sync the index {index} is not what the source holds: {len(problems):,} differences\n  {lines}")
    return len(seen), fields
