//! The two day fields, with their special forms.

use jiff::civil::{Date, Weekday};

use super::field::{Range, Values, number};

/// Day-of-month field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaysOfMonth {
    /// `None` when only special forms are given.
    plain: Option<Values>,
    special: Vec<DayOfMonth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayOfMonth {
    /// `L` or `L-n`: so many days before the last.
    BeforeLast(i8),
    /// `LW`: the last weekday.
    LastWeekday,
    /// `nW`: the weekday nearest to that day.
    NearestWeekday(i8),
}

impl DaysOfMonth {
    pub fn parse(text: &str) -> Result<Self, String> {
        let range = Range::circle(1, 31);
        if text == "?" {
            return Self::parse("*");
        }
        let mut plain = Vec::new();
        let mut special = Vec::new();
        for item in text.split(',') {
            let upper = item.to_ascii_uppercase();
            if upper == "L" {
                special.push(DayOfMonth::BeforeLast(0));
            } else if upper == "LW" || upper == "WL" {
                special.push(DayOfMonth::LastWeekday);
            } else if let Some(days) = upper.strip_prefix("L-") {
                let days = number(days).filter(|days| (0..=30).contains(days));
                let days = days.and_then(|days| i8::try_from(days).ok());
                special.push(DayOfMonth::BeforeLast(
                    days.ok_or_else(|| format!("has {item:?}: a number of 0 to 30 days follows L-"))?,
                ));
            } else if let Some(day) = upper.strip_suffix('W') {
                let day = range.value(day)?;
                special
                    .push(DayOfMonth::NearestWeekday(i8::try_from(day).map_err(|error| error.to_string())?));
            } else {
                plain.push(item);
            }
        }
        Ok(Self { plain: plain_values(&plain, &range)?, special })
    }

    pub fn contains(&self, date: Date) -> bool {
        let day = i32::from(date.day());
        self.plain.as_ref().is_some_and(|values| values.contains(day))
            || self.special.iter().any(|special| special.is(date))
    }
}

fn plain_values(items: &[&str], range: &Range) -> Result<Option<Values>, String> {
    if items.is_empty() {
        return Ok(None);
    }
    Values::parse(&items.join(","), range).map(Some)
}

impl DayOfMonth {
    fn is(self, date: Date) -> bool {
        let last = date.days_in_month();
        match self {
            Self::BeforeLast(days) => date.day() == last - days,
            Self::LastWeekday => date.day() == nearest_weekday(date, last),
            // A month without that day is skipped.
            Self::NearestWeekday(day) => day <= last && date.day() == nearest_weekday(date, day),
        }
    }
}

/// The weekday (Monday to Friday) nearest to a day of the date's month, without leaving the month.
fn nearest_weekday(date: Date, day: i8) -> i8 {
    let last = date.days_in_month();
    let weekday = Date::new(date.year(), date.month(), day).map(Date::weekday);
    match weekday {
        Ok(Weekday::Saturday) if day > 1 => day - 1,
        Ok(Weekday::Saturday) => day + 2,
        Ok(Weekday::Sunday) if day < last => day + 1,
        Ok(Weekday::Sunday) => day - 2,
        _ => day,
    }
}

/// Day-of-week field; Sunday is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DaysOfWeek {
    plain: Option<Values>,
    special: Vec<DayOfWeek>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DayOfWeek {
    /// `nL`: the last such day of the month.
    Last(i32),
    /// `n#k`: the k-th such day of the month.
    Nth(i32, i8),
}

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl DaysOfWeek {
    pub fn parse(text: &str) -> Result<Self, String> {
        let range = Range::circle(1, 7).named(&WEEKDAYS);
        if text == "?" {
            return Self::parse("*");
        }
        let mut plain = Vec::new();
        let mut special = Vec::new();
        for item in text.split(',') {
            if item.eq_ignore_ascii_case("L") {
                plain.push("7");
            } else if let Some((day, place)) = item.split_once('#') {
                let place = number(place).filter(|place| (1..=5).contains(place));
                let place = place.and_then(|place| i8::try_from(place).ok());
                special.push(DayOfWeek::Nth(
                    range.value(day)?,
                    place.ok_or_else(|| format!("has {item:?}: a number from 1 to 5 follows #"))?,
                ));
            } else if let Some(day) = item.strip_suffix(['L', 'l']) {
                special.push(DayOfWeek::Last(range.value(day)?));
            } else {
                plain.push(item);
            }
        }
        Ok(Self { plain: plain_values(&plain, &range)?, special })
    }

    pub fn contains(&self, date: Date) -> bool {
        let weekday = i32::from(date.weekday().to_sunday_one_offset());
        self.plain.as_ref().is_some_and(|values| values.contains(weekday))
            || self.special.iter().any(|special| match special {
                DayOfWeek::Last(day) => *day == weekday && date.day() + 7 > date.days_in_month(),
                DayOfWeek::Nth(day, place) => *day == weekday && (date.day() - 1) / 7 + 1 == *place,
            })
    }
}
