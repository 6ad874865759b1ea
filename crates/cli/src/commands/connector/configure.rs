//! `connectors connector configure`, and the form it shares with `create`.

use anyhow::{Context, Result, bail};
use connectors_protocol::configuration::RawConfiguration;
use connectors_sdk::SourceDescriptor;
use connectors_service::Service;
use connectors_service::configure::{completed, parsed, set_field};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::connectors_args::{ConfigureArgs, Output, SettingArgs};
use crate::prompt;

/// Sets fields of a connector's configuration, asked for one by one or given on the command line.
pub async fn run(service: &Service, args: &ConfigureArgs) -> Result<()> {
    let connector = service.connector(&args.connector_id).await?;
    let descriptor = service.source_of(&connector)?;
    let settings = if given(&args.settings) {
        settings(descriptor, &args.settings)?
    } else {
        let stored = &connector.document.configuration;
        let form = completed(descriptor, stored);
        let form = ask_until_it_works(service, descriptor, form, !stored.is_empty(), !args.no_check).await?;
        form.0.into_iter().map(|(key, field)| (key, value_of(&field).clone())).collect()
    };
    let written = service.configure(&connector.id, &settings, !args.no_check).await?;
    let status = written.document.status;
    if args.output == Output::Json {
        return crate::print_json(&json!({"id": written.id, "status": status}));
    }
    crate::print_line(&format!("connector {} is {status}", written.id))?;
    crate::print_line(&format!("\nNext: connectors job start -i {} --watch", written.id))
}

/// Whether values were given on the command line, so that nothing is asked.
pub(super) fn given(args: &SettingArgs) -> bool {
    !args.set.is_empty() || !args.set_env.is_empty() || args.from_file.is_some()
}

/// The values given on the command line: those of the file first, so that the others overrule it.
pub(in super::super) fn settings(
    descriptor: &SourceDescriptor,
    args: &SettingArgs,
) -> Result<Vec<(String, Value)>> {
    let mut settings = Vec::new();
    if let Some(file) = &args.from_file {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("{name}: cannot be read"))?;
        let values: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
            // serde's message may quote a value, and that may be a secret.
            let (line, column) = (error.line(), error.column());
            anyhow::anyhow!(
                "{name}:{line}:{column}: a JSON object of configuration fields is expected: {{\"KEY\": VALUE, ...}}"
            )
        })?;
        // A whole field, as `connectors source show` and the protocol have it, stands for its value.
        settings.extend(values.into_iter().map(|(key, value)| match value {
            Value::Object(mut field) if field.contains_key("value") => {
                (key, field.remove("value").unwrap_or_default())
            }
            value => (key, value),
        }));
    }
    for (key, text) in &args.set {
        let secret = descriptor
            .fields()
            .iter()
            .any(|field| field.key() == key && field.to_value()["sensitive"] == true && !text.is_empty());
        if secret {
            tracing::warn!(
                "--set {key}: a secret among the arguments can be read by other users of this machine; --set-env {key}=VARIABLE cannot"
            );
        }
        settings.push((key.clone(), json!(text)));
    }
    for (key, variable) in &args.set_env {
        let Some(value) = std::env::var_os(variable) else {
            bail!("--set-env {key}={variable}: the environment variable {variable} is not set");
        };
        let value = value.into_string().ok();
        let value = value.with_context(|| format!("the environment variable {variable} is not text"))?;
        settings.push((key.clone(), json!(value)));
    }
    Ok(settings)
}

/// Asks for the fields, and with `ask_source` once more for as long as the source refuses them: the answers are the defaults
/// then.
pub(super) async fn ask_until_it_works(
    service: &Service,
    descriptor: &SourceDescriptor,
    form: RawConfiguration,
    known: bool,
    ask_source: bool,
) -> Result<RawConfiguration> {
    let mut form = ask(descriptor, form, known)?;
    while ask_source && let Err(error) = service.try_configuration(descriptor, &form).await {
        prompt::say(&format!("\nThat does not work: {error}\n"))?;
        form = ask(descriptor, form, true)?;
    }
    Ok(form)
}

/// Asks for each field whose dependencies hold, in the order of the form. `known`: the values are the user's own, so that
/// even a secret may be kept by an empty answer.
fn ask(descriptor: &SourceDescriptor, mut form: RawConfiguration, known: bool) -> Result<RawConfiguration> {
    let mut keys: Vec<(i64, String)> = form
        .0
        .iter()
        .filter(|(key, _)| descriptor.fields().iter().any(|field| field.key() == *key))
        .map(|(key, field)| (field["order"].as_i64().unwrap_or(i64::MAX), key.clone()))
        .collect();
    keys.sort();
    // An answer may bring fields that stand before it into play; then they are asked for after it.
    while let Some(place) = next(descriptor, &form, &keys)? {
        let (_, key) = keys.remove(place);
        ask_field(descriptor, &mut form, &key, known)?;
    }
    Ok(form)
}

/// The first of these fields whose dependencies hold.
fn next(
    descriptor: &SourceDescriptor,
    form: &RawConfiguration,
    keys: &[(i64, String)],
) -> Result<Option<usize>> {
    let understood = parsed(descriptor, form)?;
    for (place, (_, key)) in keys.iter().enumerate() {
        if let Some(field) = understood.field(key)
            && understood.dependencies_hold(field)?
        {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn ask_field(
    descriptor: &SourceDescriptor,
    form: &mut RawConfiguration,
    key: &str,
    known: bool,
) -> Result<()> {
    let field = form.0.get(key).cloned().unwrap_or_default();
    let text = |name: &str| field[name].as_str().filter(|text| !text.is_empty());
    let question = text("label").unwrap_or(key).to_owned();
    if let Some(tooltip) = text("tooltip") {
        prompt::say(&format!("\n{}", tooltip.replace('\n', " ")))?;
    }
    let flag = format!("--set {key}=VALUE");
    let options: Vec<(String, String)> = field["options"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|option| {
            let value = option["value"].as_str()?.to_owned();
            Some((value.clone(), option["label"].as_str().unwrap_or(&value).to_owned()))
        })
        .collect();
    let present = value_of(&field);
    let default = answerable(if is_unset(present) { &field["default_value"] } else { present });
    loop {
        let answer = if field["sensitive"] == true {
            let kept = known && !is_unset(present);
            let answer = prompt::secret(&question, kept, &format!("--set-env {key}=VARIABLE"))?;
            match answer.expose_secret() {
                "" => present.clone(),
                answer => json!(answer),
            }
        } else if options.is_empty() {
            json!(prompt::text(&question, default.as_deref(), &flag)?)
        } else {
            json!(prompt::choose(&question, &options, default.as_deref(), &flag)?)
        };
        match set_field(descriptor, form, key, &answer) {
            Ok(()) => return Ok(()),
            Err(error) => prompt::say(&format!("  {error}"))?,
        }
    }
}

fn value_of(field: &Value) -> &Value {
    if field.is_object() { &field["value"] } else { field }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// A value as a person would type it: the items of a list with commas between.
fn answerable(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(answerable).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}
