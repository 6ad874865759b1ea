"""That the comparison notices what is wrong:  cd tests && python3 -m unittest ftest.test_rules"""
import unittest
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

from ftest import rules
from ftest.rules import AnyOf, BitFlag, Blob, Clock, Day, Flag, Json, Moment, Null, Number, Structure, Text, Within

NAIVE = datetime(2024, 2, 29, 23, 59, 58, 120000)
ZONED = NAIVE.replace(tzinfo=timezone(timedelta(hours=2)))
# Rule, what agrees, what does not.
CASES = [
    (Null(), [None], ["", 0, False, "null"]),
    (Text("é🎉"), ["é🎉"], ["e\u0301🎉", "é", "é🎉 ", None, 1]),
    (Text("1"), ["1"], [1]),
    (Flag(True), [True], [1, "true", False, None]),
    (BitFlag(True), [True, 1], [False, 0, "1", None]),
    (Number(2**63 - 1), [2**63 - 1, str(2**63 - 1)], [2**63, float(2**63 - 1), Decimal("9223372036854775800"), None]),
    (Number(1), [1, Decimal("1.0"), "1.00"], [True, "1 ", "0x1", "one", 2]),
    (Number(Decimal("-123456789012345678.0123456789")), ["-123456789012345678.0123456789", Decimal("-123456789012345678.0123456789")],
     [Decimal("-123456789012345680"), "-123456789012345678.012345679", "NaN"]),
    (Number(0.1), [Decimal("0.1"), Decimal("0.1000000000000000055511151231257827")], ["0.1", Decimal("0.10000000000000002"), None]),
    (Day(date(1066, 10, 14)), ["1066-10-14"], ["1066-10-15", "1066-10-14T00:00:00", None]),
    (Moment(NAIVE), ["2024-02-29T23:59:58.12", "2024-02-29T23:59:58.120000", "2024-02-29T23:59:58.120Z", "2024-02-29T23:59:58.120+00:00"],
     ["2024-02-29T23:59:58", "2024-02-29 23:59:58.12", "2024-02-29T23:59:58.12+02:00", "2024-03-01", None, 1709251198]),
    (Moment(ZONED), ["2024-02-29T21:59:58.12Z", "2024-02-29T23:59:58.12+02:00"], ["2024-02-29T23:59:58.12", "2024-02-29T23:59:58.12Z"]),
    (Clock(time(1, 2, 3, 450000)), ["01:02:03.45", "01:02:03.450000"], ["01:02:03", "1:02:03.45", "01:02:03.045", None]),
    (Blob(b"\x00a\xff"), ["AGH/", "\x00a"], ["\x00a\xff", "AGE=", None, ""]),
    (Json({"a": [1, 0.5, None, True]}), [{"a": [1, Decimal("0.5"), None, True]}, '{"a":[1,0.50,null,true]}'], [{"a": [1, 0.5, None, 1]}, {"a": [1]}, '{"a":', {}, None]),
    (Structure({"a": [Number(1)]}), [{"a": [1]}], [{"a": [2]}, {"a": []}, {"a": [1], "b": 1}, {}, None, '{"a":[1]}']),
    (AnyOf([Text("a"), ["a"]]), ["a", ["a"]], ["b", [], None]),
    (Within((1, 2)), [1, Decimal("1.5")], [0, 3, "1", None]),
]


class Rules(unittest.TestCase):
    def test_what_agrees_and_what_does_not(self):
        for rule, good, bad in CASES:
            for value in good:
                self.assertTrue(rules.fits(value, rule), f"{rule} should take {value!r}")
            for value in bad:
                self.assertFalse(rules.fits(value, rule), f"{rule} should not take {value!r}")


if __name__ == "__main__":
    unittest.main()
