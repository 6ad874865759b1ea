//! The reference page of `connectors` (`docs/cli.md`), made from the definition of its command line.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use crate::connectors_args::ConnectorsArgs;

/// The page as Markdown.
pub fn markdown() -> String {
    let mut root = ConnectorsArgs::command();
    root.build();
    let mut page = String::from(
        "# connectors\n\n<!-- Generated from the command line's definition: CONNECTORS_UPDATE_REFERENCE=1 tests/it cli reference -->\n\n",
    );
    add_texts(&mut page, &root);
    let globals: Vec<&Arg> = root.get_arguments().filter(|arg| is_shown(arg)).collect();
    page.push_str("These go with every command:\n\n");
    add_arguments(&mut page, &globals);
    page.push_str("## Commands\n\n| command | |\n|---|---|\n");
    for command in leaves(&root, "connectors") {
        let anchor = command.path.replace(' ', "-");
        add_line(&mut page, &format!("| [`{}`](#{anchor}) | {} |", command.path, about(command.command)));
    }
    page.push('\n');
    for Leaf { path, command } in leaves(&root, "connectors") {
        add_line(&mut page, &format!("## {path}\n"));
        add_texts(&mut page, command);
        let own: Vec<&Arg> =
            command.get_arguments().filter(|arg| is_shown(arg) && !arg.is_global_set()).collect();
        if !own.is_empty() {
            add_arguments(&mut page, &own);
        }
    }
    format!("{}\n", page.trim_end())
}

struct Leaf<'a> {
    path: String,
    command: &'a Command,
}

/// The commands that do something, in the order of `--help`.
fn leaves<'a>(command: &'a Command, path: &str) -> Vec<Leaf<'a>> {
    let mut found = Vec::new();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        let path = format!("{path} {}", sub.get_name());
        if sub.has_subcommands() {
            found.extend(leaves(sub, &path));
        } else {
            found.push(Leaf { path, command: sub });
        }
    }
    found
}

fn is_shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && arg.get_id() != "help"
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn add_line(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

/// What a command does, how it is called, and the notes and examples below its help.
fn add_texts(page: &mut String, command: &Command) {
    add_line(page, &format!("{}.\n", about(command).trim_end_matches('.')));
    let usage = command.clone().render_usage().to_string();
    add_line(page, &format!("```\n{}\n```\n", usage.trim_start_matches("Usage: ").trim()));
    if let Some(notes) = command.get_after_help() {
        add_line(page, &format!("```text\n{}\n```\n", notes.to_string().trim()));
    }
}

fn add_arguments(page: &mut String, arguments: &[&Arg]) {
    page.push_str("| argument | |\n|---|---|\n");
    for arg in arguments {
        let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if !arg.is_positional() || arg.get_num_args().is_some_and(|count| count.takes_values()) {
            add_values(&mut meaning, arg);
        }
        add_line(page, &format!("| `{}` | {} |", name(arg), cell(&meaning)));
    }
    page.push('\n');
}

fn add_values(meaning: &mut String, arg: &Arg) {
    if !arg.get_action().takes_values() {
        return;
    }
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !values.is_empty() {
        let _infallible = write!(meaning, ": {}", values.join(", "));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if !defaults.is_empty() {
        let _infallible = write!(meaning, " (default {})", defaults.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let _infallible = write!(meaning, " (or `{}`)", variable.to_string_lossy());
    }
}

/// `-o, --output <OUTPUT>`, `<INDEX>`
fn name(arg: &Arg) -> String {
    let values: Vec<String> = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .into_iter()
        .flatten()
        .map(|name| format!("<{name}>"))
        .collect();
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    let names: Vec<String> =
        short.into_iter().chain(long).chain(aliases.iter().map(|alias| format!("--{alias}"))).collect();
    let repeated = if matches!(arg.get_action(), clap::ArgAction::Append) { "..." } else { "" };
    format!("{}{repeated}", [names.join(", "), values.join(" ")].join(" ").trim())
}

/// A text that a table cell can hold.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
