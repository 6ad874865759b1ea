"""Tables of PostgreSQL: expectation rules of the `postgresql` source."""
import ipaddress
import os
import subprocess
from datetime import timedelta, timezone

from ftest import data
from ftest.rules import AnyOf, Null, Text
from ftest.tables import Array, Column, Table, Tables, View, literal, rule_of

SERVICE_TYPE = "postgresql"
BACKEND = "postgresql"
DATABASE, USER, PASSWORD = "ftest", "elastic", "elastic"
ZONE = timezone(timedelta(hours=5, minutes=30))
CITIES = ["Zürich", "東京", "القاهرة"]
# What only full syncs see: rows that have no key.
UNSEEN = ["log_lines", "names"]


def sql(value):
    if isinstance(value, Array):
        return f"ARRAY[{','.join(map(sql, value))}]" if value else "'{}'"
    return literal(value, lambda text: "'" + text.replace("'", "''") + "'", lambda value: f"'\\x{value.hex()}'")


def address(r):
    return str(r.choice((ipaddress.IPv4Address(r.getrandbits(32)), ipaddress.IPv6Address(r.getrandbits(128)))))


def host(value):
    """With or without the length of its mask."""
    return Null() if value is None else AnyOf([Text(value), Text(f"{value}/{128 if ':' in value else 32}")])


def point(value):
    """`(x, y)` with numbers as in `1` or `1.0`, with or without the blank."""
    if value is None:
        return Null()
    x, y = value[1:-1].split(",")
    return AnyOf([Text(f"({x}{tail},{blank}{y}{tail})") for tail in ("", ".0") for blank in ("", " ")])


def wide():
    """120 columns of mixed types."""
    makes = [("varchar(60)", lambda r, n: data.words(r, 30)), ("integer", lambda r, n: r.randrange(-2**31, 2**31)),
             ("numeric(12,3)", lambda r, n: data.decimal(r, 12, 3)), ("date", lambda r, n: data.day(r)), ("text", lambda r, n: data.text(r, 4))]
    return [Column(f"wide_{n:03}", *makes[n % len(makes)]) for n in range(120)]


def tables():
    people = Table("people", 0.5, ["person"], [
        Column("person", "bigint", lambda r, n: n + 1), Column('"Full Name"', "varchar(200)", lambda r, n: data.name(r)),
        Column("bio", "text", lambda r, n: data.text(r, 60)), Column("born", "date", lambda r, n: data.day(r)),
        Column("active", "boolean", lambda r, n: r.random() < 0.5), Column("balance", "numeric(28,10)", lambda r, n: data.decimal(r, 28, 10)),
        Column("score", "double precision", lambda r, n: data.real(r)), Column("joined", "timestamp", lambda r, n: data.moment(r)),
        Column("seen", "timestamptz", lambda r, n: data.moment(r, zone=ZONE)), Column("settings", "jsonb", lambda r, n: data.settings(r)),
        Column("raw_settings", "json", lambda r, n: data.settings(r)), Column("photo", "bytea", lambda r, n: data.blob(r)),
        Column("small", "smallint", lambda r, n: r.randrange(-2**15, 2**15)), Column("big", "bigint", lambda r, n: r.randrange(-2**63, 2**63)),
        Column("token", "uuid", lambda r, n: data.guid(r)), Column("alarm", "time", lambda r, n: data.clock(r)),
        Column("words", "text[]", lambda r, n: Array(data.text(r, 1) for _ in range(r.randrange(4)))),
        Column("scores", "int[]", lambda r, n: Array(r.randrange(-100, 100) for _ in range(r.randrange(4)))),
        Column("address", "inet", lambda r, n: address(r), host), Column("bits", "varbit", lambda r, n: f"{r.getrandbits(9):09b}"),
        Column("postcode", "varchar(20)", lambda r, n: data.code(r)),
        Column("place", "point", lambda r, n: f"({r.randrange(-90, 90)},{r.randrange(-180, 180)})", point)])
    orders = Table("orders", 0.37, ["number", "city"], [
        Column("city", "text", lambda r, n: CITIES[n % len(CITIES)]), Column("number", "int", lambda r, n: n // len(CITIES)),
        Column("customer", "text", lambda r, n: data.name(r)), Column("total", "numeric(10,2)", lambda r, n: data.decimal(r, 10, 2)),
        Column("placed", "timestamp(0)", lambda r, n: data.moment(r, micros=False)), Column("remark", "text", lambda r, n: data.text(r, 400))])
    ledger = Table('"Ledger"', 0.1, ["day", "account", "entry"], [
        Column("day", "date", lambda r, n: data.date(2024, 1, 1 + n % 28)), Column("account", "bigint", lambda r, n: n % 7 - 3),
        Column("entry", "uuid", lambda r, n: data.guid(r)), Column("id", "int", lambda r, n: r.randrange(1000)),
        Column("amount", "numeric", lambda r, n: data.decimal(r, 18, 6))])
    sheets = Table("sheets", 0.03, ["sheet"], [Column("sheet", "int", lambda r, n: n * 1000), *wide()])
    log = Table("log_lines", 0.01, [], [Column("line", "text", lambda r, n: data.text(r)), Column("at", "int", lambda r, n: n)], mark="at")
    return [people, orders, ledger, sheets, log, View("names", people, ["person", '"Full Name"'], 50)]


class Source:
    """`only`: these tables."""

    def __init__(self, folder, port, count, only=None, schema="Sales"):
        self.port, self.schema, self.tables = port, schema, Tables(only or tables(), count, sql, self.run)

    def client(self, database, *flags):
        return ["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database, *flags]

    def run(self, statements, database=DATABASE):
        process = subprocess.Popen(self.client(database), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "PGPASSWORD": PASSWORD})
        try:
            process.stdin.write(f"SET client_min_messages = warning; SET search_path = \"{self.schema}\"; SET TIME ZONE 'UTC';\n".encode())
            for statement in statements:
                process.stdin.write(statement.encode())
            process.stdin.close()
        except BrokenPipeError:
            pass
        if process.wait():
            raise SystemExit("psql refused a statement, see above")

    def ask(self, query, database="postgres"):
        done = subprocess.run(self.client(database, "-Atc", query), check=True, stdout=subprocess.PIPE, env={**os.environ, "PGPASSWORD": PASSWORD})
        return done.stdout.decode().strip()

    def settings(self):
        return {"host": "127.0.0.1", "port": self.port, "username": USER, "database": DATABASE, "schema": self.schema, "tables": "*"}, {"password": PASSWORD}

    def run_alone(self, statement, database="postgres", **others):
        """A statement that wants no transaction around it."""
        flags = [part for part in self.client(database, "-c", statement) if part != "-1"]
        subprocess.run(flags, check=True, env={**os.environ, "PGPASSWORD": PASSWORD}, **others)

    def drop(self):
        # A slot keeps its database from being dropped.
        self.forget_slots()
        self.run_alone(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", stderr=subprocess.DEVNULL)

    def settle(self):
        """Has the server do now what it does some time after a load: what is measured next would find it at that."""
        self.run_alone("VACUUM ANALYZE", DATABASE, stderr=subprocess.DEVNULL)
        self.run_alone("CHECKPOINT")

    def forget_slots(self):
        self.ask(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{DATABASE}' AND NOT active")

    def load(self):
        self.drop()
        self.run_alone(f"CREATE DATABASE {DATABASE}")
        self.run([f'CREATE SCHEMA "{self.schema}";\n'])
        self.tables.load()
        self.run(["CREATE TABLE nothing (a int PRIMARY KEY);\n",
                  "CREATE TABLE public.elsewhere (a int PRIMARY KEY); INSERT INTO public.elsewhere VALUES (1);\n"])
        self.settle()

    def change(self, share):
        return self.tables.change(share)

    def change_for_incremental(self, share):
        return self.tables.change(share, UNSEEN)

    def see_all(self):
        return self.tables.see_all()

    def prefix(self, name):
        return f"{DATABASE}_{self.schema}_{bare(name)}"

    def field(self, table, column):
        return f"{self.schema}_{bare(table)}_{bare(column)}".lower()

    def expected(self):
        return self.tables.expected(self.prefix, lambda table: table.key)

    def identify(self, identifier, got):
        name = got.get("table")
        return self.tables.hashed(identifier, name, self.prefix(str(name)), lambda table, column: self.field(table.name, column), got)

    def version(self, row):
        return row[2]

    def document(self, row):
        table, number, version = row
        values, name = table.row(number, version), bare(table.name)
        fields = {column.name: column.rule(values[column.name]) for column in table.columns}
        fields["version"] = rule_of(values["version"])
        prefixed = {self.field(name, column): rule for column, rule in fields.items()}
        return {**prefixed, "database": Text(DATABASE), "schema": Text(self.schema), "table": Text(name)}

    def versions(self):
        return {"server": f"PostgreSQL {self.ask('SHOW server_version')}"}

    def close(self):
        self.drop()


def bare(name):
    """A name without its quotes."""
    return name.strip('"')
