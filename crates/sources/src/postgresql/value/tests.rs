//! Values in the binary forms that the server's `*_send` functions make.

use connectors_sdk::{FieldName, FieldsPage};
use serde_json::json;
use tokio_postgres::types::{Field, Kind, Type};

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decoded(codec: &Codec, bytes: &str) -> Value {
    value(codec, &hex(bytes))
}

/// The value, which is written as JSON the same.
fn value(codec: &Codec, bytes: &[u8]) -> Value {
    let value = codec.decode(bytes).unwrap();
    let mut page = FieldsPage::default();
    let mut fields = page.begin();
    codec.write(bytes, fields.field(&FieldName::distinct(["v"]).unwrap()[0])).unwrap();
    assert_eq!(String::from_utf8_lossy(fields.finish().as_bytes()), format!("\"v\":{value}"));
    value
}

#[test]
fn numbers() {
    assert_eq!(decoded(&Codec::Bool, "01"), json!(true));
    assert_eq!(decoded(&Codec::Int2, "8000"), json!(-32768));
    assert_eq!(decoded(&Codec::Int4, "7fffffff"), json!(i32::MAX));
    assert_eq!(decoded(&Codec::Int8, "8000000000000000"), json!(i64::MIN));
    assert_eq!(decoded(&Codec::Oid, "ffffffff"), json!(u32::MAX));
    assert_eq!(decoded(&Codec::Float4, "3dcccccd"), json!(0.1));
    assert_eq!(decoded(&Codec::Float8, "3fb999999999999a"), json!(0.1));
    for none in ["7fc00000", "7f800000", "ff800000"] {
        assert_eq!(decoded(&Codec::Float4, none), Value::Null);
    }
    assert_eq!(decoded(&Codec::Float8, "7ff8000000000000"), Value::Null);
}

#[test]
fn decimals_keep_every_digit() {
    for (bytes, expected) in [
        // Count, weight, sign, scale, digits.
        ("0000 0000 0000 0000", json!(0)),
        ("0002 0000 0000 0002 000c 1388", json!(12.5)),
        ("0002 0000 4000 0002 000c 1388", json!(-12.5)),
        ("0001 0001 0000 0000 0001", json!(10_000)),
        ("0001 ffff 0000 0004 0001", json!(0.0001)),
        ("0001 fffe 0000 0008 0001", json!(0.000_000_01)),
        ("0005 0004 0000 0000 04d2 162e 2334 04d2 162e", json!("12345678901212345678")),
        ("0000 0000 c000 0000", Value::Null),
        ("0000 0000 d000 0000", Value::Null),
    ] {
        assert_eq!(decoded(&Codec::Numeric, bytes), expected, "{bytes}");
    }
    assert_eq!(Codec::Numeric.id_text(&hex("0002 0000 0000 0002 000c 1388")).unwrap(), "12.50");
}

#[test]
fn texts_and_bytes() {
    assert_eq!(value(&Codec::Text, "naïve 🚲".as_bytes()), json!("naïve 🚲"));
    assert_eq!(value(&Codec::Text, &[0xff, b'a']), json!("\u{fffd}a"));
    assert_eq!(value(&Codec::Text, &[0]), json!(""));
    assert_eq!(value(&Codec::Bytes, &[0, 255]), json!("AP8="));
    let uuid = "a0eebc999c0b4ef8bb6d6bb9bd380a11";
    assert_eq!(decoded(&Codec::Uuid, uuid), json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"));
    assert_eq!(decoded(&Codec::Bits, "0000000a b580"), json!("1011010110"));
    assert_eq!(decoded(&Codec::Bits, "00000000"), json!(""));
}

#[test]
fn json_is_kept_as_it_is() {
    let parsed = |text: &str| json::value(text.into());
    assert_eq!(
        parsed(r#"{"a": [1, 2.5, null], "b": "1e400 \" 2"}"#),
        json!({"a": [1, 2.5, null], "b": "1e400 \" 2"})
    );
    assert_eq!(
        parsed(r#"[123456789012345678901, -0.12345678901234567891, 1e400, 1e-400, 1e3, 0e0]"#),
        json!(["123456789012345678901", "-0.12345678901234567891", "1e400", "1e-400", 1e3, 0.0])
    );
    // Doubles to the last digit, which reading JSON takes care for only if it is told to.
    for digits in
        ["51.248178375505404", "-36.573994842753436", "7.101215824554616e+260", "0.30000000000000004"]
    {
        assert_eq!(parsed(digits).to_string(), digits);
    }
    assert_eq!(parsed("9223372036854775807"), json!(i64::MAX));
    assert_eq!(parsed(r#""\ud800""#), json!(r#""\ud800""#));
    let deep = "[".repeat(500) + &"]".repeat(500);
    assert_eq!(parsed(&deep), json!(deep));
    assert_eq!(value(&Codec::Jsonb, b"\x01[1]"), json!([1]));
    assert_eq!(Codec::Jsonb.decode(b"\x02[1]"), Err(Malformed));
}

#[test]
fn dates_and_times() {
    for (days, expected) in [
        (0, "2000-01-01"),
        (-1, "1999-12-31"),
        (59, "2000-02-29"),
        (-730_119, "0001-01-01"),
        (-730_120, "0001-12-31 BC"),
        (-746_117, "0044-03-15 BC"),
        (2_921_940, "+10000-01-01"),
        (i32::MAX, "infinity"),
        (i32::MIN, "-infinity"),
    ] {
        assert_eq!(value(&Codec::Date, &days.to_be_bytes()), json!(expected), "{days}");
    }
    let stamp = |micros: i64| value(&Codec::TimestampWithZone, &micros.to_be_bytes());
    assert_eq!(stamp(0), json!("2000-01-01T00:00:00Z"));
    assert_eq!(stamp(-1), json!("1999-12-31T23:59:59.999999Z"));
    assert_eq!(stamp(1_500_000), json!("2000-01-01T00:00:01.500000Z"));
    assert_eq!(stamp(i64::MAX), json!("infinity"));
    assert_eq!(stamp(i64::MIN), json!("-infinity"));
    assert_eq!(stamp(-730_120 * 86_400_000_000), json!("0001-12-31 00:00:00+00 BC"));
    let local = |micros: i64| value(&Codec::Timestamp, &micros.to_be_bytes());
    assert_eq!(local(0), json!("2000-01-01T00:00:00"));
    assert_eq!(local(-730_120 * 86_400_000_000), json!("0001-12-31 00:00:00 BC"));
    assert_eq!(value(&Codec::Time, &86_400_000_000_i64.to_be_bytes()), json!("24:00:00"));
    for (west, expected) in
        [(0, "00:00:01Z"), (-3600, "00:00:01+01:00"), (12_600, "00:00:01-03:30"), (-1, "00:00:01+00:00:01")]
    {
        let mut bytes = 1_000_000_i64.to_be_bytes().to_vec();
        bytes.extend(i32::to_be_bytes(west));
        assert_eq!(value(&Codec::TimeWithZone, &bytes), json!(expected));
    }
}

#[test]
fn intervals() {
    for (micros, days, months, expected) in [
        (0, 0, 0, "PT0S"),
        (14_706_700_000, 3, 14, "P1Y2M3DT4H5M6.7S"),
        (-1, 0, 0, "PT-0.000001S"),
        (-14_706_000_000, -3, -14, "P-1Y-2M-3DT-4H-5M-6S"),
        (0, 5, 0, "P5D"),
        (i64::MAX, i32::MAX, i32::MAX, "infinity"),
        (i64::MIN, i32::MIN, i32::MIN, "-infinity"),
    ] {
        let mut bytes = i64::to_be_bytes(micros).to_vec();
        bytes.extend(i32::to_be_bytes(days));
        bytes.extend(i32::to_be_bytes(months));
        assert_eq!(value(&Codec::Interval, &bytes), json!(expected));
    }
}

#[test]
fn addresses() {
    for (bytes, expected) in [
        ("02 20 00 04 c0a80001", "192.168.0.1"),
        ("02 18 00 04 c0a80001", "192.168.0.1/24"),
        ("02 20 01 04 c0a80001", "192.168.0.1/32"),
        ("03 80 00 10 00000000000000000000000000000001", "::1"),
        ("03 40 01 10 20010db8000000000000000000000000", "2001:db8::/64"),
    ] {
        assert_eq!(decoded(&Codec::Network, bytes), json!(expected));
    }
    assert_eq!(decoded(&Codec::HardwareAddress, "08002b010203"), json!("08:00:2b:01:02:03"));
}

#[test]
fn shapes() {
    let one = "3ff0000000000000";
    let two = "4000000000000000";
    assert_eq!(decoded(&Codec::Point, &format!("{one}{two}")), json!("(1.0, 2.0)"));
    let corners = format!("{two}{two}{one}{one}");
    assert_eq!(decoded(&Codec::Box, &corners), json!("[(2.0, 2.0), (1.0, 1.0)]"));
    assert_eq!(decoded(&Codec::Segment, &corners), json!("[(2.0, 2.0), (1.0, 1.0)]"));
    let two_points = format!("00000002{corners}");
    assert_eq!(decoded(&Codec::Path, &format!("00{two_points}")), json!("open [(2.0, 2.0), (1.0, 1.0)]"));
    assert_eq!(decoded(&Codec::Path, &format!("01{two_points}")), json!("closed [(2.0, 2.0), (1.0, 1.0)]"));
    assert_eq!(decoded(&Codec::Polygon, &two_points), json!("[(2.0, 2.0), (1.0, 1.0)]"));
    assert_eq!(decoded(&Codec::Line, &format!("{one}{two}{one}")), json!("{1,2,1}"));
    assert_eq!(decoded(&Codec::Circle, &format!("{one}{two}{one}")), json!("<(1,2),1>"));
}

#[test]
fn arrays() {
    let integers = Codec::Array(Box::new(Codec::Int4));
    // Dimensions, flags, type, then length and lower bound of each dimension, then the elements.
    assert_eq!(decoded(&integers, "00000000 00000000 00000017"), json!([]));
    assert_eq!(
        decoded(&integers, "00000001 00000001 00000017 00000002 00000001 00000004 00000007 ffffffff"),
        json!([7, null])
    );
    assert_eq!(
        decoded(
            &integers,
            "00000002 00000000 00000017 00000002 00000001 00000001 00000001 00000004 00000001 00000004 00000002"
        ),
        json!([[1], [2]])
    );
}

#[test]
fn bytes_that_are_no_value_are_an_error_and_never_a_panic() {
    let all = [
        Codec::Bool,
        Codec::Int2,
        Codec::Int4,
        Codec::Int8,
        Codec::Oid,
        Codec::Float4,
        Codec::Float8,
        Codec::Numeric,
        Codec::Jsonb,
        Codec::Uuid,
        Codec::Date,
        Codec::Time,
        Codec::TimeWithZone,
        Codec::Timestamp,
        Codec::TimestampWithZone,
        Codec::Interval,
        Codec::Network,
        Codec::Bits,
        Codec::Point,
        Codec::Segment,
        Codec::Box,
        Codec::Path,
        Codec::Polygon,
        Codec::Line,
        Codec::Circle,
        Codec::Array(Box::new(Codec::Int4)),
    ];
    for codec in all {
        for bytes in [
            "",
            "00 00 00",
            "ffffffffffffffffffffffffffffff",
            "00000001 00000000 00000017 7fffffff 00000001 000000",
        ] {
            assert_eq!(codec.decode(&hex(bytes)), Err(Malformed), "{codec:?} {bytes}");
        }
    }
}

#[test]
fn keys_are_written_as_by_elastics_connector() {
    assert_eq!(Codec::Bool.id_text(&[1]).unwrap(), "True");
    assert_eq!(Codec::Int4.id_text(&7_i32.to_be_bytes()).unwrap(), "7");
    assert_eq!(Codec::Timestamp.id_text(&[0; 8]).unwrap(), "2000-01-01 00:00:00");
    assert_eq!(Codec::TimestampWithZone.id_text(&[0; 8]).unwrap(), "2000-01-01 00:00:00+00:00");
    assert_eq!(Codec::Text.id_text(b"a_b").unwrap(), "a_b");
    assert_eq!(Codec::Float8.id_text(&1.0_f64.to_be_bytes()).unwrap(), "1.0");
}

#[test]
fn what_has_no_codec_is_sent_as_text() {
    let plan =
        |name: &str, kind: Kind| Plan::of(&Type::new(name.to_owned(), 70_000, kind, "public".to_owned()));
    let other = || Type::new("geometry".to_owned(), 70_001, Kind::Simple, "public".to_owned());
    let row = || {
        Type::new(
            "pair".to_owned(),
            70_002,
            Kind::Composite(vec![Field::new("a".to_owned(), Type::INT4)]),
            "public".to_owned(),
        )
    };
    assert_eq!(Plan::of(&other()), Plan { cast: Cast::Text, codec: Codec::Text });
    assert_eq!(Plan::of(&Type::MONEY).expression("\"c\""), "\"c\"::pg_catalog.text");
    assert_eq!(Plan::of(&Type::MONEY_ARRAY).expression("\"c\""), "\"c\"::pg_catalog.text[]");
    assert_eq!(plan("list", Kind::Array(other())).codec, Codec::Array(Box::new(Codec::Text)));
    assert_eq!(Plan::of(&row()).expression("\"c\""), "pg_catalog.to_jsonb(\"c\")");
    assert_eq!(plan("rows", Kind::Array(row())), Plan { cast: Cast::Json, codec: Codec::Jsonb });
    assert_eq!(plan("mood", Kind::Enum(vec![])), Plan { cast: Cast::None, codec: Codec::Text });
    assert_eq!(plan("positive", Kind::Domain(Type::INT4)), Plan { cast: Cast::None, codec: Codec::Int4 });
    assert_eq!(Plan::of(&Type::INT4_RANGE).cast, Cast::Text);
    assert_eq!(
        Plan::of(&Type::INT4_ARRAY),
        Plan { cast: Cast::None, codec: Codec::Array(Box::new(Codec::Int4)) }
    );
    assert_eq!(Plan::of(&Type::INT4).expression("\"c\""), "\"c\"");
}
