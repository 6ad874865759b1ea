//! Parts of a table that are read side by side.

/// A part of a table whose key begins with an integer: keys from `from` on, and below `to`. None: without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRange {
    /// The first key that belongs to it.
    pub from: Option<i128>,
    /// The first key that does not.
    pub to: Option<i128>,
}

impl KeyRange {
    /// The whole table.
    pub(crate) const ALL: Self = Self { from: None, to: None };
}

/// Cuts the keys from `min` to `max` into at most `parts` ranges of about the same width, which together hold every integer:
/// the first and the last are open, for rows that come while the table is read. `rows` is about how many rows there are, and
/// `least` how many a part has at least to be worth a connection.
pub(crate) fn split(min: i128, max: i128, rows: u64, parts: usize, least: u64) -> Vec<KeyRange> {
    let worth = usize::try_from(rows / least.max(1)).unwrap_or(usize::MAX);
    let width = max.saturating_sub(min).saturating_add(1);
    let parts = parts.min(worth).min(usize::try_from(width.max(0)).unwrap_or(usize::MAX)).max(1);
    let count = i128::try_from(parts).unwrap_or(1);
    let bound = |part: i128| min + width / count * part + width % count * part / count;
    (0..count)
        .map(|part| KeyRange {
            from: (part > 0).then(|| bound(part)),
            to: (part + 1 < count).then(|| bound(part + 1)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: KeyRange, key: i128) -> bool {
        range.from.is_none_or(|from| key >= from) && range.to.is_none_or(|to| key < to)
    }

    #[test]
    fn every_key_is_in_exactly_one_part() {
        for (min, max, parts) in
            [(0, 99, 4), (-7, 3, 3), (1, 2, 5), (i128::from(i64::MIN), i128::from(u64::MAX), 8)]
        {
            let ranges = split(min, max, 1_000_000, parts, 1);
            assert!(ranges.len() <= parts);
            for key in [min - 1, min, min + 1, i128::midpoint(min, max), max - 1, max, max + 1] {
                assert_eq!(
                    ranges.iter().filter(|range| holds(**range, key)).count(),
                    1,
                    "{key} in {ranges:?}"
                );
            }
        }
    }

    #[test]
    fn small_tables_are_read_in_one_part() {
        assert_eq!(split(0, 10_000, 9_999, 4, 10_000), [KeyRange::ALL]);
        assert_eq!(split(5, 5, 1_000_000, 4, 1), [KeyRange::ALL]);
        assert_eq!(split(0, 99, 30, 4, 10).len(), 3);
    }
}
