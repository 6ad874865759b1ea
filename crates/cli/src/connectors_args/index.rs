//! Command line of `connectors index`.

use clap::{Args, Subcommand};

use super::Output;

/// `connectors index`.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Documents, size and connector of each index
    #[command(
        after_help = "Examples:\n  connectors index list\n  connectors index list --all -o json | jq 'map(.bytes) | add'"
    )]
    List {
        /// Hidden indices too
        #[arg(short, long)]
        all: bool,
        /// Output form
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Delete all documents of an index; its mapping and settings stay
    #[command(
        after_help = "The next full sync of its connector writes all documents again. An incremental one before that ends\nwith an error, and the next sync of either kind writes them.\n\nExample:\n  connectors index clean search-notes --yes"
    )]
    Clean(IndexTarget),
    /// Delete an index with all documents
    #[command(after_help = "Example:\n  connectors index delete search-notes --yes")]
    Delete(IndexTarget),
}

/// Which index, and whether to ask first.
#[derive(Debug, Args)]
pub struct IndexTarget {
    /// Name of the index
    pub index: String,

    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,

    /// Output form
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}
