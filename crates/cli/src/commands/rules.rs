//! `connectors rules`.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use connectors_protocol::filtering::{
    ADVANCED_SNIPPET, DEFAULT_RULE, Filter, Policy, ValidationResult, ValidationState,
};
use connectors_protocol::timestamp;
use connectors_service::Service;
use connectors_service::rules::{draft_of, is_valid};
use connectors_sync::{Outcome, Progress, SyncReport};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{plain, table};
use crate::connectors_args::{Output, RulesCommand, RulesTarget, SetRulesArgs};
use crate::progress::{self, Display};
use crate::signals;

/// Shows, changes, checks, rehearses or applies sync rules. The exit code is 0 only if the rules are valid.
pub async fn run(service: &Service, command: &RulesCommand) -> Result<ExitCode> {
    match command {
        RulesCommand::Show(args) => show(service, args).await,
        RulesCommand::Set(args) => set(service, args).await,
        RulesCommand::Validate(args) => validate(service, args).await,
        RulesCommand::Preview(args) => preview(service, args).await,
        RulesCommand::Apply(args) => apply(service, args).await,
    }
}

async fn show(service: &Service, args: &RulesTarget) -> Result<ExitCode> {
    let connector = service.connector(&args.connector_id).await?;
    let filtering = &connector.document.filtering;
    let (active, draft) = (filtering.active(), filtering.draft());
    if args.output == Output::Json {
        crate::print_json(&json!({"id": connector.id, "active": active, "draft": draft}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, filter) in [("active", active), ("draft", draft)] {
        let Some(filter) = filter else {
            crate::print_line(&format!("{name}: none"))?;
            continue;
        };
        crate::print_line(&format!("{name}: {}", filter.state().name()))?;
        print_rules(filter)?;
        if let Some(rules) = filter.advanced_rules() {
            crate::print_line(&format!("advanced: {}", serde_json::to_string_pretty(rules)?))?;
        }
        if let Some(result) = &filter.validation {
            print_errors(filter, result)?;
        }
        crate::print_line("")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_rules(filter: &Filter) -> Result<()> {
    let columns = ["order", "id", "policy", "field", "rule", "value"];
    let rows: Vec<Vec<String>> = filter
        .rules
        .iter()
        .map(|rule| columns.iter().map(|column| plain(&rule[*column])).collect())
        .collect();
    table(&["ORDER", "ID", "POLICY", "FIELD", "RULE", "VALUE"], &rows)
}

async fn set(service: &Service, args: &SetRulesArgs) -> Result<ExitCode> {
    let (name, text) = read(&args.file)?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{name}: not valid JSON"))?;
    let draft = draft(value, Timestamp::now()).with_context(|| name)?;
    let (connector, result) = service.set_draft(&args.connector_id, draft).await?;
    if !connector.document.features.sync_rules() {
        tracing::warn!("the connector's features do not have sync rules");
    }
    let stored = draft_of(&connector)?;
    let line = if is_valid(&result) {
        format!("stored the draft, which is valid\n\nNext: connectors rules preview {}", connector.id)
    } else {
        "stored the draft, which cannot be applied:".to_owned()
    };
    answer(&connector.id, stored, &result, &line, args.output)
}

fn read(file: &Path) -> Result<(String, String)> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(("standard input".to_owned(), text));
    }
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("{name}: cannot be read"))?;
    Ok((name, text))
}

/// A draft from what a person wrote: a list of basic rules, or an object with them and the advanced rules.
fn draft(value: Value, now: Timestamp) -> Result<Filter> {
    let now = json!(timestamp::format(now));
    let (rules, snippet) = match value {
        Value::Array(rules) => (rules, None),
        Value::Object(mut parts) => {
            let rules = match parts.shift_remove("rules") {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(rules)) => rules,
                Some(_) => bail!("\"rules\" is a list of basic rules"),
            };
            let snippet = parts.shift_remove(ADVANCED_SNIPPET);
            // What the service wrote itself into the rules that `rules show -o json` prints.
            parts.shift_remove("validation");
            if let Some(unknown) = parts.keys().next() {
                bail!("there is no \"{unknown}\" in sync rules; there is: rules, {ADVANCED_SNIPPET}");
            }
            (rules, snippet)
        }
        _ => {
            bail!("a list of basic rules is expected, or an object with \"rules\" and \"{ADVANCED_SNIPPET}\"")
        }
    };
    let mut snippet = match snippet {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(snippet)) if snippet.contains_key("value") => snippet,
        Some(_) => bail!("\"{ADVANCED_SNIPPET}\" is an object whose \"value\" is the advanced rules"),
    };
    snippet.entry("value").or_insert_with(|| json!({}));
    snippet.entry("created_at").or_insert_with(|| now.clone());
    snippet.insert("updated_at".to_owned(), now.clone());
    let mut filter = Filter { rules, advanced_snippet: snippet, ..Filter::default() };
    complete(&mut filter.rules, &now);
    Ok(filter)
}

/// Ids and orders by place, times, and at the end the default rule, which user interfaces expect.
fn complete(rules: &mut Vec<Value>, now: &Value) {
    let mut ids: HashSet<String> =
        rules.iter().filter_map(|rule| rule["id"].as_str().map(str::to_owned)).collect();
    let mut last = -1.0_f64;
    for (place, rule) in rules.iter_mut().enumerate() {
        let Value::Object(rule) = rule else { continue };
        if !rule.contains_key("id") {
            let mut id = format!("rule-{}", place + 1);
            while !ids.insert(id.clone()) {
                id.push('x');
            }
            rule.insert("id".to_owned(), json!(id));
        }
        rule.entry("order").or_insert_with(|| json!(place));
        rule.entry("created_at").or_insert_with(|| now.clone());
        rule.insert("updated_at".to_owned(), now.clone());
        last = last.max(rule["order"].as_f64().unwrap_or(0.0));
    }
    if !ids.contains(DEFAULT_RULE) {
        #[allow(clippy::cast_possible_truncation)] // an order is a small whole number, or saturates
        let order = (last + 1.0) as i64;
        rules.push(json!({
            "id": DEFAULT_RULE, "order": order, "policy": "include", "field": "_", "rule": "regex", "value": ".*",
            "created_at": now, "updated_at": now,
        }));
    }
}

async fn validate(service: &Service, args: &RulesTarget) -> Result<ExitCode> {
    let connector = service.connector(&args.connector_id).await?;
    let draft = draft_of(&connector)?;
    let result = service.validate_rules(&connector, draft).await?;
    let line = if is_valid(&result) { "the draft is valid" } else { "the draft is not valid:" };
    answer(&connector.id, draft, &result, line, args.output)
}

async fn apply(service: &Service, args: &RulesTarget) -> Result<ExitCode> {
    let connector = service.connector(&args.connector_id).await?;
    let result = service.apply_draft(&connector.id).await?;
    let line = if is_valid(&result) {
        "the draft is in force; the next sync follows it"
    } else {
        "the draft is not valid, and the rules in force stay:"
    };
    answer(&connector.id, draft_of(&connector)?, &result, line, args.output)
}

/// Prints the result of a validation; the exit code says whether the rules are valid.
fn answer(
    id: &str,
    filter: &Filter,
    result: &ValidationResult,
    line: &str,
    output: Output,
) -> Result<ExitCode> {
    if output == Output::Json {
        let errors: Vec<Value> = result
            .errors
            .iter()
            .map(|error| json!({"ids": error.ids, "messages": error.messages, "at": places(filter, &error.ids)}))
            .collect();
        crate::print_json(&json!({"id": id, "state": result.state, "errors": errors}))?;
    } else {
        crate::print_line(line)?;
        print_errors(filter, result)?;
    }
    Ok(if result.state == ValidationState::Valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_errors(filter: &Filter, result: &ValidationResult) -> Result<()> {
    for error in &result.errors {
        let at = places(filter, &error.ids).join(", ");
        crate::print_line(&format!("  {at}: {}", error.messages.join("; ")))?;
    }
    Ok(())
}

/// Where the rules with these ids stand: `rules[1] (id rule-2)`, or `advanced_snippet.value`.
fn places(filter: &Filter, ids: &[String]) -> Vec<String> {
    let mut places: Vec<String> = ids
        .iter()
        .map(|id| match filter.rules.iter().position(|rule| rule["id"] == **id) {
            Some(place) => format!("rules[{place}] (id {id})"),
            None if id == ADVANCED_SNIPPET => format!("{ADVANCED_SNIPPET}.value"),
            None => id.clone(),
        })
        .collect();
    if places.is_empty() {
        let without = filter.rules.iter().enumerate().filter(|(_, rule)| !rule["id"].is_string());
        places.extend(without.map(|(place, _)| format!("rules[{place}]")));
    }
    places
}

async fn preview(service: &Service, args: &RulesTarget) -> Result<ExitCode> {
    let connector = service.connector(&args.connector_id).await?;
    let draft = draft_of(&connector)?;
    let (sender, receiver) = watch::channel(Progress::default());
    let index = connector.document.index_name.as_deref().unwrap_or_default();
    let display = Display::start(index, receiver);
    let stop = CancellationToken::new();
    let on_signal = tokio::spawn(signals::cancel_on_signal(stop.clone()));
    let began = Instant::now();
    let report = service.preview_draft(&connector.id, sender, stop).await;
    on_signal.abort();
    drop(display);
    let report = report?;
    match &report.outcome {
        Outcome::Completed => {}
        Outcome::Canceled | Outcome::Suspended => bail!("stopped before the source was read to its end"),
        Outcome::Failed(error) => bail!("{error}"),
    }
    let rules = counts(draft, &report)?;
    let counters = &report.counters;
    if args.output == Output::Json {
        crate::print_json(&json!({
            "id": connector.id,
            "extracted_document_count": counters.docs_extracted,
            "kept_document_count": counters.docs_extracted - counters.docs_filtered,
            "dropped_document_count": counters.docs_filtered,
            "rules": rules,
            "would_write_document_count": counters.indexed,
            "would_delete_document_count": counters.deleted,
            "seconds": began.elapsed().as_secs_f64(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = |value: &Value| progress::number(value.as_u64().unwrap_or(0));
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            vec![plain(&rule["id"]), plain(&rule["test"]), number(&rule["kept"]), number(&rule["dropped"])]
        })
        .collect();
    table(&["RULE", "TEST", "KEPT", "DROPPED"], &rows)?;
    crate::print_line(&format!(
        "\n{} documents read: {} kept, {} dropped. A full sync would write {} and delete {}.",
        progress::number(counters.docs_extracted),
        progress::number(counters.docs_extracted - counters.docs_filtered),
        progress::number(counters.docs_filtered),
        progress::number(counters.indexed),
        progress::number(counters.deleted),
    ))?;
    crate::print_line(&format!(
        "Nothing was changed. To put the draft in force: connectors rules apply {}",
        connector.id
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// How many documents each rule keeps or drops, in the order in which they are tried.
fn counts(draft: &Filter, report: &SyncReport) -> Result<Vec<Value>> {
    let matches = report.rule_matches.as_ref();
    let matches = matches.context("the source says that nothing changed, so nothing was read")?;
    Ok(matches
        .counts()
        .map(|(id, count)| {
            let rule = draft.rules.iter().find(|rule| rule["id"] == id && id != DEFAULT_RULE);
            let drops = rule.is_some_and(|rule| {
                rule["policy"].as_str().and_then(Policy::from_name) == Some(Policy::Exclude)
            });
            let test = rule.map_or_else(
                || "everything else".to_owned(),
                |rule| {
                    let part = |name: &str| plain(&rule[name]);
                    format!("{} {} {} {}", part("policy"), part("field"), part("rule"), part("value"))
                },
            );
            let (kept, dropped) = if drops { (0, count) } else { (count, 0) };
            json!({"id": id, "test": test, "kept": kept, "dropped": dropped})
        })
        .collect())
}
