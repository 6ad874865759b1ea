"""Documents of a MongoDB-compatible server: expectation rules of the `mongodb` source."""

from ftest import data
from ftest.live import Live
from ftest.rules import AnyOf, Blob, Flag, Moment, Null, Number, Structure, Text
from support.backend import pymongo

SERVICE_TYPE = "mongodb"
BACKEND = "secantusdb"
DATABASE, COLLECTION = "ftest", "Items"
BATCH = 1000
# Within what the server's own and an index's dates can hold.
FIRST, LAST = -10_000_000_000, 10_000_000_000


def identity(number):
    """Ids of four types, in turn."""
    from bson import Binary, Int64, ObjectId
    r = data.rng("_id", number)
    return [ObjectId(r.randbytes(12)), Int64(2**40 + number), f"key/{number} ü🎉", Binary.from_uuid(data.guid(r))][number % 4]


def made(number, version):
    """A document, and the rules of its fields."""
    from bson import Binary, Code, DBRef, Decimal128, Int64, ObjectId, Regex, Timestamp
    r, fields, rules = data.rng("item", number, version), {"version": version}, {"version": Number(version)}

    def put(name, value, rule, null=0.15, absent=0.1):
        chance = r.random()
        if chance < absent:
            return
        fields[name], rules[name] = (None, Null()) if chance < absent + null else (value, rule)

    name, text, real, money, other = data.name(r), data.text(r, 60), data.real(r), data.decimal(r, 28, 10), ObjectId(r.randbytes(12))
    # As BSON keeps it: milliseconds.
    moment = data.moment(r, first=FIRST, last=LAST)
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    small, big, guid, blob, yes = r.randrange(-2**31, 2**31), r.randrange(-2**63, 2**63), data.guid(r), data.blob(r), r.random() < 0.5
    put("name", name, Text(name))
    put("text", text, Text(text))
    put("real", real, Number(real))
    put("small", small, Number(small))
    put("big", Int64(big), Number(big))
    put("flag", yes, Flag(yes))
    put("money", Decimal128(money), Number(money))
    put("other", other, Text(str(other)))
    put("moment", moment, Moment(moment))
    put("token", Binary.from_uuid(guid), Text(str(guid)))
    put("blob", Binary(blob), Blob(blob))
    put("pattern", Regex("^a.*z$", "i"), Text("/^a.*z$/i"))
    put("code", Code("return 1"), Text("return 1"))
    put("stamp", Timestamp(small & 0x7FFFFFFF, 7), Structure({"t": Number(small & 0x7FFFFFFF), "i": Number(7)}))
    put("reference", DBRef("people", other, "crm"), AnyOf([{"$ref": Text("people"), "$id": Text(str(other)), "$db": Text("crm")}]))
    # What the first document has in it decides the field's type in the index.
    day = f"{2000 + number % 30}-01-02"
    put("mixed", *[(small, Number(small)), (name, Text(name)), (day, Text(day)), (real, Number(real))][r.randrange(4)])
    address = {"street": data.text(r, 3), "geo": {"lat": round(r.uniform(-90, 90), 6), "lon": round(r.uniform(-180, 180), 6)}, "since": moment, "none": None}
    put("address", address, Structure({"street": Text(address["street"]), "geo": {key: Number(value) for key, value in address["geo"].items()},
                                       "since": Moment(moment), "none": Null()}))
    tags = [r.choice(data.WORDS) for _ in range(r.randrange(5))]
    put("tags", tags, Structure([Text(tag) for tag in tags]))
    lines = [(r.randrange(1, 100), data.decimal(r, 10, 2), data.guid(r)) for _ in range(r.randrange(4))]
    put("lines", [{"count": count, "price": Decimal128(price), "sku": Binary.from_uuid(sku)} for count, price, sku in lines],
        Structure([{"count": Number(count), "price": Number(price), "sku": Text(str(sku))} for count, price, sku in lines]))
    if number % 200 == 0:
        for n in range(100):
            put(f"wide_{n:03}", n * version, Number(n * version))
    return fields, rules


class Source:
    """`make(number, version)`: a document and its rules."""

    def __init__(self, folder, port, count, make=made):
        self.make = make
        self.client = pymongo().MongoClient("127.0.0.1", port, directConnection=True, uuidRepresentation="standard")
        self.port, self.live = port, Live("items", count)
        self.collection = self.client[DATABASE][COLLECTION]

    def settings(self):
        # With a million documents, collecting garbage keeps the server (Python) from answering the driver's heartbeat for more than 10 s.
        host = f"mongodb://127.0.0.1:{self.port}/?connectTimeoutMS=120000"
        return {"host": host, "database": DATABASE, "collection": COLLECTION, "direct_connection": "true"}, {}

    def rows(self, numbers):
        return [{"_id": identity(number), **self.make(number, self.live.versions[number])[0]} for number in numbers]

    def insert(self, numbers):
        for some in batches(numbers):
            self.collection.insert_many(self.rows(some))

    def replace(self, numbers):
        from pymongo import ReplaceOne
        for some in batches(numbers):
            self.collection.bulk_write([ReplaceOne({"_id": row["_id"]}, row) for row in self.rows(some)], ordered=False)

    def delete(self, numbers):
        """By one id each: an `$in` takes SecantusDB time by the square of its length, ten minutes for twenty thousand ids."""
        from pymongo import DeleteOne
        for some in batches(numbers):
            self.collection.bulk_write([DeleteOne({"_id": identity(number)}) for number in some], ordered=False)

    def drop(self):
        for database in (DATABASE, DATABASE + "2"):
            self.client.drop_database(database)

    def load(self):
        self.drop()
        self.insert(self.live.versions)
        # Neither another collection nor another database is synced.
        self.client[DATABASE]["items"].insert_one({"_id": 1})
        self.client[DATABASE + "2"][COLLECTION].insert_one({"_id": 1})

    def change(self, share):
        gone, changed, new = self.live.change(share)
        self.delete(gone)
        self.replace(changed)
        self.insert(new)
        return dict(inserted=len(new), changed=len(changed), deleted=len(gone))

    def change_for_incremental(self, share):
        return self.change(share)

    def see_all(self):
        """Incremental syncs see everything."""
        return dict(inserted=0, changed=0, deleted=0)

    def expected(self):
        return {id_text(identity(number)): number for number in self.live.versions}

    def identify(self, identifier, got):
        """No document is told by anything but its id."""
        return None

    def version(self, number):
        return self.live.versions[number]

    def document(self, number):
        return self.make(number, self.live.versions[number])[1]

    def versions(self):
        return {"server": f"{BACKEND}, MongoDB {self.client.server_info()['version']}"}

    def close(self):
        self.drop()
        self.client.close()


def batches(numbers):
    """Numbers for one request each: with a request for each row the server takes minutes for twenty thousand."""
    numbers = list(numbers)
    return (numbers[start:start + BATCH] for start in range(0, len(numbers), BATCH))


def id_text(value):
    return str(value.as_uuid()) if hasattr(value, "as_uuid") else str(value)
