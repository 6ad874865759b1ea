//! Ids of documents made of rows: the table and the values of the key, joined by `_`, as Elastic's connectors name them, so
//! that an index they wrote is taken over.

/// One value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPart<'a> {
    /// Text, which may hold the separator.
    Text(&'a str),
    /// Anything whose text form holds no `_`: numbers, dates, UUIDs.
    Plain(&'a str),
}

/// `<prefix>_<k1>_<k2>…`. In a key of several columns, `_` and `\` of texts are escaped by `\`: without it the keys
/// (`a_b`, `c`) and (`a`, `b_c`) would be one document. A null is left out, and so is its separator.
pub(crate) fn row_id<'a>(prefix: &str, key: impl IntoIterator<Item = Option<KeyPart<'a>>>) -> String {
    let parts: Vec<_> = key.into_iter().collect();
    let composite = parts.len() > 1;
    let mut id = String::with_capacity(prefix.len() + 24);
    id.push_str(prefix);
    for part in parts.into_iter().flatten() {
        id.push('_');
        match part {
            KeyPart::Text(text) if composite && text.contains(['_', '\\']) => {
                for character in text.chars() {
                    if matches!(character, '_' | '\\') {
                        id.push('\\');
                    }
                    id.push(character);
                }
            }
            KeyPart::Text(text) | KeyPart::Plain(text) => id.push_str(text),
        }
    }
    id
}

/// Prefix of the ids of a custom query's rows: its tables, sorted, joined by `_`.
pub(crate) fn joined_tables(tables: &[String]) -> String {
    let mut sorted: Vec<&str> = tables.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.join("_")
}

#[cfg(test)]
mod tests {
    use super::KeyPart::{Plain, Text};
    use super::*;

    #[test]
    fn keys_of_one_column_are_taken_as_they_are() {
        assert_eq!(row_id("customers", [Some(Plain("7"))]), "customers_7");
        assert_eq!(row_id("customers", [Some(Text("a_b\\"))]), "customers_a_b\\");
    }

    #[test]
    fn keys_of_several_columns_are_told_apart() {
        assert_eq!(row_id("t", [Some(Plain("1")), Some(Plain("2"))]), "t_1_2");
        let first = row_id("t", [Some(Text("a_b")), Some(Text("c"))]);
        let second = row_id("t", [Some(Text("a")), Some(Text("b_c"))]);
        assert_eq!(first, "t_a\\_b_c");
        assert_ne!(first, second);
        assert_eq!(row_id("t", [None, Some(Text("x"))]), "t_x");
    }

    #[test]
    fn tables_of_a_query_are_sorted() {
        assert_eq!(joined_tables(&["b".to_owned(), "a".to_owned()]), "a_b");
    }
}
