//! What `elastic-ingest` does.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use connectors_node::http::{Credential, TlsFiles};
use connectors_node::{Node, NodeOptions};
use connectors_sdk::Registry;
use connectors_service::config::Config;
use connectors_service::logging::{self, Level};
use connectors_service::{Loop, Service};
use secrecy::SecretString;

use crate::commands::source::unknown_source;
use crate::ingest_args::{Action, IngestArgs, IngestCommand, NodeArgs};
use crate::signals;
use crate::target::{self, Target};

/// Runs the program; the exit code is 0 only if it did what was asked.
pub async fn run(args: IngestArgs) -> ExitCode {
    match run_inner(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_inner(args: IngestArgs) -> Result<()> {
    let asked = match (args.debug, &args.log_level) {
        (true, _) => Some(Level::Debug),
        (false, Some(name)) => Level::parse(name),
        (false, None) => None,
    };
    if let Some(IngestCommand::Node(node)) = &args.command {
        logging::start(asked.unwrap_or(Level::Info), args.filebeat);
        return run_node(node).await;
    }
    let config = target::configuration(args.config_file.as_deref(), &["config.yml"]);
    // Errors of the configuration are logged too, so logging starts before they are looked at.
    let configured = config.as_ref().ok().and_then(|config| Level::parse(&config.service.log_level));
    logging::start(asked.or(configured).unwrap_or(Level::Info), args.filebeat);
    let config = config?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let registry = crate::registry(&config)?;
    let mut loops: Vec<Loop> = Vec::new();
    let alone = args.action.len() == 1;
    for action in &args.action {
        match action {
            Action::List | Action::Config if !alone => {
                bail!("--action list and --action config go alone, without another action")
            }
            Action::List => return print_sources(&registry),
            Action::Config => return print_configuration(&registry, args.service_type.as_deref()),
            Action::Schedule => loops.push(Loop::Schedule),
            Action::SyncContent => loops.push(Loop::SyncContent),
            Action::SyncAccessControl => loops.push(Loop::SyncAccessControl),
            Action::Cleanup => loops.push(Loop::Cleanup),
            Action::Poll => loops.extend(Loop::ALL),
        }
    }
    if loops.is_empty() {
        loops.extend(Loop::ALL);
    }
    loops.sort_unstable();
    loops.dedup();
    serve(config, registry, &loops).await
}

async fn serve(config: Config, registry: Registry, loops: &[Loop]) -> Result<()> {
    let stop = signals::stop_on_signal();
    let embedded = config.elasticsearch.embedded.is_some();
    let target = Target::open(config, "service").await?;
    if embedded {
        tracing::info!("Using the embedded node at {}", target.client.address());
    }
    let service = Service::new(target.config.clone(), target.client.clone(), registry);
    let result = service.run(loops, stop).await;
    target.close().await;
    Ok(result?)
}

fn print_sources(registry: &Registry) -> Result<()> {
    crate::print_line("Registered connectors:")?;
    for source in registry.iter() {
        crate::print_line(&format!("- {} ({})", source.name, source.service_type))?;
    }
    Ok(())
}

fn print_configuration(registry: &Registry, service_type: Option<&str>) -> Result<()> {
    let service_type =
        service_type.context("--action config needs --service-type, for example --service-type dir")?;
    let source = registry.get(service_type).with_context(|| unknown_source(registry, service_type))?;
    let full = connectors_protocol::configuration::simple_configuration(&source.default_configuration().0);
    crate::print_json(&full.0)
}

async fn run_node(args: &NodeArgs) -> Result<()> {
    let mut credentials = Vec::new();
    if let (Some(username), Some(file)) = (&args.username, &args.password_file) {
        let password = std::fs::read_to_string(file)
            .with_context(|| format!("--password-file {}: cannot be read", file.display()))?;
        credentials.push(Credential::Basic {
            username: username.clone(),
            password: SecretString::from(password.trim_end_matches(['\r', '\n']).to_owned()),
        });
    }
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })
        }
        _ => None,
    };
    let path = args.path.clone().unwrap_or_else(|| connectors_service::data_folder().join("node"));
    let stop = signals::stop_on_signal();
    let node =
        Node::start(NodeOptions { path: path.clone(), bind: args.address(), credentials, tls }).await?;
    tracing::info!("The node on {} answers at {}", path.display(), node.url());
    if let Some(file) = &args.address_file {
        std::fs::write(file, format!("{}\n", node.url()))
            .with_context(|| format!("--address-file {}: cannot be written", file.display()))?;
    }
    stop.cancelled().await;
    node.shutdown().await;
    Ok(())
}
