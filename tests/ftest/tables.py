"""Tables of a SQL database: how they are made, filled and changed, and what each row holds."""
import json
import re
import uuid
from datetime import date, datetime, time
from decimal import Decimal

from ftest import data
from ftest.live import Live
from ftest.rules import Blob, Clock, Day, Flag, Json, Moment, Null, Number, Structure, Text

# Rows in one statement.
BATCH = 200


class Array(list):
    """A value of an array type."""


def rule_of(value):
    """The rule that the type of a value says."""
    for kinds, rule in (((type(None),), lambda _: Null()), ((bool,), Flag), ((int, Decimal, float), Number), ((str,), Text), ((datetime,), Moment),
                        ((date,), Day), ((time,), Clock), ((bytes,), Blob), ((uuid.UUID,), lambda value: Text(str(value))),
                        ((Array,), lambda value: Structure([rule_of(one) for one in value])), ((dict, list), Json)):
        if isinstance(value, kinds):
            return rule(value)
    raise TypeError(f"no rule for {value!r}")


class Column:
    """`make(r, number)`: the value of the row of that number. Columns of the key use the number only: a row keeps its key."""

    def __init__(self, name, kind, make, rule=rule_of, null=0.15):
        self.name, self.kind, self.make, self.rule, self.null = name, kind, make, rule, null


class Table:
    """`share`: of all documents. Rows of a table without a key are told apart by `mark`, one of its columns, as if it were the key;
    the id of such a document, a hash of the row, is not foretold."""

    def __init__(self, name, share, key, columns, mark=None):
        self.name, self.share, self.key, self.columns, self.mark = name, share, key, columns, mark
        self.fixed = key or [mark]
        for column in columns:
            if column.name in self.fixed:
                column.null = 0
        self.live = None

    def fill(self, count):
        self.live = Live(self.name, count)

    def versions(self):
        """Version of each row the index should hold."""
        return self.live.versions

    def row(self, number, version):
        """The values by column."""
        r, fixed = data.rng(self.name, number, version), data.rng(self.name, number)
        row = {}
        for column in self.columns:
            value = column.make(fixed if column.name in self.fixed else r, number)
            row[column.name] = data.sometimes(r, value, column.null)
        # Whatever the random numbers say: a changed row differs.
        row["version"] = version
        return row

    def key_of(self, number):
        """The key's values by column, in the order of the columns, which need not be the key's."""
        fixed = data.rng(self.name, number)
        return {column.name: column.make(fixed, number) for column in self.columns if column.name in self.fixed}

    def create(self):
        columns = [f"{column.name} {column.kind}{' NOT NULL' if column.name in self.key else ''}" for column in self.columns] + ["version INT NOT NULL"]
        key = [f"PRIMARY KEY ({', '.join(self.key)})"] if self.key else []
        return f"CREATE TABLE {self.name} ({', '.join(columns + key)});\n"

    def inserts(self, numbers, literal):
        numbers = list(numbers)
        for start in range(0, len(numbers), BATCH):
            rows = (self.row(number, self.live.versions[number]) for number in numbers[start:start + BATCH])
            yield f"INSERT INTO {self.name} VALUES " + ",".join(f"({','.join(map(literal, row.values()))})" for row in rows) + ";\n"

    def where(self, number, literal):
        return " AND ".join(f"{name} = {literal(value)}" for name, value in self.key_of(number).items())

    def change(self, share, literal):
        """Statements that delete, change and add this share of the rows each, and the numbers of the rows."""
        gone, changed, new = self.live.change(share)
        statements = [f"DELETE FROM {self.name} WHERE {self.where(number, literal)};\n" for number in gone]
        for number in changed:
            sets = ", ".join(f"{name} = {literal(value)}" for name, value in self.row(number, self.live.versions[number]).items() if name not in self.fixed)
            statements.append(f"UPDATE {self.name} SET {sets} WHERE {self.where(number, literal)};\n")
        return [*statements, *self.inserts(new, literal)], (gone, changed, new)


class View:
    """Some columns of every `every`-th row of a table."""

    key = []

    def __init__(self, name, table, names, every):
        self.name, self.table, self.mark, self.every = name, table, names[0], every
        self.columns = [column for column in table.columns if column.name in names]

    def versions(self):
        return {number: self.table.live.versions[number] for number in self.of(self.table.live.versions)}

    def of(self, numbers):
        return [number for number in numbers if number % self.every == 0]

    def row(self, number, version):
        row = self.table.row(number, version)
        return {**{column.name: row[column.name] for column in self.columns}, "version": row["version"]}

    def key_of(self, number):
        return {self.mark: self.table.key_of(number)[self.mark]}

    def create(self):
        # Numbers begin with 0, the mark with 1.
        names = ", ".join([column.name for column in self.columns] + ["version"])
        return f"CREATE VIEW {self.name} AS SELECT {names} FROM {self.table.name} WHERE ({self.mark} - 1) % {self.every} = 0;\n"


class Tables:
    """All tables of a source. `literal`: a value as SQL; `run`: gives an iterable of statements to the server's client."""

    def __init__(self, tables, count, literal, run):
        self.all, self.literal, self.run = tables, literal, run
        self.tables = [table for table in tables if isinstance(table, Table)]
        for table in self.tables:
            table.fill(max(4, int(count * table.share)))
        # What the index is to hold of tables whose changes it does not have yet.
        self.behind = {}

    def load(self):
        self.run(table.create() for table in self.all)
        for table in self.tables:
            self.run(table.inserts(table.live.versions, self.literal))

    def change(self, share, unseen=()):
        """Answers how many documents come, change and go; `unseen` are names of tables whose documents stay as they were until
        `see_all`. A document whose id is a hash of its row does not change: it goes, and one comes."""
        counts, statements = dict(inserted=0, changed=0, deleted=0), []
        self.behind.update({table.name: dict(table.versions()) for table in self.all if table.name in unseen})

        def count(table, gone, changed, new):
            if table.name in self.behind:
                return
            renamed = 0 if table.key else len(changed)
            for name, number in (("inserted", len(new) + renamed), ("changed", len(changed) - renamed), ("deleted", len(gone) + renamed)):
                counts[name] += number

        for table in self.tables:
            some, numbers = table.change(share, self.literal)
            statements += some
            count(table, *numbers)
            for view in self.all:
                if isinstance(view, View) and view.table is table:
                    count(view, *map(view.of, numbers))
        self.run(statements)
        return counts

    def see_all(self):
        """From now on the index is to hold everything. Answers how many documents come and go for that."""
        before, self.behind = self.behind, {}
        counts = dict(inserted=0, changed=0, deleted=0)
        for table in self.all:
            then, now = before.get(table.name, table.versions()).items(), table.versions().items()
            counts["inserted"] += len(now - then)
            counts["deleted"] += len(then - now)
        return counts

    def expected(self, prefix, order):
        """What tells a document → its table, number and version. That is its id: `prefix(table)`, what ids begin with, and the values
        of `order(table)`, columns of the key. Without a key it is the name of the table and the mark's value."""
        found = {}
        for table in self.all:
            start, columns = prefix(table.name), order(table)
            for number, version in self.behind.get(table.name, table.versions()).items():
                key = table.key_of(number)
                named = "_".join([start, *(key_text(key[name], len(columns)) for name in columns)]) if table.key else (table.name, key[table.mark])
                found[named] = (table, number, version)
        return found

    def hashed(self, identifier, name, prefix, field, got):
        """What tells a document of a table without a key: none of these if it is none. `field(table, column)`: name of a field."""
        for table in self.all:
            if table.name == name and not table.key and re.fullmatch(f"{re.escape(prefix)}_[0-9a-f]{{32}}", identifier):
                return name, got.get(field(table, table.mark))
        return None


def key_text(value, columns):
    """In a key of several columns, texts have their separators escaped: else two keys could have one id."""
    if isinstance(value, str) and columns > 1:
        return value.replace("\\", "\\\\").replace("_", "\\_")
    return value.isoformat() if isinstance(value, date) else str(value)


def literal(value, text, blob):
    """A value as SQL, as far as the dialects agree; `text` and `blob`: how a dialect quotes those."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (int, Decimal)):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, bytes):
        return blob(value)
    if isinstance(value, datetime):
        return f"'{value.isoformat(sep=' ')}'"
    if isinstance(value, (date, time)):
        return f"'{value.isoformat()}'"
    if isinstance(value, (dict, list)):
        return text(json.dumps(value, ensure_ascii=False))
    return text(str(value))
