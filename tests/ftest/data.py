"""Values as real tables have them. What `make` answers depends on nothing but the random numbers it is given."""
import random
import string
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

GIVEN = ["Ada", "José", "Zoë", "Łukasz", "Søren", "Nguyễn", "Mária", "Björk", "O'Neil", "Ünal", "Chloé", "Đorđe", "Jean-Luc", "李", "さくら", "지민"]
FAMILY = ["Lovelace", "García Márquez", "D'Angelo", "Øster", "Šimić", "van der Berg", "王", "田中", "김", "Иванова", "Παπαδόπουλος", "אברהם", "السيد", "Smith"]
PHRASES = [
    "The quick brown fox jumps over the lazy dog", "Größe: 42 Maß – „Anführung“", "مرحبا بالعالم، هذا نص عربي", "שלום עולם: טקסט מימין לשמאל",
    "こんにちは世界、漢字とカナ", "👩‍👩‍👧‍👦 family 🎉 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿 flags 🇩🇪", "tab\tand\nnew line", "quotes ' \" ` and back\\slash", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𠜎 beyond the first plane",
    "e\u0301 is not \u00e9", "zero\u200bwidth and \u202eoverride\u202c", "<b>html</b> &amp; %s {0} $1 ;--", "हिन्दी में पाठ", "ไม่มีช่องว่างระหว่างคำ", "naïve café",
]
WORDS = "alpha bravo carbon delta ember fjord garnet harbor island jasmine kernel lattice meadow nectar onyx prairie quartz river saffron timber umber velvet willow".split()
EPOCH = datetime(1970, 1, 1)


def rng(*what):
    """Random numbers for one row: the same for the same row."""
    return random.Random("/".join(map(str, what)))


def name(r):
    return f"{r.choice(GIVEN)} {r.choice(FAMILY)}"


def text(r, size=12):
    return " ".join([r.choice(PHRASES), *(r.choice(WORDS) for _ in range(r.randrange(size)))])


def words(r, length):
    """Plain text of exactly so many characters."""
    return " ".join(r.choices(WORDS, k=length // 4 + 1))[:length]


def email(r):
    return f"{''.join(r.choices(string.ascii_lowercase, k=8))}@example.com"


def decimal(r, digits, scale):
    """Any sign, all digits used about half of the time."""
    number = r.randrange(10 ** (digits if r.random() < 0.5 else min(digits, scale + 3)))
    return Decimal(number * r.choice((1, -1))).scaleb(-scale)


def day(r):
    return date(1000, 1, 1) + timedelta(days=r.randrange(2_900_000))


def moment(r, zone=None, first=-10_000_000_000, last=10_000_000_000, micros=True):
    value = EPOCH + timedelta(seconds=r.randrange(first, last), microseconds=r.choice((0, r.randrange(1_000_000))) if micros else 0)
    return value.replace(tzinfo=timezone.utc).astimezone(zone) if zone else value


def clock(r):
    return time(r.randrange(24), r.randrange(60), r.randrange(60), r.choice((0, r.randrange(1_000_000))))


def blob(r, most=64):
    return r.choice((b"", b"plain text", b"\x00\x01\xff\xfe", r.randbytes(r.randrange(most))))


def guid(r):
    return uuid.UUID(int=r.getrandbits(128), version=4)


def real(r):
    return r.choice((0.0, 0.1, -1.5, 1e-9, 1.7976931348623157e300, r.uniform(-1e6, 1e6), r.random()))


def settings(r):
    """A structure with the same types under the same names in all rows, as an index needs it."""
    return {"theme": r.choice(("dark", "light", "🌗")), "limits": {"rows": r.randrange(10_000), "share": round(r.random(), 3)},
            "tags": [r.choice(WORDS) for _ in range(r.randrange(4))], "beta": r.random() < 0.5, "note": r.choice((None, text(r, 3)))}


def code(r):
    """A text that may look like a date or a number: the first one must not decide what an index takes of the others."""
    return r.choice((str(r.randrange(1000, 10_000)), day(r).isoformat(), f"D-{r.randrange(100_000):05}", "n/a"))


def sometimes(r, value, share=0.15):
    """A null now and then."""
    return None if r.random() < share else value
