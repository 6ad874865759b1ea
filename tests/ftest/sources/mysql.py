"""Tables of MariaDB: expectation rules of the `mysql` source."""
import os
import subprocess

from ftest import data
from ftest.rules import AnyOf, BitFlag, Text
from ftest.tables import Column, Table, Tables, View, literal

SERVICE_TYPE = "mysql"
BACKEND = "mariadb"
DATABASE, USER, PASSWORD = "ftest", "elastic", "elastic"
SHOPS = ["north", "süd", "東", "it's"]
KINDS, TAGS = ["small", "médium", "LARGE"], ["a", "b", "c"]
# What only full syncs see: rows that have no key.
UNSEEN = ["log_lines", "names"]


def sql(value):
    return literal(value, quoted, lambda value: f"x'{value.hex()}'")


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0") + "'"


def tags(r):
    return ",".join(tag for tag in TAGS if r.random() < 0.5)


def flag(value):
    return AnyOf([None]) if value is None else BitFlag(value)


def set_of(value):
    """A SET is text or a list."""
    return AnyOf([None]) if value is None else AnyOf([Text(value), value.split(",") if value else []])


def wide():
    """120 columns of mixed types."""
    makes = [("VARCHAR(60)", lambda r, n: data.words(r, 30)), ("INT", lambda r, n: r.randrange(-2**31, 2**31)),
             ("DECIMAL(12,3)", lambda r, n: data.decimal(r, 12, 3)), ("DATE", lambda r, n: data.day(r)), ("TEXT", lambda r, n: data.text(r, 4))]
    return [Column(f"wide_{n:03}", *makes[n % len(makes)]) for n in range(120)]


def tables():
    people = Table("people", 0.5, ["person"], [
        Column("person", "BIGINT", lambda r, n: n + 1), Column("full_name", "VARCHAR(200)", lambda r, n: data.name(r)),
        Column("email", "VARCHAR(100)", lambda r, n: data.email(r)), Column("bio", "TEXT", lambda r, n: data.text(r, 60)),
        Column("born", "DATE", lambda r, n: data.day(r)), Column("active", "BOOLEAN", lambda r, n: r.random() < 0.5, flag),
        Column("balance", "DECIMAL(28,10)", lambda r, n: data.decimal(r, 28, 10)), Column("score", "DOUBLE", lambda r, n: data.real(r)),
        Column("joined", "DATETIME(6)", lambda r, n: data.moment(r)), Column("born_at", "DATETIME", lambda r, n: data.moment(r, micros=False)),
        Column("seen", "TIMESTAMP(6) NULL", lambda r, n: data.moment(r, first=10_000, last=2_000_000_000)),
        Column("settings", "JSON", lambda r, n: data.settings(r)), Column("photo", "BLOB", lambda r, n: data.blob(r)),
        Column("small", "TINYINT", lambda r, n: r.randrange(-128, 128)), Column("big", "BIGINT", lambda r, n: r.randrange(-2**63, 2**63)),
        Column("unsigned_big", "BIGINT UNSIGNED", lambda r, n: r.randrange(2**64)), Column("year_of", "YEAR", lambda r, n: r.randrange(1901, 2155)),
        Column("size", f"ENUM({','.join(map(quoted, KINDS))})", lambda r, n: r.choice(KINDS)),
        Column("tags", f"SET({','.join(map(quoted, TAGS))})", lambda r, n: tags(r), set_of),
        Column("alarm", "TIME(6)", lambda r, n: data.clock(r)), Column("postcode", "VARCHAR(20)", lambda r, n: data.code(r))])
    orders = Table("orders", 0.37, ["shop", "number"], [
        Column("number", "INT", lambda r, n: n // len(SHOPS)), Column("shop", "VARCHAR(20)", lambda r, n: SHOPS[n % len(SHOPS)]),
        Column("customer", "VARCHAR(200)", lambda r, n: data.name(r)), Column("total", "DECIMAL(10,2)", lambda r, n: data.decimal(r, 10, 2)),
        Column("placed", "DATETIME", lambda r, n: data.moment(r, micros=False)), Column("paid", "TINYINT(1)", lambda r, n: r.random() < 0.5, flag),
        Column("remark", "LONGTEXT", lambda r, n: data.text(r, 400))])
    # Its own column `id` is no part of the key.
    ledger = Table("ledger", 0.1, ["day", "account", "code"], [
        Column("code", "VARCHAR(40) COLLATE utf8mb4_bin", lambda r, n: f"c_{n}-ü🎉"), Column("account", "BIGINT", lambda r, n: n % 7 - 3),
        Column("day", "DATE", lambda r, n: data.date(2024, 1, 1 + n % 28)), Column("id", "INT", lambda r, n: r.randrange(1000), null=0),
        Column("amount", "DECIMAL(28,10)", lambda r, n: data.decimal(r, 28, 10))])
    sheets = Table("sheets", 0.03, ["sheet"], [Column("sheet", "INT", lambda r, n: n * 1000), *wide()])
    log = Table("log_lines", 0.01, [], [Column("line", "TEXT", lambda r, n: data.text(r)), Column("at", "INT", lambda r, n: n)], mark="at")
    return [people, orders, ledger, sheets, log, View("names", people, ["person", "full_name"], 50)]


class Source:
    """`only`: these tables."""

    def __init__(self, folder, port, count, only=None):
        self.port, self.tables = port, Tables(only or tables(), count, sql, self.run)

    def client(self, *flags):
        return ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.port}", f"-u{USER}", "--default-character-set=utf8mb4", "--binary-mode", *flags]

    def run(self, statements, database=DATABASE):
        process = subprocess.Popen(self.client(*[database] if database else []), stdin=subprocess.PIPE, env={**os.environ, "MYSQL_PWD": PASSWORD})
        try:
            process.stdin.write(b"SET time_zone = '+00:00'; SET autocommit = 0;\n")
            for statement in statements:
                process.stdin.write(statement.encode())
            process.stdin.write(b"COMMIT;\n")
            process.stdin.close()
        except BrokenPipeError:
            pass
        if process.wait():
            raise SystemExit("the mariadb client refused a statement, see above")

    def ask(self, query):
        done = subprocess.run(self.client("-NBe", query), check=True, stdout=subprocess.PIPE, env={**os.environ, "MYSQL_PWD": PASSWORD})
        return done.stdout.decode().strip()

    def settings(self):
        return {"host": "127.0.0.1", "port": self.port, "user": USER, "database": DATABASE, "tables": "*"}, {"password": PASSWORD}

    def load(self):
        self.run([f"DROP DATABASE IF EXISTS {DATABASE}; CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;\n"], database=None)
        self.tables.load()
        self.run(["CREATE TABLE nothing (a INT PRIMARY KEY);\n"])

    def change(self, share):
        return self.tables.change(share)

    def change_for_incremental(self, share):
        return self.tables.change(share, UNSEEN)

    def see_all(self):
        return self.tables.see_all()

    def expected(self):
        # The key's columns come in the order of the table's columns, whatever the order of the key is.
        return self.tables.expected(lambda name: name, lambda table: [column.name for column in table.columns if column.name in table.key])

    def identify(self, identifier, got):
        return self.tables.hashed(identifier, got.get("Table"), got.get("Table"), lambda table, column: column, got)

    def version(self, row):
        return row[2]

    def document(self, row):
        table, number, version = row
        values = table.row(number, version)
        fields = {column.name: column.rule(values[column.name]) for column in table.columns}
        return {**fields, "version": values["version"], "Table": table.name}

    def versions(self):
        return {"server": self.ask("SELECT @@version")}

    def close(self):
        self.run([f"DROP DATABASE IF EXISTS {DATABASE};\n"], database=None)
