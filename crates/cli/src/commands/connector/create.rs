//! `connectors connector create`.

use std::path::Path;

use anyhow::{Context, Result};
use connectors_protocol::configuration::RawConfiguration;
use connectors_protocol::index_mapping::IndexMapping;
use connectors_protocol::language;
use connectors_sdk::{Registry, SourceDescriptor};
use connectors_service::config::ConnectorEntry;
use connectors_service::config::entry::with_connector;
use connectors_service::configure::{completed, set_field};
use connectors_service::{CreatedConnector, NewConnector, Service};
use secrecy::ExposeSecret;
use serde_json::json;

use super::configure::{ask_until_it_works, given, settings};
use crate::commands::source::unknown_source;
use crate::connectors_args::{CreateArgs, Output};
use crate::files;
use crate::prompt;

/// Makes a connector from flags and answers.
pub async fn run(service: &Service, registry: &Registry, args: &CreateArgs) -> Result<()> {
    service.ready().await?;
    // Found out before anything is made.
    let service_config = if args.update_config { Some(read(&args.connector_service_config)?) } else { None };
    let descriptor = source(registry, args.service_type.as_deref())?;
    let index_name = match &args.index_name {
        Some(name) => name.clone(),
        None => prompt::text("Index name", None, "--index-name NAME")?,
    };
    service.check_new_index(&index_name, args.from_index).await?;
    let asks = !given(&args.settings);
    let name = match &args.name {
        Some(name) => name.clone(),
        None if asks => prompt::text("Connector name", Some(&index_name), "--name NAME")?,
        None => index_name.clone(),
    };
    let language = match &args.index_language {
        Some(code) => code.clone(),
        None if asks => {
            let codes: Vec<&str> = language::codes().collect();
            let question = format!("Index language (empty for any; {})", codes.join(" "));
            prompt::text(&question, None, "--index-language CODE")?
        }
        None => String::new(),
    };
    let mut mapping = IndexMapping::default();
    mapping.set_all(&args.map)?;
    let form = completed(descriptor, &RawConfiguration::default());
    let configuration = if asks {
        ask_until_it_works(service, descriptor, form, false, !args.no_check).await?
    } else {
        let mut form = form;
        for (key, value) in settings(descriptor, &args.settings)? {
            set_field(descriptor, &mut form, &key, &value)?;
        }
        form
    };
    let created = service
        .create_connector(&NewConnector {
            service_type: descriptor.service_type.clone(),
            index_name,
            name,
            language: Some(language).filter(|code| !code.is_empty()),
            is_native: args.native,
            from_index: args.from_index,
            configuration,
            mapping,
            ask_source: !args.no_check,
        })
        .await?;
    if let Some(problem) = &created.api_key_problem {
        tracing::warn!("{problem}");
    }
    let Some(_) = service_config else { return print(args, descriptor, &created, false) };
    // Read again: the questions took their time, and others may have changed it.
    let path = &args.connector_service_config;
    match read(path).and_then(|text| update(path, &text, descriptor, &created)) {
        Ok(()) => print(args, descriptor, &created, true),
        Err(error) => {
            // The key is shown once only, so it is shown before this ends as an error.
            print(args, descriptor, &created, false)?;
            Err(error)
        }
    }
}

fn source<'a>(registry: &'a Registry, named: Option<&str>) -> Result<&'a SourceDescriptor> {
    let service_type = match named {
        Some(service_type) => service_type.to_owned(),
        None => {
            let options: Vec<(String, String)> =
                registry.iter().map(|source| (source.service_type.clone(), source.name.clone())).collect();
            prompt::choose("Service type", &options, None, "--service-type TYPE")?
        }
    };
    let found = registry.get(&service_type).with_context(|| unknown_source(registry, &service_type))?;
    Ok(found.as_ref())
}

/// The text of the service's configuration file, if a connector can be added to it.
fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("--connector-service-config {}: cannot be read; make the file first", path.display())
    })?;
    let probe = ConnectorEntry { connector_id: "...".to_owned(), service_type: None, api_key: None };
    with_connector(path, &text, &probe).map_err(anyhow::Error::msg)?;
    Ok(text)
}

fn update(path: &Path, text: &str, descriptor: &SourceDescriptor, created: &CreatedConnector) -> Result<()> {
    let entry = ConnectorEntry {
        connector_id: created.connector.id.clone(),
        service_type: Some(descriptor.service_type.clone()),
        api_key: created.api_key.clone(),
    };
    let changed = with_connector(path, text, &entry).map_err(anyhow::Error::msg)?;
    files::replace(path, &changed).with_context(|| {
        format!(
            "connector {} was made, but {} cannot be written; add its id to connectors there",
            created.connector.id,
            path.display()
        )
    })
}

fn print(
    args: &CreateArgs,
    descriptor: &SourceDescriptor,
    created: &CreatedConnector,
    updated: bool,
) -> Result<()> {
    let (id, document) = (&created.connector.id, &created.connector.document);
    let file = args.connector_service_config.display();
    let key = created.api_key.as_ref().map(ExposeSecret::expose_secret);
    if args.output == Output::Json {
        return crate::print_json(&json!({
            "id": id,
            "name": document.name,
            "index_name": document.index_name,
            "service_type": document.service_type,
            "status": document.status,
            "is_native": document.is_native,
            // In the file it is kept already, and nobody has to see it.
            "api_key": key.filter(|_| !updated),
            "api_key_problem": created.api_key_problem,
            "updated_config": updated.then(|| args.connector_service_config.clone()),
        }));
    }
    crate::print_line(&format!(
        "created connector {id} ({}) for the index {}",
        descriptor.name,
        document.index_name.as_deref().unwrap_or_default()
    ))?;
    match (key, updated) {
        (_, true) => crate::print_line(&format!("added it to {file}"))?,
        (Some(key), false) => {
            crate::print_line(&format!("API key, which cannot be shown again: {key}"))?;
        }
        (None, false) => {}
    }
    crate::print_line(&format!("\nNext: connectors job start -i {id} --watch"))
}
