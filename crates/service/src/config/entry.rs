//! Adding a connector to a configuration file that a person wrote: nothing else in the file changes.

use std::fmt::Write as _;
use std::path::Path;

use super::{Config, ConnectorEntry};
use secrecy::ExposeSecret;

/// The text of a configuration file with one more entry in `connectors`. An error says why the text cannot be changed by
/// itself, and what to write into the file instead; it does not hold the API key.
pub fn with_connector(path: &Path, text: &str, entry: &ConnectorEntry) -> Result<String, String> {
    let by_hand = |why: &str| {
        let hidden =
            ConnectorEntry { api_key: entry.api_key.as_ref().map(|_| "...".into()), ..entry.clone() };
        format!("{}: {why}; add this entry to its connectors:\n{}", path.display(), item(&hidden, "  "))
    };
    // Variables are the service's to resolve: here they need not be set.
    let read = |text: &str| Config::parse(path, text, &|_| Some(String::new()));
    let before = read(text).map_err(|error| by_hand(&error.to_string()))?;
    let changed = insert(text, entry)
        .ok_or_else(|| by_hand("connectors is not a plain list, one entry below the other"))?;
    let after = read(&changed).map_err(|_| by_hand("the entry cannot be added"))?;
    let ids = |config: &Config| -> Vec<String> {
        config.connectors.iter().map(|entry| entry.connector_id.clone()).collect()
    };
    let (mut expected, mut found) = (ids(&before), ids(&after));
    expected.push(entry.connector_id.clone());
    expected.sort();
    found.sort();
    if expected == found { Ok(changed) } else { Err(by_hand("the entry cannot be added")) }
}

fn insert(text: &str, entry: &ConnectorEntry) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let key = lines.iter().position(|line| line.starts_with("connectors:"));
    let Some(key) = key else {
        let mut changed = text.to_owned();
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str("\nconnectors:\n");
        changed.push_str(&item(entry, "  "));
        return Some(changed);
    };
    let value = lines[key]["connectors:".len()..].split('#').next().unwrap_or_default().trim();
    let (head, indent) = match value {
        "[]" | "null" | "~" => ("connectors:", "  ".to_owned()),
        "" => (lines[key], first_item_indent(&lines[key + 1..]).unwrap_or_else(|| "  ".to_owned())),
        _ => return None,
    };
    // The list ends before the next key of the file; comments and empty lines that stand before that one belong to it.
    let end = lines[key + 1..].iter().position(|line| !belongs(line)).map_or(lines.len(), |n| key + 1 + n);
    let last = (key..end).rev().find(|n| *n == key || is_content(lines[*n])).unwrap_or(key);
    let mut changed = String::with_capacity(text.len() + 200);
    for (n, line) in lines.iter().enumerate() {
        changed.push_str(if n == key { head } else { line });
        changed.push('\n');
        if n == last {
            changed.push_str(&item(entry, &indent));
        }
    }
    Some(changed)
}

/// Whether a line belongs to a list that began above it.
fn belongs(line: &str) -> bool {
    !is_content(line) || line.starts_with([' ', '\t']) || line.starts_with("- ") || line == "-"
}

fn is_content(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#')
}

fn first_item_indent(lines: &[&str]) -> Option<String> {
    let line = lines.iter().find(|line| is_content(line))?;
    let indent = &line[..line.len() - line.trim_start().len()];
    line.trim_start().starts_with('-').then(|| indent.to_owned())
}

fn item(entry: &ConnectorEntry, indent: &str) -> String {
    let mut text = format!("{indent}- connector_id: {}\n", quoted(&entry.connector_id));
    if let Some(service_type) = &entry.service_type {
        let _infallible = writeln!(text, "{indent}  service_type: {}", quoted(service_type));
    }
    if let Some(key) = &entry.api_key {
        let _infallible = writeln!(text, "{indent}  api_key: {}", quoted(key.expose_secret()));
    }
    text
}

/// A text as a double-quoted YAML scalar (JSON's strings are such), in which `${` is no reference to a variable.
pub fn quoted(text: &str) -> String {
    serde_json::Value::String(text.replace("${", "$${")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> ConnectorEntry {
        ConnectorEntry {
            connector_id: "new".into(),
            service_type: Some("dir".into()),
            api_key: Some("a2V5".into()),
        }
    }

    fn with(text: &str) -> Result<String, String> {
        with_connector(Path::new("config.yml"), text, &entry())
    }

    const ITEM: &str = "- connector_id: \"new\"\n    service_type: \"dir\"\n    api_key: \"a2V5\"\n";

    #[test]
    fn an_entry_goes_to_the_end_of_the_list_and_everything_else_stays() {
        assert_eq!(with("").unwrap(), format!("\nconnectors:\n  {ITEM}"));
        assert_eq!(with("service.idling: 5").unwrap(), format!("service.idling: 5\n\nconnectors:\n  {ITEM}"));
        for empty in ["[]", "", " ~", " null # none yet"] {
            let text = format!("# mine\nconnectors: {empty}\n\n# the service\nservice.idling: 5\n");
            let changed = with(&text).unwrap();
            assert!(changed.starts_with("# mine\nconnectors:"), "{changed}");
            assert!(
                changed.contains(ITEM) && changed.ends_with("\n\n# the service\nservice.idling: 5\n"),
                "{changed}"
            );
        }
        let text = "connectors:\n- connector_id: a # first\n  service_type: dir\n\n# end\nelasticsearch:\n  host: ${HOST}\n";
        assert_eq!(
            with(text).unwrap(),
            "connectors:\n- connector_id: a # first\n  service_type: dir\n- connector_id: \"new\"\n  service_type: \"dir\"\n  api_key: \"a2V5\"\n\n# end\nelasticsearch:\n  host: ${HOST}\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_changed_safely_is_left_to_its_owner() {
        for text in [
            "connectors: [{connector_id: a}]\n",
            "{\"connectors\": []}",
            "connectors:\n  connector_id: a\n",
            "a: [\n",
        ] {
            let error = with(text).unwrap_err();
            assert!(error.contains("connector_id: \"new\"") && !error.contains("a2V5"), "{text}: {error}");
        }
    }

    #[test]
    fn texts_are_quoted_so_that_they_mean_themselves() {
        let text = format!("elasticsearch.password: {}", quoted("a\"b\\c${HOME}: #\u{e9}"));
        let config = Config::parse(Path::new("x"), &text, &|_| None).unwrap();
        assert_eq!(config.elasticsearch.password.expose_secret(), "a\"b\\c${HOME}: #\u{e9}");
    }
}
