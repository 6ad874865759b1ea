//! A field of plain values: lists of values, ranges and steps.

use std::collections::BTreeSet;

/// Which values a field takes.
pub(super) struct Range {
    first: i32,
    last: i32,
    /// Whether a range may run over the end (`22-2`).
    circle: bool,
    /// Names of the values from `first` on.
    names: &'static [&'static str],
}

impl Range {
    pub fn circle(first: i32, last: i32) -> Self {
        Self { first, last, circle: true, names: &[] }
    }

    pub fn line(first: i32, last: i32) -> Self {
        Self { circle: false, ..Self::circle(first, last) }
    }

    pub fn named(self, names: &'static [&'static str]) -> Self {
        Self { names, ..self }
    }

    /// Reads one value: a number in the range or a name.
    pub fn value(&self, text: &str) -> Result<i32, String> {
        let name = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(place) = name.and_then(|place| i32::try_from(place).ok()) {
            return Ok(self.first + place);
        }
        let number = number(text).ok_or_else(|| {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(" or a name {first}-{last}"),
                _ => String::new(),
            };
            format!("has {text:?} where a number{names} is expected")
        })?;
        if (self.first..=self.last).contains(&number) {
            Ok(number)
        } else {
            Err(format!("is out of range: {number} is not between {} and {}", self.first, self.last))
        }
    }
}

/// Reads digits only: no sign, which `parse` would take.
pub(super) fn number(text: &str) -> Option<i32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// The values a field allows, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values(Vec<i32>);

impl Values {
    pub fn parse(text: &str, range: &Range) -> Result<Self, String> {
        let mut values = BTreeSet::new();
        for item in text.split(',') {
            add_item(item, range, &mut values)?;
        }
        Ok(Self(values.into_iter().collect()))
    }

    pub fn iter(&self) -> impl Iterator<Item = i32> + '_ {
        self.0.iter().copied()
    }

    pub fn contains(&self, value: i32) -> bool {
        self.0.binary_search(&value).is_ok()
    }

    pub fn at_or_after(&self, value: i32) -> Option<i32> {
        self.iter().find(|candidate| *candidate >= value)
    }
}

fn add_item(item: &str, range: &Range, values: &mut BTreeSet<i32>) -> Result<(), String> {
    if item.is_empty() {
        return Err("has an empty item in its list".to_owned());
    }
    let (span, step) = match item.split_once('/') {
        None => (item, None),
        Some((span, step)) => {
            let step = number(step)
                .filter(|step| *step > 0)
                .ok_or_else(|| format!("has the step {step:?}, which should be a number above 0"))?;
            (span, Some(step))
        }
    };
    let (from, to) = if matches!(span, "*" | "") {
        // "/5" is Quartz's short form of "*/5".
        (range.first, range.last)
    } else if let Some((from, to)) = span.split_once('-') {
        (range.value(from)?, range.value(to)?)
    } else {
        let from = range.value(span)?;
        // A step makes a single value the beginning of a range.
        (from, if step.is_some() { range.last } else { from })
    };
    if from > to && !range.circle {
        return Err(format!("has the range {span}, which runs backwards"));
    }
    let size = range.last - range.first + 1;
    let length = if from <= to { to - from } else { to - from + size };
    let step = usize::try_from(step.unwrap_or(1)).map_err(|_| "has a step that is too large")?;
    for offset in (0..=length).step_by(step) {
        values.insert((from - range.first + offset) % size + range.first);
    }
    Ok(())
}
