//! Decimal digits: of fixed width for dates and times (documents have many of them, and `write!` takes ten times as long), and
//! those of numbers.

/// Most digits of a number.
const LONGEST: usize = 20;

/// Adds the number with at least this many digits, led by zeros (`{number:0width$}`).
pub(crate) fn push_padded(text: &mut String, number: u64, width: usize) {
    let mut digits = [b'0'; LONGEST];
    let (mut rest, mut first) = (number, LONGEST);
    while rest > 0 {
        first -= 1;
        digits[first] += u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    let first = first.min(LONGEST.saturating_sub(width.max(1)));
    // Digits are ASCII.
    text.push_str(str::from_utf8(&digits[first..]).unwrap_or_default());
}

/// Adds `yyyy-mm-dd`.
pub(crate) fn push_date(text: &mut String, year: u64, month: u64, day: u64) {
    push_padded(text, year, 4);
    for part in [month, day] {
        text.push('-');
        push_padded(text, part, 2);
    }
}

/// Adds `hh:mm:ss`, and six more digits if there are microseconds.
pub(crate) fn push_clock(text: &mut String, hours: u64, minutes: u64, seconds: u64, micros: u64) {
    for (separator, number) in [("", hours), (":", minutes), (":", seconds)] {
        text.push_str(separator);
        push_padded(text, number, 2);
    }
    if micros > 0 {
        text.push('.');
        push_padded(text, micros, 6);
    }
}

/// The double that has the very digits of this decimal number.
pub(crate) fn double(text: &str) -> Option<f64> {
    let exact = digits(text)?;
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
    (digits(&format!("{number:e}"))? == exact).then_some(number)
}

#[cfg(feature = "mongodb")]
/// Whether it is a decimal number, with an exponent or without.
pub(crate) fn is_number(text: &str) -> bool {
    digits(text).is_some()
}

/// Sign, digits without zeros around them, and the exponent of the last one. None if it is not a number.
fn digits(text: &str) -> Option<(bool, String, i32)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    if trimmed.is_empty() {
        return Some((negative, String::new(), 0));
    }
    let dropped = i32::try_from(significant.len() - trimmed.len()).ok()?;
    let exponent = exponent - i32::try_from(fraction.len()).ok()? + dropped;
    Some((negative, trimmed.to_owned(), exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_led_by_zeros() {
        for (number, width) in
            [(0, 0), (0, 1), (0, 2), (7, 2), (70, 2), (700, 2), (1, 6), (u64::MAX, 6), (5, 20)]
        {
            let mut text = "x".to_owned();
            push_padded(&mut text, number, width);
            assert_eq!(text, format!("x{number:0width$}"));
        }
    }

    #[test]
    fn dates_have_at_least_four_digits_of_a_year() {
        for (year, expected) in [(7, "0007-02-03"), (12026, "12026-02-03")] {
            let mut text = String::new();
            push_date(&mut text, year, 2, 3);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn clocks_have_microseconds_if_there_are_some() {
        let clock = |hours, micros| {
            let mut text = String::new();
            push_clock(&mut text, hours, 2, 3, micros);
            text
        };
        assert_eq!((clock(1, 0), clock(838, 40)), ("01:02:03".to_owned(), "838:02:03.000040".to_owned()));
    }
}
