//! Which tables a connector reads.

use connectors_sdk::{ErrorKind, SourceError};

/// Names shown in an error; the rest is counted.
const NAMED: usize = 20;

/// Advice where nothing may be read.
const NONE: &str = "There is no table that this account may read: grant it SELECT.";

/// The configuration field `tables`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// `*`: every table there is.
    All,
    /// These, in this order.
    Named(Vec<String>),
}

impl Selection {
    /// Understands the list: `*` among the names stands for all, empty names are nothing, a name counts once.
    pub(crate) fn parse(tables: &[String]) -> Result<Self, SourceError> {
        let mut named: Vec<String> = Vec::new();
        for name in tables.iter().map(|name| name.trim()).filter(|name| !name.is_empty()) {
            if name == "*" {
                return Ok(Self::All);
            }
            if !named.iter().any(|known| known == name) {
                named.push(name.to_owned());
            }
        }
        if named.is_empty() {
            return Err(SourceError::configuration("tables", "names no table")
                .with_hint("Name tables, separated by commas, or use * for all."));
        }
        Ok(Self::Named(named))
    }

    /// Whether this table is read if it can be.
    pub(crate) fn wants(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(named) => named.iter().any(|wanted| wanted == name),
        }
    }

    /// The tables to read of those that exist; an error names the ones that do not. Nothing at all is an error as well: an account
    /// that lost its permissions would otherwise empty the index.
    pub(crate) fn of(&self, existing: &[String]) -> Result<Vec<String>, SourceError> {
        let Self::Named(named) = self else {
            if existing.is_empty() {
                let context = "`tables`: there is none, or none that may be read";
                return Err(SourceError::new(ErrorKind::Config, "find the tables", context).with_hint(NONE));
            }
            return Ok(existing.to_vec());
        };
        let missing: Vec<&str> =
            named.iter().filter(|name| !existing.contains(name)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(named.clone());
        }
        let hint = if existing.is_empty() {
            NONE.to_owned()
        } else {
            format!("Tables that exist and may be read: {}.", listed(existing.iter().map(String::as_str)))
        };
        let context = format!("`tables`: {} does not exist or may not be read", listed(missing));
        Err(SourceError::new(ErrorKind::Config, "find the tables", context).with_hint(hint))
    }
}

/// Names for an error, the first of many.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let more = names.len().saturating_sub(NAMED);
    let shown = names[..names.len() - more].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_star_is_everything() {
        assert_eq!(Selection::parse(&texts(&["*"])).unwrap(), Selection::All);
        assert_eq!(Selection::parse(&texts(&["a", " * "])).unwrap(), Selection::All);
        assert_eq!(Selection::All.of(&texts(&["b", "a"])).unwrap(), ["b", "a"]);
        let error = Selection::All.of(&[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("grant it SELECT"), "{error}");
    }

    #[test]
    fn named_tables_count_once_and_must_exist() {
        let selection = Selection::parse(&texts(&["b", " a ", "", "b"])).unwrap();
        assert_eq!(selection, Selection::Named(texts(&["b", "a"])));
        assert_eq!(selection.of(&texts(&["a", "b", "c"])).unwrap(), ["b", "a"]);
        let error = selection.of(&texts(&["a", "c"])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(
            error.to_string().contains("b does not exist") && error.to_string().contains("a, c"),
            "{error}"
        );
        assert!(selection.of(&[]).unwrap_err().to_string().contains("grant it SELECT"));
    }

    #[test]
    fn an_empty_list_is_refused_with_advice() {
        let error = Selection::parse(&texts(&["", " "])).unwrap_err();
        assert!(error.to_string().contains("use * for all"), "{error}");
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<String> = (0..25).map(|index| index.to_string()).collect();
        assert!(listed(many.iter().map(String::as_str)).ends_with("19 and 5 more"));
    }
}
