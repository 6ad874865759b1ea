//! Command line of `connectors login`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Output;

/// Ways to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoginMethod {
    /// User name and password
    Basic,
    /// API key
    Apikey,
}

/// `connectors login`.
#[derive(Debug, Args)]
#[command(
    after_help = "The password or API key is never an argument. It is the content of CONNECTORS_PASSWORD or CONNECTORS_API_KEY, or the answer\nto a question, which is read from standard input where that is no terminal. Only credentials that the cluster accepts are saved.\n\nExamples:\n  connectors login\n  connectors login --host https://search.example.com:9200 --method apikey\n  pass show es | connectors login --host https://search.example.com:9200 --username elastic --yes"
)]
pub struct LoginArgs {
    /// URL of the cluster
    #[arg(long, env = "CONNECTORS_HOST", value_name = "URL")]
    pub host: Option<String>,

    /// How to log in
    #[arg(long, value_enum, default_value = "basic")]
    pub method: LoginMethod,

    /// User name, for --method basic
    #[arg(long, env = "CONNECTORS_USERNAME", value_name = "NAME")]
    pub username: Option<String>,

    /// PEM file of the authorities that sign the cluster's certificate
    #[arg(long, value_name = "FILE")]
    pub ca_certs: Option<PathBuf>,

    /// Overwrite .cli/config.yml without asking
    #[arg(short, long)]
    pub yes: bool,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
