//! Decimal digits of fixed width, for dates and times: documents have many of them, and `write!` takes ten times as long.

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
