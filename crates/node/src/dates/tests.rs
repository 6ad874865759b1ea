use super::*;

const DAY: i64 = 86_400_000;

#[test]
fn iso_dates() {
    for (text, ms) in [
        ("1970-01-02", DAY),
        ("1970", 0),
        ("1970-01-01T10:00:00Z", 36_000_000),
        ("1970-01-01T10:00:00.123456789+01:00", 32_400_123),
        ("1970-01-01T10:00:00,5", 36_000_500),
        ("1970-01-01T10:00+0130", 30_600_000),
        ("2024-02-29", 1_709_164_800_000),
        ("0001-01-01", -62_135_596_800_000),
        ("1700000000123", 1_700_000_000_123),
        ("-10", -10),
    ] {
        assert_eq!(parse(text, None).unwrap(), ms, "{text}");
    }
}

#[test]
fn what_is_no_date_is_refused_in_the_words_of_elasticsearch() {
    for text in ["", "abc", "2024-13-01", "2023-02-29", "2024-1-1", "2024-01-01 10:00", "2024-01-01T25:00"] {
        let error = parse(text, None).unwrap_err();
        assert_eq!(error.kind, "illegal_argument_exception");
        assert_eq!(
            error.reason,
            format!(
                "failed to parse date field [{text}] with format [strict_date_optional_time||epoch_millis]"
            )
        );
    }
}

#[test]
fn named_formats_and_patterns() {
    for (text, format) in [
        ("2024/03/05 06:07:08", "yyyy/MM/dd HH:mm:ss"),
        ("20240305T060708.000Z", "basic_date_time"),
        ("20240305 060708", "yyyyMMdd HHmmss"),
        ("05.03.2024 6:07:08", "dd.MM.yyyy H:mm:ss"),
        ("Tue, 05 Mar 2024 06:07:08 +0000", "EEE, dd MMM yyyy HH:mm:ss Z"),
        ("2024-065T06:07:08Z", "ordinal_date_time_no_millis"),
        ("2024-W10-2T06:07:08.0Z", "week_date_time"),
        ("1709618828", "epoch_second"),
        ("2024-03-05 08:07:08 Europe/Helsinki", "yyyy-MM-dd HH:mm:ss VV"),
        ("2024-03-05 06:07:08 AM", "uuuu-MM-dd hh:mm:ss a"),
        ("2024-3-5T6:7:8", "date_optional_time"),
        ("2024-03-05 06:07:08", "date||yyyy-MM-dd[ HH:mm[:ss]]"),
    ] {
        assert_eq!(parse(text, Some(format)).unwrap(), 1_709_618_828_000, "{text} {format}");
    }
    assert!(parse("2024", Some("qqq{")).unwrap_err().reason.starts_with("Invalid format: [qqq{]"));
}

#[test]
fn printing() {
    let ms = 1_709_618_828_009;
    let berlin = time_zone("Europe/Berlin").unwrap();
    assert_eq!(format(ms, None, None).unwrap(), "2024-03-05T06:07:08.009Z");
    assert_eq!(format(ms, None, Some(&berlin)).unwrap(), "2024-03-05T07:07:08.009+01:00");
    assert_eq!(format(ms, Some("yyyy-MM-dd"), None).unwrap(), "2024-03-05");
    assert_eq!(format(ms, Some("epoch_millis"), None).unwrap(), "1709618828009");
    assert_eq!(format(ms, Some("EEEE d MMMM yy, h:mm a"), None).unwrap(), "Tuesday 5 March 24, 6:07 AM");
    assert_eq!(format(-1, None, None).unwrap(), "1969-12-31T23:59:59.999Z");
}

#[test]
fn date_math() {
    let now = parse("2024-03-31T12:34:56.789Z", None).unwrap();
    let at = |text: &str, up: bool, zone: Option<&str>| {
        let zone = zone.map(|zone| time_zone(zone).unwrap());
        format(math(text, now, up, zone.as_ref(), None).unwrap(), None, None).unwrap()
    };
    assert_eq!(at("now", false, None), "2024-03-31T12:34:56.789Z");
    assert_eq!(at("now-1M", false, None), "2024-02-29T12:34:56.789Z");
    assert_eq!(at("now-1d/d", false, None), "2024-03-30T00:00:00.000Z");
    assert_eq!(at("now-1d/d", true, None), "2024-03-30T23:59:59.999Z");
    assert_eq!(at("now/w", false, None), "2024-03-25T00:00:00.000Z");
    assert_eq!(at("now/M", true, None), "2024-03-31T23:59:59.999Z");
    assert_eq!(at("2024-02-01||+1M/d", false, None), "2024-03-01T00:00:00.000Z");
    assert_eq!(at("2024-02-01||", true, None), "2024-02-01T23:59:59.999Z");
    assert_eq!(at("2024-02-01", true, None), "2024-02-01T23:59:59.999Z");
    assert_eq!(at("2024-02-01", false, Some("+01:00")), "2024-01-31T23:00:00.000Z");
    assert_eq!(at("now/d", false, Some("America/New_York")), "2024-03-31T04:00:00.000Z");
    let reason = |text: &str| math(text, now, false, None, None).unwrap_err().reason;
    assert_eq!(reason("now*1d"), "operator not supported for date math [*1d]");
    assert_eq!(reason("now-1x"), "unit [x] not supported for date math [-1x]");
    assert_eq!(reason("now-1"), "truncated date math [-1]");
    assert_eq!(reason("now/2d"), "rounding `/` can only be used on single unit types [/2d]");
}

#[test]
fn rounding_for_calendar_intervals() {
    let berlin = time_zone("Europe/Berlin").unwrap();
    let ms = parse("2024-05-15T22:30:00Z", None).unwrap();
    let at = |unit| format(round_down(ms, unit, &berlin).unwrap(), None, None).unwrap();
    assert_eq!(at('q'), "2024-03-31T22:00:00.000Z");
    assert_eq!(at('d'), "2024-05-15T22:00:00.000Z");
    assert_eq!(at('w'), "2024-05-12T22:00:00.000Z");
    assert_eq!(at('y'), "2023-12-31T23:00:00.000Z");
}

#[test]
fn unknown_zones_are_refused() {
    assert_eq!(time_zone("Mars/Base").unwrap_err().reason, "Unknown time-zone ID: Mars/Base");
    assert!(time_zone("+99:00").is_err());
}
