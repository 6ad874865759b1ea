//! `connectors completions`.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell as Script, generate};

use crate::connectors_args::{ConnectorsArgs, Shell};

/// Prints a script that teaches a shell the commands and flags.
pub fn run(shell: Shell) -> Result<()> {
    let script = match shell {
        Shell::Bash => Script::Bash,
        Shell::Zsh => Script::Zsh,
        Shell::Fish => Script::Fish,
    };
    let mut text = Vec::new();
    generate(script, &mut ConnectorsArgs::command(), "connectors", &mut text);
    crate::print_line(String::from_utf8(text)?.trim_end())
}
