//! `connectors search`.

use anyhow::{Context, Result};
use connectors_es_client::{Distribution, Method, path};
use serde_json::{Value, json};

use crate::connectors_args::{Output, SearchArgs};
use crate::target::Target;

/// Fields of a document that name it best for people, in order of preference.
const TITLES: [&str; 6] = ["path", "title", "name", "subject", "url", "id"];

/// Characters of a field that are looked through for what to highlight: the servers' own limit.
const HIGHLIGHTED: u32 = 1_000_000;

/// Searches all fields and prints the best hits with what matched.
pub async fn run(target: &Target, args: &SearchArgs) -> Result<()> {
    // Longer texts are searched whole and highlighted up to here; without this they fail the search.
    let limit = match target.client.ping().await?.distribution {
        Distribution::OpenSearch => "max_analyzer_offset",
        _ => "max_analyzed_offset",
    };
    let mut body = json!({
        "size": args.size,
        "query": { "multi_match": { "query": args.query, "fields": ["*"], "lenient": true } },
        "highlight": {
            "pre_tags": ["\u{1}"], "post_tags": ["\u{2}"], "fragment_size": 120, "number_of_fragments": 2,
            "fields": { "*": {} },
        },
    });
    body["highlight"][limit] = json!(HIGHLIGHTED);
    let answer = target
        .client
        .request(Method::POST, &path([args.index.as_str(), "_search"]), &[], Some(&body))
        .await
        .with_context(|| format!("cannot search {}", args.index))?;
    if args.output == Output::Json {
        return crate::print_json(&answer);
    }
    let total = answer.pointer("/hits/total/value").and_then(Value::as_u64).unwrap_or(0);
    let hits = answer.pointer("/hits/hits").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let at_least = answer.pointer("/hits/total/relation").and_then(Value::as_str) == Some("gte");
    crate::print_line(&format!(
        "{}{total} {} for \"{}\" in {}",
        if at_least { "over " } else { "" },
        if total == 1 { "hit" } else { "hits" },
        args.query,
        args.index,
    ))?;
    let marks = Marks::for_terminal();
    for (n, hit) in hits.iter().enumerate() {
        let score = hit["_score"].as_f64().unwrap_or(0.0);
        crate::print_line(&format!("\n{}. {}  (score {score:.2})", n + 1, title(hit)))?;
        for fragment in fragments(hit) {
            crate::print_line(&format!("   {}", marks.apply(&fragment)))?;
        }
    }
    Ok(())
}

fn title(hit: &Value) -> String {
    TITLES
        .iter()
        .find_map(|field| hit["_source"][*field].as_str().filter(|text| !text.is_empty()))
        .or_else(|| hit["_id"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Up to three fragments. A multi-field repeats its parent's (`body` and `body.stem`), so equal texts come once.
fn fragments(hit: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut bare: Vec<String> = Vec::new();
    for fragment in hit["highlight"].as_object().into_iter().flat_map(|fields| fields.values()) {
        for text in fragment.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let plain = line.replace(['\u{1}', '\u{2}'], "");
            if !bare.contains(&plain) && found.len() < 3 {
                bare.push(plain);
                found.push(line);
            }
        }
    }
    found
}

/// How a match is shown: bold on a terminal, `[...]` elsewhere.
struct Marks {
    before: &'static str,
    after: &'static str,
}

impl Marks {
    fn for_terminal() -> Self {
        use std::io::IsTerminal;
        if std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            Self { before: "\x1b[1m", after: "\x1b[0m" }
        } else {
            Self { before: "[", after: "]" }
        }
    }

    /// Replaces the markers; other control characters of the document cannot reach the terminal.
    fn apply(&self, fragment: &str) -> String {
        let mut text = String::with_capacity(fragment.len() + 8);
        for c in fragment.chars() {
            match c {
                '\u{1}' => text.push_str(self.before),
                '\u{2}' => text.push_str(self.after),
                c if c.is_control() => {}
                c => text.push(c),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_of_multi_fields_come_once_and_control_characters_never() {
        let hit = json!({"highlight": {
            "body": ["the \u{1}fox\u{2}\u{1b}[2J  runs"], "body.stem": ["the \u{1}fox\u{2}\u{1b}[2J runs"], "title": ["a \u{1}fox\u{2}"],
        }});
        let marks = Marks { before: "[", after: "]" };
        let lines: Vec<String> = fragments(&hit).iter().map(|line| marks.apply(line)).collect();
        assert_eq!(lines, ["the [fox][2J runs", "a [fox]"]);
    }

    #[test]
    fn a_hit_is_named_by_its_most_telling_field() {
        assert_eq!(title(&json!({"_id": "1", "_source": {"title": "T", "path": "/p"}})), "/p");
        assert_eq!(title(&json!({"_id": "1", "_source": {"title": ""}})), "1");
    }
}
