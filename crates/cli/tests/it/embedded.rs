//! Without any configuration: everything is kept in the embedded node.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{report, said, until};

fn connectors(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("CONNECTORS_DATA", folder.join("data"))
        .stdin(Stdio::null());
    command
}

const SYNC: [&str; 9] = [
    "sync",
    "dir",
    "--index",
    "search-e2e-embedded",
    "--set",
    "directory=files",
    "--set",
    "pattern=**/*",
    "-ojson",
];

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("files")).unwrap();
    for n in 0..30 {
        std::fs::write(folder.path().join(format!("files/{n}.txt")), format!("the fox number {n}")).unwrap();
    }
    folder
}

#[test]
fn one_command_syncs_the_next_finds_what_it_left() {
    let folder = folder();
    let output = connectors(folder.path(), &SYNC).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(report(&output)["indexed_document_count"], 30, "{}", said(&output));
    let output = connectors(folder.path(), &SYNC).output().unwrap();
    assert_eq!(report(&output)["indexed_document_count"], 0, "{}", said(&output));
    let output = connectors(folder.path(), &["search", "search-e2e-embedded", "fox"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("30 hits") && text.contains("[fox]"), "{}", said(&output));
}

#[tokio::test]
async fn a_second_command_uses_the_node_that_runs() {
    let folder = folder();
    let address = folder.path().join("address");
    let mut node = Command::new(env!("CARGO_BIN_EXE_elastic-ingest"))
        .args(["node", "--port", "0", "--path"])
        .arg(folder.path().join("data/node"))
        .arg("--address-file")
        .arg(&address)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the node", Duration::from_secs(20), async || std::fs::read_to_string(&address).ok()).await;
    // Two at once, on one node that neither of them owns.
    let both = [
        connectors(folder.path(), &SYNC).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(),
        connectors(folder.path(), &["connector", "list", "-ojson"]).stdout(Stdio::piped()).spawn().unwrap(),
    ];
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let taken = Command::new(env!("CARGO_BIN_EXE_elastic-ingest"))
        .args(["node", "--port", "0", "--path"])
        .arg(folder.path().join("data/node"))
        .output()
        .unwrap();
    assert!(!taken.status.success(), "a folder has one owner: {}", said(&taken));
    node.kill().unwrap();
    node.wait().unwrap();
    let output = connectors(folder.path(), &SYNC).output().unwrap();
    assert_eq!(
        report(&output)["indexed_document_count"],
        0,
        "killed, and nothing was lost: {}",
        said(&output)
    );
}
