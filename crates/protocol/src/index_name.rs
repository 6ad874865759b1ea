//! Names of content indices.

/// Characters Elasticsearch refuses in an index name.
const FORBIDDEN: [char; 11] = ['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#'];
/// Characters an index name may not begin with.
const FORBIDDEN_FIRST: [char; 3] = ['_', '-', '+'];
/// Longest name in bytes.
const MAX_BYTES: usize = 255;

/// Why a name cannot be an index name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIndexName {
    /// Nothing was given.
    #[error("an index name cannot be empty")]
    Empty,
    /// A character that is not allowed anywhere.
    #[error("index name {name:?} contains {character:?}, which is not allowed")]
    Character {
        /// The name that was given.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// A character that is not allowed at the beginning.
    #[error("index name {name:?} must not begin with {character:?}")]
    Beginning {
        /// The name that was given.
        name: String,
        /// Its first character.
        character: char,
    },
    /// `.` or `..`.
    #[error("{0:?} cannot be an index name")]
    Dots(String),
    /// Upper-case letters.
    #[error("index name {0:?} must be lower case")]
    UpperCase(String),
    /// More than 255 bytes.
    #[error("index name is {0} bytes long, the limit is 255")]
    TooLong(usize),
}

/// Accepts a name under which Elasticsearch can make an index, and says what is wrong with any other.
pub fn check(name: &str) -> Result<(), InvalidIndexName> {
    let owned = || name.to_owned();
    let Some(first) = name.chars().next() else {
        return Err(InvalidIndexName::Empty);
    };
    if let Some(character) = name.chars().find(|c| FORBIDDEN.contains(c) || c.is_control() || *c == ':') {
        return Err(InvalidIndexName::Character { name: owned(), character });
    }
    if FORBIDDEN_FIRST.contains(&first) {
        return Err(InvalidIndexName::Beginning { name: owned(), character: first });
    }
    if name == "." || name == ".." {
        return Err(InvalidIndexName::Dots(owned()));
    }
    if name.chars().any(char::is_uppercase) {
        return Err(InvalidIndexName::UpperCase(owned()));
    }
    if name.len() > MAX_BYTES {
        return Err(InvalidIndexName::TooLong(name.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_elasticsearch_accepts() {
        for name in ["search-demo", "a", ".hidden", "2026", "a_b+c-d", "ünïcode"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn refuses_others_and_names_the_reason() {
        assert_eq!(check(""), Err(InvalidIndexName::Empty));
        for character in FORBIDDEN.into_iter().chain([':', '\n']) {
            let name = format!("a{character}b");
            assert_eq!(check(&name), Err(InvalidIndexName::Character { name, character }));
        }
        for character in FORBIDDEN_FIRST {
            let name = format!("{character}b");
            assert_eq!(check(&name), Err(InvalidIndexName::Beginning { name, character }));
        }
        assert_eq!(check(".."), Err(InvalidIndexName::Dots("..".into())));
        assert_eq!(check("."), Err(InvalidIndexName::Dots(".".into())));
        assert_eq!(check("aB"), Err(InvalidIndexName::UpperCase("aB".into())));
        assert_eq!(check(&"a".repeat(256)), Err(InvalidIndexName::TooLong(256)));
    }
}
