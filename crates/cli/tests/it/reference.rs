//! The reference page says what the command line is.

use std::path::Path;

/// Set to write the page instead of comparing it.
const UPDATE: &str = "CONNECTORS_UPDATE_REFERENCE";

#[test]
fn the_reference_page_is_that_of_this_command_line() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let wanted = connectors_cli::reference::markdown();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "docs/cli.md is stale from line {} on; write it with {UPDATE}=1 tests/it cli reference",
        line.map_or(found.lines().count().min(wanted.lines().count()), |line| line) + 1
    );
    for command in ["connectors rules preview", "connectors connector create", "connectors job watch"] {
        assert!(found.contains(&format!("\n## {command}\n")), "{command}");
    }
}
