//! `connectors login`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use connectors_es_client::EsClient;
use connectors_service::cluster::es_config;
use connectors_service::config::Config;
use connectors_service::config::entry::quoted;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::connectors_args::{LoginArgs, LoginMethod, Output};
use crate::{files, prompt};

/// Where the credentials go unless `--config` says otherwise: the peer's place, and the first that is looked at.
const FILE: &str = ".cli/config.yml";

/// Tries the credentials, and saves them if the cluster takes them.
pub async fn run(file: Option<&Path>, args: &LoginArgs) -> Result<()> {
    let file = file.map_or_else(|| PathBuf::from(FILE), Path::to_owned);
    let host = match &args.host {
        Some(host) => host.clone(),
        None => prompt::text("Elasticsearch URL", None, "--host URL")?,
    };
    if host.is_empty() {
        bail!("no URL was given; --host URL names the cluster");
    }
    if file.exists() {
        prompt::confirm(&format!("{} is there already. Overwrite it?", file.display()), args.yes)?;
    }
    let mut text = format!("elasticsearch:\n  host: {}\n", quoted(&host));
    let mut add = |key: &str, value: &str| writeln!(text, "  {key}: {}", quoted(value));
    match args.method {
        LoginMethod::Basic => {
            let username = match &args.username {
                Some(username) => username.clone(),
                None => prompt::text("Username", Some("elastic"), "--username NAME")?,
            };
            let password = secret("Password", "CONNECTORS_PASSWORD")?;
            add("username", &username)?;
            add("password", password.expose_secret())?;
        }
        LoginMethod::Apikey => {
            let key = secret("API key", "CONNECTORS_API_KEY")?;
            add("api_key", key.expose_secret().trim())?;
        }
    }
    if let Some(certificates) = &args.ca_certs {
        let path = certificates.canonicalize();
        let path = path.with_context(|| format!("--ca-certs {}: cannot be read", certificates.display()))?;
        add("ca_certs", &path.to_string_lossy())?;
    }
    let config = Config::parse(&file, &text, &|_| None)?;
    let client = EsClient::new(es_config(&config.elasticsearch, "cli"))?;
    let server = client.ping().await?;
    let user = match client.authenticated_as().await {
        Ok(user) => Some(user),
        Err(error) if error.is_unknown_api() => {
            tracing::warn!("this cluster asks nobody for credentials; they are saved nevertheless");
            None
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    }
    files::replace_private(&file, &text).with_context(|| format!("{}: cannot be written", file.display()))?;
    if args.output == Output::Json {
        return crate::print_json(&json!({
            "host": client.address(),
            "distribution": server.distribution.to_string(),
            "version": server.version.to_string(),
            "username": user,
            "config": file,
        }));
    }
    let user = user.map(|user| format!(" as {user}")).unwrap_or_default();
    crate::print_line(&format!(
        "logged in{user} at {} ({} {}); saved in {}",
        client.address(),
        server.distribution,
        server.version,
        file.display()
    ))
}

fn secret(question: &str, variable: &str) -> Result<SecretString> {
    if let Some(value) = std::env::var_os(variable) {
        let value = value.into_string().ok().with_context(|| format!("{variable} is not text"))?;
        if value.is_empty() {
            bail!("{variable} is empty: nothing was given");
        }
        return Ok(value.into());
    }
    let secret = prompt::secret(question, false, &format!("it in the environment variable {variable}"))?;
    if secret.expose_secret().is_empty() {
        bail!("{question}: nothing was given");
    }
    Ok(secret)
}
