//! `connectors source`.

use anyhow::{Context, Result};
use connectors_sdk::Registry;
use serde_json::{Value, json};

use super::table;
use crate::connectors_args::{Output, SourceCommand};

/// Lists the sources, or the fields of one.
pub fn run(registry: &Registry, command: &SourceCommand) -> Result<()> {
    match command {
        SourceCommand::List { output } => list(registry, *output),
        SourceCommand::Show { service_type, output } => show(registry, service_type, *output),
    }
}

fn list(registry: &Registry, output: Output) -> Result<()> {
    if output == Output::Json {
        let sources: Vec<Value> = registry
            .iter()
            .map(|source| {
                json!({
                    "service_type": source.service_type,
                    "name": source.name,
                    "features": source.capabilities.features(),
                })
            })
            .collect();
        return crate::print_json(&sources);
    }
    let rows: Vec<Vec<String>> =
        registry.iter().map(|source| vec![source.service_type.clone(), source.name.clone()]).collect();
    table(&["SERVICE TYPE", "NAME"], &rows)
}

fn show(registry: &Registry, service_type: &str, output: Output) -> Result<()> {
    let source = registry.get(service_type).with_context(|| unknown_source(registry, service_type))?;
    if output == Output::Json {
        return crate::print_json(&source.default_configuration());
    }
    crate::print_line(&format!("{} ({})\n", source.name, source.service_type))?;
    let text = |field: &Value, key: &str| field[key].as_str().unwrap_or_default().to_owned();
    let rows: Vec<Vec<String>> = source
        .fields()
        .iter()
        .map(|field| {
            let properties = field.to_value();
            let default = match (&properties["default_value"], &properties["value"]) {
                (Value::Null, value) => value.clone(),
                (default, _) => default.clone(),
            };
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let required = properties["required"].as_bool().unwrap_or(true);
            vec![
                field.key().to_owned(),
                text(&properties, "type"),
                if required { "yes" } else { "no" }.to_owned(),
                default,
                text(&properties, "tooltip").replace('\n', " "),
            ]
        })
        .collect();
    table(&["FIELD", "TYPE", "REQUIRED", "DEFAULT", "MEANING"], &rows)
}

/// What to say when nobody knows a service type.
pub(crate) fn unknown_source(registry: &Registry, service_type: &str) -> String {
    let known: Vec<&str> = registry.iter().map(|source| source.service_type.as_str()).collect();
    format!("there is no source \"{service_type}\"; there is: {}", known.join(", "))
}
