//! Keyset paging: page N+1 begins after the last key of page N, so that it costs as much as page 1. OFFSET does not.

use std::fmt::Write;

/// How a server writes names and bound values.
pub(crate) trait Dialect {
    /// A name, quoted by the server's rules.
    fn quote(&self, name: &str) -> String;
    /// The placeholder of the bound value with this number, from 1.
    fn placeholder(&self, number: usize) -> String;
    /// Whether the server uses an index for `(a, b) > (x, y)`. Where it does not, the comparison is spelled out.
    fn compares_rows(&self) -> bool;
}

/// A condition and the key columns whose values it binds, in order: an index into the key for each placeholder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// SQL text.
    pub text: String,
    /// For each placeholder, which column of the key it is for.
    pub binds: Vec<usize>,
}

/// Rows whose key comes after a given one, in the order of the key. `key` are column names; `first` is the number of the first
/// placeholder. None of the columns may be null.
pub(crate) fn after(dialect: &dyn Dialect, key: &[String], first: usize) -> Condition {
    let names: Vec<String> = key.iter().map(|column| dialect.quote(column)).collect();
    if names.len() > 1 && dialect.compares_rows() {
        let placeholders: Vec<String> =
            (0..names.len()).map(|index| dialect.placeholder(first + index)).collect();
        let text = format!("({}) > ({})", names.join(", "), placeholders.join(", "));
        return Condition { text, binds: (0..names.len()).collect() };
    }
    // (a > ?) OR (a = ? AND b > ?): an index on (a, b) serves each part as one range.
    let mut binds = Vec::new();
    let mut text = String::new();
    let mut bind = |column: usize| {
        binds.push(column);
        dialect.placeholder(first + binds.len() - 1)
    };
    for last in 0..names.len() {
        if last > 0 {
            text.push_str(" OR ");
        }
        text.push('(');
        for (column, name) in names[..last].iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{name} = {} AND ", bind(column));
        }
        let _ = write!(text, "{} > {})", names[last], bind(last));
    }
    if names.len() > 1 {
        text = format!("({text})");
    }
    Condition { text, binds }
}

/// `ORDER BY` of the key's columns.
pub(crate) fn order_by(dialect: &dyn Dialect, key: &[String]) -> String {
    let names: Vec<String> = key.iter().map(|column| dialect.quote(column)).collect();
    format!("ORDER BY {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Backticks;

    impl Dialect for Backticks {
        fn quote(&self, name: &str) -> String {
            format!("`{}`", name.replace('`', "``"))
        }

        fn placeholder(&self, _: usize) -> String {
            "?".to_owned()
        }

        fn compares_rows(&self) -> bool {
            false
        }
    }

    struct Numbered;

    impl Dialect for Numbered {
        fn quote(&self, name: &str) -> String {
            format!("\"{}\"", name.replace('"', "\"\""))
        }

        fn placeholder(&self, number: usize) -> String {
            format!("${number}")
        }

        fn compares_rows(&self) -> bool {
            true
        }
    }

    fn key(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn one_column_is_compared() {
        let condition = after(&Numbered, &key(&["i\"d"]), 3);
        assert_eq!((condition.text.as_str(), condition.binds), ("(\"i\"\"d\" > $3)", vec![0]));
    }

    #[test]
    fn several_columns_are_compared_as_a_row_where_an_index_serves_that() {
        let condition = after(&Numbered, &key(&["a", "b"]), 1);
        assert_eq!((condition.text.as_str(), condition.binds), ("(\"a\", \"b\") > ($1, $2)", vec![0, 1]));
        assert_eq!(order_by(&Numbered, &key(&["a", "b"])), "ORDER BY \"a\", \"b\"");
    }

    #[test]
    fn several_columns_are_spelled_out_elsewhere() {
        let condition = after(&Backticks, &key(&["a", "b", "c"]), 1);
        let expected = "((`a` > ?) OR (`a` = ? AND `b` > ?) OR (`a` = ? AND `b` = ? AND `c` > ?))";
        assert_eq!((condition.text.as_str(), condition.binds), (expected, vec![0, 0, 1, 0, 1, 2]));
    }
}
