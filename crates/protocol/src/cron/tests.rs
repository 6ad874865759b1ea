use super::*;

/// The next times of `expression` after `from`, without the offset.
fn next(expression: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(expression).unwrap();
    let mut instant: Timestamp = format!("{from}Z").parse().unwrap();
    let mut found = Vec::new();
    while let Some(next) = schedule.next_after(instant).filter(|_| found.len() < count) {
        found.push(next.to_string().trim_end_matches('Z').to_owned());
        instant = next;
    }
    found
}

fn days(expression: &str, from: &str, count: usize) -> Vec<String> {
    let times = next(expression, &format!("{from}T00:00:00"), count);
    times.iter().map(|time| time[..10].to_owned()).collect()
}

fn error(expression: &str) -> String {
    Schedule::parse(expression).unwrap_err().to_string()
}

#[test]
fn plain_fields_values_ranges_steps_and_lists() {
    let from = "2026-01-01T00:00:00";
    assert_eq!(next("0 0 0 * * ?", from, 2), ["2026-01-02T00:00:00", "2026-01-03T00:00:00"]);
    assert_eq!(
        next("0 0/20 * * * ?", from, 3),
        ["2026-01-01T00:20:00", "2026-01-01T00:40:00", "2026-01-01T01:00:00"]
    );
    assert_eq!(next("0 */20 * * * ?", from, 3), next("0 0/20 * * * ?", from, 3));
    assert_eq!(next("0 /20 * * * ?", from, 3), next("0 0/20 * * * ?", from, 3));
    assert_eq!(
        next("0 5,10-12 3 * * ?", from, 5),
        [
            "2026-01-01T03:05:00",
            "2026-01-01T03:10:00",
            "2026-01-01T03:11:00",
            "2026-01-01T03:12:00",
            "2026-01-02T03:05:00"
        ]
    );
    assert_eq!(
        next("0 10-30/10 3 * * ?", from, 4),
        ["2026-01-01T03:10:00", "2026-01-01T03:20:00", "2026-01-01T03:30:00", "2026-01-02T03:10:00"]
    );
    assert_eq!(
        next("0 0 22-1 1 1 ?", "2026-01-01T00:00:00", 4),
        ["2026-01-01T01:00:00", "2026-01-01T22:00:00", "2026-01-01T23:00:00", "2027-01-01T00:00:00"]
    );
}

#[test]
fn a_fraction_of_a_second_is_after_its_second() {
    assert_eq!(next("0 * * * * ?", "2026-01-01T00:00:00.5", 1), ["2026-01-01T00:01:00"]);
    assert_eq!(next("0 * * * * ?", "2026-01-01T00:00:59.999", 1), ["2026-01-01T00:01:00"]);
    assert_eq!(next("0 * * * * ?", "1969-01-01T00:00:00", 1), ["1970-01-01T00:00:00"]);
}

#[test]
fn named_seconds_count_and_a_bare_star_is_second_zero() {
    let from = "2026-01-01T00:00:00";
    assert_eq!(next("0/30 * * * * ?", from, 2), ["2026-01-01T00:00:30", "2026-01-01T00:01:00"]);
    assert_eq!(next("15 * * * * ?", from, 2), ["2026-01-01T00:00:15", "2026-01-01T00:01:15"]);
    for seconds in ["*", "?"] {
        assert_eq!(
            next(&format!("{seconds} 0 0 * * ?"), from, 2),
            ["2026-01-02T00:00:00", "2026-01-03T00:00:00"]
        );
    }
}

#[test]
fn months_and_weekdays_have_names_in_any_case() {
    assert_eq!(days("0 0 1 1 mar,NOV ?", "2026-01-01", 3), ["2026-03-01", "2026-11-01", "2027-03-01"]);
    assert_eq!(days("0 0 1 ? * Mon", "2026-01-01", 2), ["2026-01-05", "2026-01-12"]);
    assert_eq!(days("0 0 1 ? * MON-FRI", "2026-01-02", 2), ["2026-01-02", "2026-01-05"]);
    assert_eq!(
        days("0 0 1 ? * FRI-MON", "2026-01-02", 5),
        ["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05", "2026-01-09"]
    );
    assert_eq!(days("0 0 1 1 NOV-FEB ?", "2026-01-02", 3), ["2026-02-01", "2026-11-01", "2026-12-01"]);
}

#[test]
fn weekday_one_is_sunday_alone_in_lists_and_in_ranges() {
    assert_eq!(days("0 0 1 ? * 1", "2026-01-01", 1), ["2026-01-04"]);
    assert_eq!(days("0 0 1 ? * 7", "2026-01-01", 1), ["2026-01-03"]);
    assert_eq!(days("0 0 1 ? * 2,3", "2026-01-01", 2), ["2026-01-05", "2026-01-06"]);
    assert_eq!(days("0 0 1 ? * 2-6", "2026-01-02", 2), ["2026-01-02", "2026-01-05"]);
    assert_eq!(days("0 0 1 ? * L", "2026-01-01", 1), ["2026-01-03"]);
}

#[test]
fn last_days_of_the_month() {
    assert_eq!(days("0 0 1 L * ?", "2026-01-01", 3), ["2026-01-31", "2026-02-28", "2026-03-31"]);
    assert_eq!(days("0 0 1 L * ?", "2028-02-01", 1), ["2028-02-29"]);
    assert_eq!(days("0 0 1 L-3 * ?", "2026-01-01", 2), ["2026-01-28", "2026-02-25"]);
    // 2026-01-31 is a Saturday, 2026-05-31 a Sunday.
    assert_eq!(days("0 0 1 LW 1,5 ?", "2026-01-01", 2), ["2026-01-30", "2026-05-29"]);
    assert_eq!(days("0 0 1 ? * 6L", "2026-01-01", 2), ["2026-01-30", "2026-02-27"]);
    assert_eq!(days("0 0 1 ? * FRIL", "2026-01-01", 2), ["2026-01-30", "2026-02-27"]);
    assert_eq!(days("0 0 1 1,L * ?", "2026-01-02", 2), ["2026-01-31", "2026-02-01"]);
}

#[test]
fn nearest_weekday_stays_in_the_month() {
    // 2026-08-15 is a Saturday, 2026-02-15 a Sunday, 2026-04-15 a Wednesday.
    assert_eq!(days("0 0 1 15W 2,4,8 ?", "2026-01-01", 3), ["2026-02-16", "2026-04-15", "2026-08-14"]);
    // 2026-08-01 is a Saturday: the 3rd, not July. 2026-05-31 is a Sunday: the 29th, not June.
    assert_eq!(days("0 0 1 1W 8 ?", "2026-01-01", 1), ["2026-08-03"]);
    assert_eq!(days("0 0 1 31W 5,6 ?", "2026-01-01", 2), ["2026-05-29", "2027-05-31"]);
}

#[test]
fn nth_weekday_of_the_month() {
    assert_eq!(days("0 0 1 ? * 6#3", "2026-01-01", 2), ["2026-01-16", "2026-02-20"]);
    assert_eq!(days("0 0 1 ? * SUN#1,SUN#5", "2026-01-01", 3), ["2026-01-04", "2026-02-01", "2026-03-01"]);
    assert_eq!(days("0 0 1 ? * 1#5", "2026-01-01", 2), ["2026-03-29", "2026-05-31"]);
}

#[test]
fn both_day_fields_must_hold() {
    assert_eq!(days("0 0 1 13 * FRI", "2026-01-01", 3), ["2026-02-13", "2026-03-13", "2026-11-13"]);
}

#[test]
fn years_end_a_schedule() {
    assert_eq!(next("0 0 0 1 1 ? 2027", "2026-06-01T00:00:00", 5), ["2027-01-01T00:00:00"]);
    assert_eq!(
        next("0 0 0 1 1 ? 2027-2028", "2026-06-01T00:00:00", 5),
        ["2027-01-01T00:00:00", "2028-01-01T00:00:00"]
    );
    assert_eq!(next("0 0 0 29 2 ? *", "2026-06-01T00:00:00", 1), ["2028-02-29T00:00:00"]);
    assert_eq!(next("0 0 0 30 2 ?", "2026-06-01T00:00:00", 1), [""; 0], "no such day");
    assert_eq!(next("0 0 0 1 1 ? 2025", "2026-06-01T00:00:00", 1), [""; 0]);
}

#[test]
fn errors_name_the_field_and_what_is_wrong() {
    assert!(error("").contains("has 0 fields"));
    assert!(error("0 0 * * *").contains("has 5 fields"));
    assert!(error("0 0 0 * * ? * *").contains("has 8 fields"));
    for (expression, parts) in [
        ("60 0 0 * * ?", ["second \"60\"", "0 and 59"]),
        ("0 x 0 * * ?", ["minute \"x\"", "a number is expected"]),
        ("0 0 24 * * ?", ["hour \"24\"", "0 and 23"]),
        ("0 0 0 32 * ?", ["day of month \"32\"", "1 and 31"]),
        ("0 0 0 L-31 * ?", ["day of month", "0 to 30"]),
        ("0 0 0 0W * ?", ["day of month", "1 and 31"]),
        ("0 0 0 * 13 ?", ["month \"13\"", "1 and 12"]),
        ("0 0 0 * FOO ?", ["month \"FOO\"", "JAN-DEC"]),
        ("0 0 0 ? * 8", ["day of week \"8\"", "1 and 7"]),
        ("0 0 0 ? * 2#6", ["day of week", "1 to 5"]),
        ("0 0 0 ? * XL", ["day of week", "SUN-SAT"]),
        ("0 0 0 * * ? 1969", ["year \"1969\"", "1970"]),
        ("0 0 0 * * ? 2030-2026", ["year", "backwards"]),
        ("0 0/0 0 * * ?", ["minute", "above 0"]),
        ("0 0/x 0 * * ?", ["minute", "above 0"]),
        ("0 1,,2 0 * * ?", ["minute", "empty item"]),
        ("0 -5 0 * * ?", ["minute", "a number is expected"]),
        ("0 +5 0 * * ?", ["minute", "a number is expected"]),
        ("0 ? 0 * * ?", ["minute", "a number is expected"]),
    ] {
        let message = error(expression);
        assert!(message.contains(expression), "{message}");
        for part in parts {
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }
}
