"""What a value in an index may look like. Each rule is one value of the source; `agrees` says whether what was indexed is that
value in one of the forms a source may document for it, and nothing else."""
import base64
import json
import re
from datetime import datetime, timezone
from decimal import Decimal


class Rule:
    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return f"{type(self).__name__.lower()} {self.value!r}"


class Null(Rule):
    """A null, or no such field."""

    def __init__(self):
        super().__init__(None)

    def agrees(self, got):
        return got is None


class Text(Rule):
    def agrees(self, got):
        return type(got) is str and got == self.value


class Flag(Rule):
    def agrees(self, got):
        return type(got) is bool and got == self.value


class BitFlag(Rule):
    """A boolean of a server that has only small numbers for it."""

    def agrees(self, got):
        return type(got) in (bool, int) and got == self.value


class Number(Rule):
    """A number with a fixed value: as a number or as its decimal text, no digit less. `value`: int, Decimal, or float."""

    def agrees(self, got):
        if type(got) is bool or not isinstance(got, (int, Decimal, str)):
            return False
        if isinstance(got, str) and not re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", got):
            return False
        if isinstance(self.value, float):
            return not isinstance(got, str) and float(got) == self.value
        return Decimal(got) == Decimal(self.value)


class Day(Rule):
    def agrees(self, got):
        return got == self.value.isoformat()


class Moment(Rule):
    """ISO 8601. A time without a zone may be written without one or as UTC, one with a zone as any form of the same instant."""

    def agrees(self, got):
        if not isinstance(got, str) or not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", got):
            return False
        try:
            read = datetime.fromisoformat(got.replace("Z", "+00:00"))
        except ValueError:
            return False
        if self.value.tzinfo is None:
            return read.replace(tzinfo=None) == self.value and not read.utcoffset()
        return read.tzinfo is not None and read == self.value


class Clock(Rule):
    """A time of the day."""

    def agrees(self, got):
        match = isinstance(got, str) and re.fullmatch(r"(\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?", got)
        return bool(match) and match[1] == self.value.strftime("%H:%M:%S") and int((match[2] or "0").ljust(6, "0")) == self.value.microsecond


class Blob(Rule):
    """Bytes: base64, or their text. Text may lack what is no UTF-8, as in Elastic's own service."""

    def agrees(self, got):
        return got in (base64.b64encode(self.value).decode(), self.value.decode(errors="ignore"))


class Json(Rule):
    """A structure, as itself or as JSON text."""

    def agrees(self, got):
        if isinstance(got, str):
            try:
                got = json.loads(got, parse_float=Decimal)
            except ValueError:
                return False
        return same(got, self.value)


class Structure(Rule):
    """Lists and objects whose leaves are rules."""

    def agrees(self, got):
        return fits(got, self.value)


class AnyOf(Rule):
    """One of these rules or plain values."""

    def agrees(self, got):
        return any(fits(got, one) for one in self.value)


class Within(Rule):
    """A number between two."""

    def agrees(self, got):
        return isinstance(got, (int, Decimal)) and self.value[0] <= float(got) <= self.value[1]


def fits(got, rule):
    if isinstance(rule, Rule):
        return rule.agrees(got)
    if isinstance(rule, dict):
        return isinstance(got, dict) and got.keys() == rule.keys() and all(fits(got[key], rule[key]) for key in rule)
    if isinstance(rule, list):
        return isinstance(got, list) and len(got) == len(rule) and all(map(fits, got, rule))
    return same(got, rule)


def same(got, value):
    """Equal JSON: 1 is not true, and 0.1 is the number of that text."""
    if isinstance(value, dict):
        return isinstance(got, dict) and got.keys() == value.keys() and all(same(got[key], value[key]) for key in value)
    if isinstance(value, list):
        return isinstance(got, list) and len(got) == len(value) and all(map(same, got, value))
    if isinstance(value, bool) or isinstance(got, bool) or value is None or isinstance(value, str):
        return type(got) is type(value) and got == value
    return isinstance(got, (int, Decimal, float)) and Decimal(str(got)) == Decimal(str(value))


def is_moment(text):
    """Whether it is ISO 8601 and in the past; without a zone it is UTC."""
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, AttributeError):
        return False
    return (read if read.tzinfo else read.replace(tzinfo=timezone.utc)) < datetime.now(timezone.utc)
