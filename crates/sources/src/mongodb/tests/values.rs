//! BSON → JSON, type by type: the table of `README.md`.

use connectors_sdk::{ErrorKind, FieldsPage};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp,
    UuidRepresentation, doc,
};
use serde_json::{Map, Value, json};

use crate::mongodb::document::{self, IdKinds, Names};
use crate::mongodb::value::{Dates, Decoder, date_text};

const PLAIN: Decoder = Decoder { dates: Dates::Text, legacy_uuids: None };

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

fn fields(document: &Document) -> Map<String, Value> {
    PLAIN.fields(&raw(document)).unwrap()
}

/// The value, which is written as JSON the same.
fn value(decoder: Decoder, value: impl Into<Bson>) -> Value {
    let document = raw(&doc! {"_id": 1, "v": value.into()});
    let value = decoder.fields(&document).unwrap()["v"].clone();
    let (mut names, mut page) = (Names::default(), FieldsPage::default());
    let text = decoder.text(&document, names.of(&document).unwrap().unwrap(), &mut page).unwrap();
    assert_eq!(String::from_utf8_lossy(text.as_bytes()), format!("\"v\":{value}"));
    value
}

fn from_bson(
    raw: &RawDocumentBuf,
    kinds: &mut IdKinds,
) -> Result<connectors_sdk::Document, connectors_sdk::SourceError> {
    document::from_bson(raw, PLAIN, kinds, &mut Names::default(), &mut FieldsPage::default())
}

fn binary(subtype: BinarySubtype, bytes: &[u8]) -> Binary {
    Binary { subtype, bytes: bytes.to_vec() }
}

fn decimal(text: &str) -> Decimal128 {
    text.parse().unwrap()
}

#[test]
fn every_type_has_its_form() {
    let oid = ObjectId::parse_str("64b5f3a2c9e77b0001234567").unwrap();
    let uuid: Vec<u8> = (0..16).collect();
    let uuid_text = "00010203-0405-0607-0809-0a0b0c0d0e0f";
    let scope = JavaScriptCodeWithScope { code: "f()".to_owned(), scope: doc! {"x": 1} };
    let regex = Regex { pattern: "^a/b".try_into().unwrap(), options: "im".try_into().unwrap() };
    for (bson, expected) in [
        (Bson::Double(1.5), json!(1.5)),
        (Bson::Double(5.0), json!(5.0)),
        (Bson::Double(f64::NAN), Value::Null),
        (Bson::Double(f64::INFINITY), Value::Null),
        (Bson::Double(f64::NEG_INFINITY), Value::Null),
        (Bson::String("größer \u{1f600}\0".to_owned()), json!("größer \u{1f600}\0")),
        (
            Bson::Array(vec![Bson::Int32(1), Bson::Null, doc! {"a": [oid]}.into()]),
            json!([1, null, {"a": [oid.to_hex()]}]),
        ),
        (Bson::Array(vec![]), json!([])),
        (doc! {"b": {"c": {}}}.into(), json!({"b": {"c": {}}})),
        (Bson::Boolean(true), json!(true)),
        (Bson::Null, Value::Null),
        (Bson::Undefined, Value::Null),
        (Bson::Int32(i32::MIN), json!(i32::MIN)),
        (Bson::Int64(i64::MAX), json!(i64::MAX)),
        (Bson::ObjectId(oid), json!("64b5f3a2c9e77b0001234567")),
        (Bson::DateTime(DateTime::from_millis(1_700_000_000_250)), json!("2023-11-14T22:13:20.250000")),
        (Bson::Timestamp(Timestamp { time: 7, increment: 3 }), json!({"t": 7, "i": 3})),
        (Bson::RegularExpression(regex), json!("/^a/b/im")),
        (Bson::JavaScriptCode("f()".to_owned()), json!("f()")),
        (Bson::JavaScriptCodeWithScope(scope), json!({"code": "f()", "scope": {"x": 1}})),
        (Bson::Symbol("sym".to_owned()), json!("sym")),
        (Bson::MinKey, json!("MinKey")),
        (Bson::MaxKey, json!("MaxKey")),
        (Bson::Decimal128(decimal("1.5")), json!(1.5)),
        (Bson::Binary(binary(BinarySubtype::Generic, b"\x00\xff")), json!("AP8=")),
        (Bson::Binary(binary(BinarySubtype::Function, b"a")), json!("YQ==")),
        (Bson::Binary(binary(BinarySubtype::BinaryOld, b"abc")), json!("YWJj")),
        (Bson::Binary(binary(BinarySubtype::Uuid, &uuid)), json!(uuid_text)),
        (Bson::Binary(binary(BinarySubtype::UuidOld, &uuid)), json!(uuid_text)),
        (Bson::Binary(binary(BinarySubtype::Uuid, b"short")), json!("c2hvcnQ=")),
        (Bson::Binary(binary(BinarySubtype::Md5, &uuid)), json!("AAECAwQFBgcICQoLDA0ODw==")),
        (Bson::Binary(binary(BinarySubtype::Encrypted, b"")), json!("")),
        (Bson::Binary(binary(BinarySubtype::UserDefined(0x85), b"x")), json!("eA==")),
        // DBRef is a document by convention.
        (
            doc! {"$ref": "users", "$id": oid, "$db": "d"}.into(),
            json!({"$ref": "users", "$id": oid.to_hex(), "$db": "d"}),
        ),
    ] {
        assert_eq!(value(PLAIN, bson.clone()), expected, "{bson:?}");
    }
    let pointer: Bson =
        serde_json::from_value(json!({"$dbPointer": {"$ref": "d.users", "$id": {"$oid": oid.to_hex()}}}))
            .unwrap();
    assert!(matches!(pointer, Bson::DbPointer(_)));
    assert_eq!(value(PLAIN, pointer), json!({"$ref": "d.users", "$id": oid.to_hex()}));
}

#[test]
fn legacy_uuids_are_read_in_the_order_their_driver_wrote_them() {
    let uuid = mongodb::bson::Uuid::parse_str("00112233-4455-6677-8899-aabbccddeeff").unwrap();
    for representation in
        [UuidRepresentation::CSharpLegacy, UuidRepresentation::JavaLegacy, UuidRepresentation::PythonLegacy]
    {
        let decoder = Decoder { legacy_uuids: Some(representation), ..PLAIN };
        let stored = Binary::from_uuid_with_representation(uuid, representation);
        assert_eq!(value(decoder, stored), uuid.to_string(), "{representation:?}");
    }
    let standard = Decoder { legacy_uuids: Some(UuidRepresentation::Standard), ..PLAIN };
    assert_eq!(value(standard, binary(BinarySubtype::UuidOld, &uuid.bytes())), uuid.to_string());
}

#[test]
fn decimals_are_numbers_only_without_loss() {
    for (text, expected) in [
        ("0", json!(0.0)),
        ("-0.10", json!(-0.1)),
        ("12.50", json!(12.5)),
        ("1E+3", json!(1000.0)),
        ("1E-7", json!(1e-7)),
        ("9007199254740993", json!("9007199254740993")),
        ("0.1000000000000000055511151231257827", json!("0.1000000000000000055511151231257827")),
        ("1234567890123456789012345678901234", json!("1234567890123456789012345678901234")),
        ("1E+400", json!("1E+400")),
        ("1E-400", json!("1E-400")),
        ("NaN", Value::Null),
        ("Infinity", Value::Null),
        ("-Infinity", Value::Null),
    ] {
        assert_eq!(value(PLAIN, decimal(text)), expected, "{text}");
    }
}

#[test]
fn dates_follow_the_configuration() {
    assert_eq!(date_text(0).as_deref(), Some("1970-01-01T00:00:00"));
    assert_eq!(date_text(-1).as_deref(), Some("1969-12-31T23:59:59.999000"));
    assert_eq!(date_text(-62_135_596_800_000).as_deref(), Some("0001-01-01T00:00:00"));
    assert_eq!(date_text(-62_135_596_800_001), None);
    assert_eq!(date_text(253_402_300_799_999).as_deref(), Some("9999-12-31T23:59:59.999000"));
    assert_eq!(date_text(253_402_300_800_000), None);

    let convert = |name: &str, milliseconds: i64| {
        let decoder = Decoder { dates: Dates::parse(name).unwrap(), ..PLAIN };
        decoder
            .fields(&raw(&doc! {"v": {"d": [DateTime::from_millis(milliseconds)]}}))
            .map(|fields| fields["v"]["d"][0].clone())
            .map_err(|problem| problem.to_string())
    };
    for (name, ordinary) in [
        ("", json!("1970-01-01T00:00:00.001000")),
        ("DATETIME", json!("1970-01-01T00:00:00.001000")),
        ("DATETIME_CLAMP", json!("1970-01-01T00:00:00.001000")),
        ("DATETIME_AUTO", json!("1970-01-01T00:00:00.001000")),
        ("DATETIME_MS", json!(1)),
    ] {
        assert_eq!(convert(name, 1), Ok(ordinary), "{name}");
    }
    for extreme in [i64::MIN, i64::MAX] {
        let clamped = if extreme > 0 { "9999-12-31T23:59:59.999000" } else { "0001-01-01T00:00:00" };
        assert_eq!(convert("DATETIME_CLAMP", extreme), Ok(json!(clamped)));
        assert_eq!(convert("DATETIME_AUTO", extreme), Ok(json!(extreme)));
        assert_eq!(convert("DATETIME_MS", extreme), Ok(json!(extreme)));
        let problem = convert("DATETIME", extreme).unwrap_err();
        assert!(problem.contains("field v.d.0") && problem.contains("datetime_conversion"), "{problem}");
    }
    assert_eq!(Dates::parse("SOMETIMES").unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn names_that_elasticsearch_refuses_are_changed() {
    let names = fields(&doc! {
        "_id": 1, "id": "own", "": 1, ".": 2, "a..b": 3, ".c": 4, "d.": 5, " ": 6, "e.f": 7, "$g": 8,
        "_source": 9, "_timestamp": 10, "_class": 11, "n": {"_id": 12, "_source": 13, "": 14},
    });
    assert_eq!(
        Value::Object(names),
        json!({
            "id": "own", "_": 1, "_._": 2, "a._.b": 3, "_.c": 4, "d._": 5, "__": 6, "e.f": 7, "$g": 8,
            "_source_": 9, "_timestamp_": 10, "_class": 11, "n": {"_id": 12, "_source": 13, "_": 14},
        })
    );
    assert_eq!(Value::Object(fields(&doc! {"": 1, "_": 2})), json!({"_": 2, "__": 1}));
}

#[test]
fn texts_that_are_not_utf8_are_kept_as_far_as_they_are() {
    let mut bytes = raw(&doc! {"_id": 1, "a": "xyz", "l": ["xyz"], "o": {"s": "xyz"}}).into_bytes();
    for index in 0..bytes.len() - 3 {
        if &bytes[index..index + 3] == b"xyz" {
            bytes[index + 1] = 0xff;
        }
    }
    let broken = RawDocumentBuf::from_bytes(bytes).unwrap();
    let expected = json!({"a": "x\u{fffd}z", "l": ["x\u{fffd}z"], "o": {"s": "x\u{fffd}z"}});
    assert_eq!(Value::Object(PLAIN.fields(&broken).unwrap()), expected);
    let mut document = from_bson(&broken, &mut IdKinds::default()).unwrap();
    assert!(document.fields.is_empty());
    document.expand().unwrap();
    assert_eq!(Value::Object(document.fields), expected);
}

#[test]
fn a_document_without_end_does_not_exhaust_the_stack() {
    let mut nested = doc! {"x": 1};
    for _ in 0..150 {
        nested = doc! {"x": nested};
    }
    PLAIN.fields(&raw(&nested)).unwrap();
    let mut bytes = vec![5, 0, 0, 0, 0];
    for level in 0..50_000_u32 {
        let length = u32::try_from(bytes.len()).unwrap() + 8;
        let kind = if level % 2 == 0 { 3 } else { 4 };
        let mut outer = length.to_le_bytes().to_vec();
        outer.extend([kind, b'0', 0]);
        outer.append(&mut bytes);
        outer.push(0);
        bytes = outer;
        if level == 2000 {
            break;
        }
    }
    let problem = PLAIN.fields(&RawDocumentBuf::from_bytes(bytes).unwrap()).unwrap_err().to_string();
    assert!(problem.contains("nested deeper"), "{problem}");
}

#[test]
fn ids_are_texts_that_stay() {
    let oid = ObjectId::parse_str("64b5f3a2c9e77b0001234567").unwrap();
    let uuid: Vec<u8> = (0..16).collect();
    for (id, expected) in [
        (Bson::ObjectId(oid), "64b5f3a2c9e77b0001234567"),
        (Bson::String("größer".to_owned()), "größer"),
        (Bson::String(String::new()), "\"\""),
        (Bson::Int32(-5), "-5"),
        (Bson::Int64(5_000_000_000), "5000000000"),
        (Bson::Double(5.0), "5.0"),
        (Bson::Double(f64::NAN), "NaN"),
        (Bson::Decimal128(decimal("1.50")), "1.50"),
        (Bson::Boolean(true), "true"),
        (Bson::Null, "null"),
        (Bson::DateTime(DateTime::from_millis(1)), "1970-01-01T00:00:00.001000"),
        (Bson::DateTime(DateTime::from_millis(i64::MAX)), "9223372036854775807"),
        (Bson::Binary(binary(BinarySubtype::Uuid, &uuid)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (Bson::Binary(binary(BinarySubtype::UuidOld, &uuid)), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (
            Bson::Binary(binary(BinarySubtype::Generic, b"a")),
            r#"{"$binary":{"base64":"YQ==","subType":"00"}}"#,
        ),
        (doc! {"a": 1, "b": oid}.into(), r#"{"a":1,"b":{"$oid":"64b5f3a2c9e77b0001234567"}}"#),
        (doc! {"a": "1", "b": oid.to_hex()}.into(), r#"{"a":"1","b":"64b5f3a2c9e77b0001234567"}"#),
        (Bson::Timestamp(Timestamp { time: 1, increment: 2 }), r#"{"$timestamp":{"t":1,"i":2}}"#),
        (
            doc! {"n": f64::NAN, "b": [binary(BinarySubtype::Generic, b"a")]}.into(),
            r#"{"n":{"$numberDouble":"NaN"},"b":[{"$binary":{"base64":"YQ==","subType":"00"}}]}"#,
        ),
        (Bson::MinKey, r#"{"$minKey":1}"#),
    ] {
        let document = raw(&doc! {"_id": id.clone(), "x": 1});
        let mut document = from_bson(&document, &mut IdKinds::default()).unwrap();
        document.expand().unwrap();
        assert_eq!(document.id, expected, "{id:?}");
        assert_eq!((document.timestamp, Value::Object(document.fields)), (None, json!({"x": 1})));
    }
}

#[test]
fn documents_of_other_fields_may_follow() {
    let (mut kinds, mut names, mut page) = (IdKinds::default(), Names::default(), FieldsPage::default());
    for (document, written) in [
        (doc! {"_id": 1, "a": 1, "id": "x"}, true),
        (doc! {"_id": 2, "a": 2, "id": "y"}, true),
        (doc! {"a": 3, "_id": 3}, true),
        (doc! {"_id": 4, "a": 4, "b": {"c.d": 1}}, true),
        // Names that become others, and such as may be the engine's.
        (doc! {"_id": 5, "a": 5, "": 1}, false),
        (doc! {"_id": 6, "_timestamp": 1}, false),
        (doc! {"_id": 7, "_b": 1, "a": 7}, false),
        (doc! {"_id": 8, "a": 8}, true),
        (doc! {"_id": 9}, false),
    ] {
        let document = raw(&document);
        let mut made = document::from_bson(&document, PLAIN, &mut kinds, &mut names, &mut page).unwrap();
        assert_eq!(!made.text.is_empty(), written, "{document:?}");
        made.expand().unwrap();
        assert_eq!(made.fields, PLAIN.fields(&document).unwrap(), "{document:?}");
    }
    // The last one counts, where a document has two of a name.
    let mut twice = raw(&doc! {"_id": 1, "a": 1, "b": 2}).into_bytes();
    let position = twice.iter().position(|byte| *byte == b'b').unwrap();
    twice[position] = b'a';
    let twice = RawDocumentBuf::from_bytes(twice).unwrap();
    let made = document::from_bson(&twice, PLAIN, &mut kinds, &mut names, &mut page);
    assert_eq!(Value::Object(made.unwrap().fields), json!({"a": 2}));
}

#[test]
fn ids_that_read_the_same_are_noticed() {
    let ambiguous = |ids: &[Bson]| {
        let mut kinds = IdKinds::default();
        for id in ids {
            from_bson(&raw(&doc! {"_id": id.clone()}), &mut kinds).unwrap();
        }
        kinds.are_ambiguous()
    };
    let oid = ObjectId::new();
    let text = |text: &str| Bson::String(text.to_owned());
    assert!(ambiguous(&[Bson::Int32(5), text("7")]) && ambiguous(&[text("-5"), Bson::Int64(1)]));
    assert!(ambiguous(&[Bson::ObjectId(oid), text(&ObjectId::new().to_hex())]));
    assert!(!ambiguous(&[Bson::Int32(5), text("x"), Bson::ObjectId(oid)]));
    assert!(!ambiguous(&[text("5"), Bson::ObjectId(oid)]));
}

#[tokio::test]
async fn a_document_that_cannot_be_had_is_told_with_its_reason() {
    let late = raw(&doc! {"_id": 1, "d": DateTime::MAX});
    let document = from_bson(&late, &mut IdKinds::default()).unwrap();
    assert!(document.id == "1" && document.fields.is_empty());
    let error = document.download.unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("1: field d: the date"), "{error}");

    let without = from_bson(&raw(&doc! {"x": 1}), &mut IdKinds::default()).unwrap_err();
    assert_eq!(without.kind(), ErrorKind::Config);
    assert!(without.to_string().contains("keep `_id`"), "{without}");
}
