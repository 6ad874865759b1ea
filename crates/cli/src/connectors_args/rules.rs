//! Command line of `connectors rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

/// `connectors rules`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// The rules in force and the draft
    #[command(
        after_help = "Example: change the rules in force\n  connectors rules show 7a6b -o json | jq .active > rules.json\n  connectors rules set 7a6b rules.json && connectors rules preview 7a6b"
    )]
    Show(RulesTarget),
    /// Store a draft from a JSON file or standard input
    Set(SetRulesArgs),
    /// Check the draft as the service would
    #[command(
        after_help = "The exit code is 0 only if the draft is valid.\n\nExample:\n  connectors rules validate 7a6b"
    )]
    Validate(RulesTarget),
    /// Count how many documents of the source each rule of the draft would keep or drop
    #[command(
        after_help = "The source is read to its end; nothing is written or deleted.\n\nExample:\n  connectors rules preview 7a6b"
    )]
    Preview(RulesTarget),
    /// Put the draft in force, if it is valid
    #[command(
        after_help = "Jobs that are made from now on use it. The exit code is 0 only if the draft is valid."
    )]
    Apply(RulesTarget),
}

/// Which connector.
#[derive(Debug, Args)]
pub struct RulesTarget {
    /// Connector id
    pub connector_id: String,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `connectors rules set`.
#[derive(Debug, Args)]
#[command(
    after_help = "The file holds a list of basic rules, or an object with \"rules\", \"advanced_snippet\" or both. A rule without id or order gets one\nby its place. The first rule that matches decides; what none matches is kept. What the file leaves out is empty in the draft.\nThe draft is checked and stored; it is in force after `connectors rules apply`.\n\nExample rules.json:\n  [{\"policy\": \"exclude\", \"field\": \"path\", \"rule\": \"contains\", \"value\": \"/drafts/\"},\n   {\"policy\": \"include\", \"field\": \"size\", \"rule\": \"<\", \"value\": \"1000000\"}]\n\nOperators: equals contains starts_with ends_with regex > <\n\nExamples:\n  connectors rules set 7a6b rules.json\n  jq '...' rules.json | connectors rules set 7a6b"
)]
pub struct SetRulesArgs {
    /// Connector id
    pub connector_id: String,

    /// JSON file; - is standard input
    #[arg(default_value = "-")]
    pub file: PathBuf,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
