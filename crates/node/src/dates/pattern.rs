//! Java's date patterns (`yyyy-MM-dd HH:mm:ss`): compiled once, then read and written.

use std::fmt::Write;

use jiff::civil::{DateTime, ISOWeekDate, Weekday};
use jiff::tz::TimeZone;

use super::iso;
use crate::error::{ApiError, Result};

/// What a text said of a date.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    pub year: Option<i64>,
    pub month: Option<i64>,
    pub day: Option<i64>,
    pub day_of_year: Option<i64>,
    pub week_year: Option<i64>,
    pub week: Option<i64>,
    /// 1 is Monday.
    pub weekday: Option<i64>,
    pub hour: Option<i64>,
    pub half_day_hour: Option<i64>,
    pub afternoon: Option<bool>,
    pub minute: Option<i64>,
    pub second: Option<i64>,
    pub nano: Option<i64>,
    /// Seconds east of UTC.
    pub offset: Option<i32>,
    pub zone: Option<String>,
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, any year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Fields {
    /// Milliseconds since the epoch. What is missing is the earliest, or with `round_up` the latest time of the day
    /// (Elasticsearch does not round months and days up). `zone` counts where the text has none.
    pub fn resolve(&self, round_up: bool, zone: Option<&TimeZone>) -> Option<i64> {
        let (year, month, day) = self.date()?;
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        let missing = |up: i64| if round_up { up } else { 0 };
        let hour = match (self.hour, self.half_day_hour) {
            (Some(hour), _) => hour,
            (None, Some(hour)) => hour % 12 + if self.afternoon == Some(true) { 12 } else { 0 },
            (None, None) => missing(23),
        };
        let minute = self.minute.unwrap_or(missing(59));
        let second = self.second.unwrap_or(missing(59));
        let nano = self.nano.unwrap_or(missing(999_999_999));
        // 24:00 is the next day's midnight.
        let midnight = hour == 24 && self.minute.unwrap_or(0) == 0 && self.second.unwrap_or(0) == 0;
        if (hour > 23 && !midnight) || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day);
        let local = days
            .checked_mul(86_400)?
            .checked_add(hour * 3600 + minute * 60 + second)?
            .checked_mul(1000)?
            .checked_add(nano / 1_000_000)?;
        if let Some(offset) = self.offset {
            return local.checked_sub(i64::from(offset) * 1000);
        }
        let named = match &self.zone {
            Some(name) => Some(super::time_zone(name).ok()?),
            None => None,
        };
        match named.as_ref().or(zone) {
            None => Some(local),
            Some(zone) => local_to_utc(local, zone),
        }
    }

    fn date(&self) -> Option<(i64, i64, i64)> {
        if let Some(week_year) = self.week_year {
            let week = i8::try_from(self.week.unwrap_or(1)).ok()?;
            let weekday =
                Weekday::from_monday_one_offset(i8::try_from(self.weekday.unwrap_or(1)).ok()?).ok()?;
            let date = ISOWeekDate::new(i16::try_from(week_year).ok()?, week, weekday).ok()?.date();
            return Some((i64::from(date.year()), i64::from(date.month()), i64::from(date.day())));
        }
        let year = self.year.unwrap_or(1970);
        if let Some(day_of_year) = self.day_of_year {
            let mut day = day_of_year;
            for month in 1..=12 {
                if day <= days_in_month(year, month) {
                    return Some((year, month, day));
                }
                day -= days_in_month(year, month);
            }
            return None;
        }
        Some((year, self.month.unwrap_or(1), self.day.unwrap_or(1)))
    }
}

/// The instant of a local time; in a gap of the zone the later one, in an overlap the earlier one, as Java.
pub fn local_to_utc(local_ms: i64, zone: &TimeZone) -> Option<i64> {
    let as_utc = jiff::Timestamp::from_millisecond(local_ms).ok()?;
    let local = as_utc.to_zoned(TimeZone::UTC).datetime();
    Some(zone.to_ambiguous_timestamp(local).compatible().ok()?.as_millisecond())
}

/// One element of a pattern.
#[derive(Debug, Clone, PartialEq)]
enum Item {
    Literal(String),
    Number {
        field: NumberField,
        min: usize,
        max: usize,
    },
    /// `.` or `,` and 1–9 digits; written with three.
    Fraction,
    /// Digits of a second, exactly so many.
    FractionDigits(usize),
    MonthName {
        short: bool,
    },
    WeekdayName {
        short: bool,
    },
    HalfDay,
    /// `Z` for zero if so; a colon between hours and minutes if so.
    Offset {
        zulu: bool,
        colon: bool,
    },
    ZoneName,
    Optional(Vec<Item>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberField {
    Year,
    Month,
    Day,
    DayOfYear,
    WeekYear,
    Week,
    Weekday,
    Hour,
    HalfDayHour,
    Minute,
    Second,
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    items: Vec<Item>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Optional parts nest, and each level is a call.
const LONGEST: usize = 256;

impl Pattern {
    /// Compiles a Java pattern. `ƒ` (ours) stands for an optional-length fraction with its point.
    pub fn compile(pattern: &str) -> Result<Self> {
        if pattern.len() > LONGEST {
            return Err(invalid(pattern, "the pattern is too long"));
        }
        let quoted = pattern.split('\'').skip(1).step_by(2).map(str::len).sum::<usize>() > 0;
        if let Some(reserved) = pattern.chars().find(|c| "{}#".contains(*c)).filter(|_| !quoted) {
            return Err(invalid(pattern, &format!("Pattern includes reserved character: '{reserved}'")));
        }
        let mut chars = pattern.chars().peekable();
        let items = compile_items(pattern, &mut chars, false)?;
        Ok(Self { items })
    }

    /// Reads a whole text.
    pub fn parse(&self, text: &str) -> Option<Fields> {
        let mut fields = Fields::default();
        let rest = read_items(&self.items, text, &mut fields)?;
        rest.is_empty().then_some(fields)
    }

    /// Writes a local time with its offset.
    pub fn print(&self, moment: &Moment) -> String {
        let mut out = String::new();
        write_items(&self.items, moment, &mut out);
        out
    }
}

/// A time to write.
#[derive(Debug, Clone)]
pub struct Moment {
    pub local: DateTime,
    pub offset_seconds: i32,
    pub zone_name: String,
}

impl Moment {
    /// The local time of `ms` in `zone`.
    pub fn of(ms: i64, zone: &TimeZone) -> Option<Self> {
        let zoned = jiff::Timestamp::from_millisecond(ms).ok()?.to_zoned(zone.clone());
        let offset_seconds = zoned.offset().seconds();
        let zone_name =
            zone.iana_name().map_or_else(|| offset_text(offset_seconds, true, true), str::to_owned);
        Some(Self { local: zoned.datetime(), offset_seconds, zone_name })
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn compile_items(pattern: &str, chars: &mut Chars<'_>, nested: bool) -> Result<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '[' => items.push(Item::Optional(compile_items(pattern, chars, true)?)),
            ']' if nested => return Ok(items),
            ']' => return Err(invalid(pattern, "Pattern invalid as it contains ] without previous [")),
            '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        Some('\'') if chars.peek() == Some(&'\'') => {
                            chars.next();
                            literal.push('\'');
                        }
                        Some('\'') => break,
                        Some(other) => literal.push(other),
                        None => {
                            return Err(invalid(pattern, "Pattern ends with an incomplete string literal"));
                        }
                    }
                }
                items.push(Item::Literal(if literal.is_empty() { "'".into() } else { literal }));
            }
            'ƒ' => items.push(Item::Fraction),
            c if c.is_ascii_alphabetic() => {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                items.push(letters(pattern, c, count)?);
            }
            '{' | '}' | '#' => {
                return Err(invalid(pattern, &format!("Pattern includes reserved character: '{c}'")));
            }
            other => items.push(Item::Literal(other.to_string())),
        }
    }
    Ok(items)
}

fn letters(pattern: &str, letter: char, count: usize) -> Result<Item> {
    let number = |field, min, max| Ok(Item::Number { field, min, max });
    let plain = |field| number(field, count, if count == 1 { 2 } else { count });
    match (letter, count) {
        ('y' | 'u', 2) => number(NumberField::Year, 2, 2),
        ('y' | 'u', 1) => number(NumberField::Year, 1, 9),
        ('y' | 'u', _) => number(NumberField::Year, count, if count >= 4 { 9 } else { count }),
        ('Y' | 'x', 1) if letter == 'Y' => number(NumberField::WeekYear, 1, 9),
        ('Y', _) => number(NumberField::WeekYear, count, 9),
        ('M' | 'L', 1 | 2) => plain(NumberField::Month),
        ('M' | 'L', 3) => Ok(Item::MonthName { short: true }),
        ('M' | 'L', 4) => Ok(Item::MonthName { short: false }),
        ('d', 1 | 2) => plain(NumberField::Day),
        ('D', 1) => number(NumberField::DayOfYear, 1, 3),
        ('D', 2 | 3) => number(NumberField::DayOfYear, count, 3),
        ('w', 1 | 2) => plain(NumberField::Week),
        ('e' | 'c', 1) => number(NumberField::Weekday, 1, 1),
        ('E', 1..=3) => Ok(Item::WeekdayName { short: true }),
        ('E', 4) => Ok(Item::WeekdayName { short: false }),
        ('a', 1) => Ok(Item::HalfDay),
        ('H' | 'k', 1 | 2) => plain(NumberField::Hour),
        ('h' | 'K', 1 | 2) => plain(NumberField::HalfDayHour),
        ('m', 1 | 2) => plain(NumberField::Minute),
        ('s', 1 | 2) => plain(NumberField::Second),
        ('S', 1..=9) => Ok(Item::FractionDigits(count)),
        ('n', _) => Ok(Item::FractionDigits(9)),
        ('X', 1 | 2) => Ok(Item::Offset { zulu: true, colon: false }),
        ('X', 3 | 5) | ('Z', 5) => Ok(Item::Offset { zulu: true, colon: true }),
        ('x', 1 | 2) | ('Z', 1..=3) => Ok(Item::Offset { zulu: false, colon: false }),
        ('x', 3 | 5) => Ok(Item::Offset { zulu: false, colon: true }),
        ('V', 2) | ('z' | 'v', 1..=3) => Ok(Item::ZoneName),
        _ => Err(invalid(pattern, &format!("Unknown pattern letter: {letter}"))),
    }
}

fn invalid(pattern: &str, why: &str) -> ApiError {
    ApiError::illegal_argument(format!("Invalid format: [{pattern}]: {why}"))
}

/// Reads items in order. An optional part is read where it fits and passed over where not, as in Java.
fn read_items<'t>(items: &[Item], text: &'t str, fields: &mut Fields) -> Option<&'t str> {
    let mut rest = text;
    for (index, item) in items.iter().enumerate() {
        rest = read_item(item, &items[index + 1..], rest, fields)?;
    }
    Some(rest)
}

/// Reads one item; `after` are those that follow it.
fn read_item<'t>(item: &Item, after: &[Item], text: &'t str, fields: &mut Fields) -> Option<&'t str> {
    match item {
        Item::Literal(literal) => text.strip_prefix(literal.as_str()),
        Item::Optional(inner) => {
            let mut with = fields.clone();
            match read_items(inner, text, &mut with) {
                Some(rest) => {
                    *fields = with;
                    Some(rest)
                }
                None => Some(text),
            }
        }
        Item::Number { field, min, max } => {
            let signed = matches!(field, NumberField::Year | NumberField::WeekYear);
            let (negative, digits_text) = match text.strip_prefix('-').filter(|_| signed) {
                Some(rest) => (true, rest),
                None => (false, text.strip_prefix('+').filter(|_| signed).unwrap_or(text)),
            };
            // Adjacent numbers (`yyyyMMdd`) leave the following ones their digits.
            let reserved: usize = adjacent_digits(after);
            let available = digits_text.bytes().take_while(u8::is_ascii_digit).count();
            let length = (*max).min(available.saturating_sub(reserved)).max((*min).min(available));
            if length < *min {
                return None;
            }
            let value: i64 = digits_text[..length].parse().ok()?;
            let value = if negative { -value } else { value };
            set(fields, *field, value, *max);
            Some(&digits_text[length..])
        }
        Item::Fraction => {
            let rest = text.strip_prefix(['.', ','])?;
            let length = rest.bytes().take(9).take_while(u8::is_ascii_digit).count();
            read_fraction(rest, length, fields)
        }
        Item::FractionDigits(length) => read_fraction(text, *length, fields),
        Item::MonthName { short } => {
            let (index, rest) = read_name(text, &MONTHS, *short)?;
            fields.month = Some(index);
            Some(rest)
        }
        Item::WeekdayName { short } => {
            let (_, rest) = read_name(text, &WEEKDAYS, *short)?;
            Some(rest)
        }
        Item::HalfDay => {
            let head = text.get(..2)?;
            fields.afternoon = Some(match head {
                "AM" | "am" => false,
                "PM" | "pm" => true,
                _ => return None,
            });
            Some(&text[2..])
        }
        Item::Offset { zulu, .. } => {
            if !zulu && text.starts_with('Z') {
                return None;
            }
            let (seconds, rest) = iso::offset(text)?;
            fields.offset = Some(seconds);
            Some(rest)
        }
        Item::ZoneName => {
            let length = text
                .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/' | '_' | '+' | '-' | ':'))
                .unwrap_or(text.len());
            let name = &text[..length];
            super::time_zone(name).ok()?;
            fields.zone = Some(name.to_owned());
            Some(&text[length..])
        }
    }
}

/// Digits that the fixed-width numbers directly after this one need.
fn adjacent_digits(items: &[Item]) -> usize {
    items
        .iter()
        .map_while(|item| match item {
            Item::Number { min, max, .. } if min == max => Some(*max),
            Item::FractionDigits(length) => Some(*length),
            _ => None,
        })
        .sum()
}

fn read_fraction<'t>(text: &'t str, length: usize, fields: &mut Fields) -> Option<&'t str> {
    let digits = text.get(..length)?;
    if length == 0 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale = 10_i64.pow(9 - u32::try_from(length).ok()?);
    fields.nano = Some(digits.parse::<i64>().ok()? * scale);
    Some(&text[length..])
}

fn read_name<'t>(text: &'t str, names: &[&str], short: bool) -> Option<(i64, &'t str)> {
    let (index, length) = names.iter().enumerate().find_map(|(index, name)| {
        let name = if short { &name[..3] } else { name };
        text.starts_with(name).then_some((index, name.len()))
    })?;
    Some((i64::try_from(index).ok()? + 1, &text[length..]))
}

fn set(fields: &mut Fields, field: NumberField, value: i64, max: usize) {
    match field {
        // Two-digit years are 2000–2099.
        NumberField::Year if max == 2 => fields.year = Some(2000 + value),
        NumberField::Year => fields.year = Some(value),
        NumberField::Month => fields.month = Some(value),
        NumberField::Day => fields.day = Some(value),
        NumberField::DayOfYear => fields.day_of_year = Some(value),
        NumberField::WeekYear => fields.week_year = Some(value),
        NumberField::Week => fields.week = Some(value),
        NumberField::Weekday => fields.weekday = Some(value),
        NumberField::Hour => fields.hour = Some(value),
        NumberField::HalfDayHour => fields.half_day_hour = Some(value),
        NumberField::Minute => fields.minute = Some(value),
        NumberField::Second => fields.second = Some(value),
    }
}

fn write_items(items: &[Item], moment: &Moment, out: &mut String) {
    let local = &moment.local;
    let week = || local.date().iso_week_date();
    let weekday = || usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or(0);
    for item in items {
        match item {
            Item::Literal(literal) => out.push_str(literal),
            Item::Optional(inner) => write_items(inner, moment, out),
            Item::Number { field, min, max } => {
                let value = match field {
                    NumberField::Year if *max == 2 => i64::from(local.year().rem_euclid(100)),
                    NumberField::Year => i64::from(local.year()),
                    NumberField::Month => i64::from(local.month()),
                    NumberField::Day => i64::from(local.day()),
                    NumberField::DayOfYear => i64::from(local.day_of_year()),
                    NumberField::WeekYear => i64::from(week().year()),
                    NumberField::Week => i64::from(week().week()),
                    NumberField::Weekday => i64::from(local.weekday().to_monday_one_offset()),
                    NumberField::Hour => i64::from(local.hour()),
                    NumberField::HalfDayHour => i64::from((local.hour() + 11) % 12 + 1),
                    NumberField::Minute => i64::from(local.minute()),
                    NumberField::Second => i64::from(local.second()),
                };
                let sign = if value < 0 { "-" } else { "" };
                // Writing to a string cannot fail.
                let _ = write!(out, "{sign}{:0width$}", value.abs(), width = *min);
            }
            Item::Fraction => {
                let _ = write!(out, ".{:03}", local.millisecond());
            }
            Item::FractionDigits(length) => {
                let nanos = format!("{:09}", local.subsec_nanosecond());
                out.push_str(&nanos[..*length]);
            }
            Item::MonthName { short } => {
                let name = MONTHS[usize::try_from(local.month()).unwrap_or(1).saturating_sub(1) % 12];
                out.push_str(if *short { &name[..3] } else { name });
            }
            Item::WeekdayName { short } => {
                let name = WEEKDAYS[weekday() % 7];
                out.push_str(if *short { &name[..3] } else { name });
            }
            Item::HalfDay => out.push_str(if local.hour() < 12 { "AM" } else { "PM" }),
            Item::Offset { zulu, colon } => out.push_str(&offset_text(moment.offset_seconds, *zulu, *colon)),
            Item::ZoneName => out.push_str(&moment.zone_name),
        }
    }
}

/// `Z` or `+01:00`.
fn offset_text(seconds: i32, zulu: bool, colon: bool) -> String {
    if zulu && seconds == 0 {
        return "Z".into();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    let between = if colon { ":" } else { "" };
    format!("{sign}{:02}{between}{:02}", minutes / 60, minutes % 60)
}
