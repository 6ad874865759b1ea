"""That the verifier notices what is wrong:  cd tests && python3 -m unittest ftest.test_verify"""
import contextlib
import json
import unittest
from datetime import datetime, timedelta, timezone
from unittest import mock

from ftest import verify
from ftest.rules import Null, Number


class Held:
    """A source of two documents, the first of them of some version."""

    def __init__(self, version=1):
        self.rows, self.taken_apart = {"a": version, "b": 2}, 0

    def expected(self):
        return self.rows

    def identify(self, identifier, got):
        return None

    def version(self, row):
        return row

    def document(self, row):
        self.taken_apart += 1
        return {"n": Number(row), "gone": Null()}


def holding(*found):
    """An index of these documents."""
    return mock.patch.multiple(verify, point_in_time=lambda *_: contextlib.nullcontext(""),
                               documents=lambda url, pit, part, parts: iter(found[part::parts]))


class Verified(unittest.TestCase):
    def verified(self, *found):
        source = Held()
        with holding(*found):
            return verify.verify("", "", source, source.expected(), "first", {})

    def test_an_index_as_it_should_be(self):
        self.assertEqual(self.verified(indexed("a", n=1), indexed("b", n=2, gone=None)), (2, 2))

    def test_each_kind_of_difference(self):
        a, b = indexed("a", n=1), indexed("b", n=2)
        future = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
        for problem, found in {
            "missing": [a], "not in the source": [a, b, indexed("c", n=3)], "twice": [a, a, b], "no hash": [a, indexed("b", n=2, _content_hash="x")], "is not number 2": [a, indexed("b", n=1)],
            "was not expected": [a, indexed("b", n=2, more=1)], "id: ": [a, ("b", {**b[1], "id": "a"})], "_timestamp is": [a, indexed("b", n=2, _timestamp=future)],
        }.items():
            with self.assertRaisesRegex(verify.Mismatch, problem):
                self.verified(*found)

    def test_only_the_same_document_of_the_same_version_is_passed_over(self):
        def compare(got, version, before):
            source = Held(version)
            with holding(got):
                told, problems = verify.compare(0, 1, "", "", source, source.expected(), before)
            return {name: rest for name, *rest in told}, len(problems), source.taken_apart

        good = indexed("a", n=1)
        before, problems, taken_apart = compare(good, 1, {})
        self.assertEqual((problems, taken_apart), (0, 1))
        self.assertEqual(compare(good, 1, before), (before, 0, 0))
        for got, version in (indexed("a", n=2), 1), (indexed("a", n=1, more=1), 1), (indexed("a", n=1.5), 1), (good, 3):
            self.assertEqual(compare(got, version, before)[1:], (1, 1), (got, version))


def indexed(identifier, **fields):
    return identifier, json.loads(json.dumps({"id": identifier, "_timestamp": "2024-01-01T00:00:00+00:00", **fields}))


if __name__ == "__main__":
    unittest.main()
