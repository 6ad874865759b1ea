//! `connectors login`.

use std::path::Path;
use std::process::{Child, Command, Output};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{answer, err, report, said, start_node};

/// A node that asks for a password.
struct Locked {
    node: Child,
    url: String,
    folder: TempDir,
}

impl Locked {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, "hunter2 \"${x}\"\n").unwrap();
        let arguments = ["--username", "elastic", "--password-file", password.to_str().unwrap()];
        let (node, url) = start_node(folder.path(), &arguments).await;
        Self { node, url, folder }
    }

    fn login(&self, arguments: &[&str], lines: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
        command.arg("login").args(arguments).current_dir(self.folder.path());
        for variable in
            ["CONNECTORS_HOST", "CONNECTORS_USERNAME", "CONNECTORS_PASSWORD", "CONNECTORS_API_KEY"]
        {
            command.env_remove(variable);
        }
        answer(&mut command, lines)
    }

    fn saved(&self) -> std::path::PathBuf {
        self.folder.path().join(".cli/config.yml")
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.node.kill().unwrap();
        self.node.wait().unwrap();
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn credentials_are_saved_for_their_owner_once_the_cluster_took_them() {
    let node = Locked::start().await;
    let url = node.url.clone();
    let output = node.login(&[], &[&url, "elastic", "hunter3"]);
    assert!(!output.status.success() && err(&output).contains("401"), "{}", said(&output));
    assert!(!node.saved().exists() && !said(&output).contains("hunter3"), "{}", said(&output));

    let output = node.login(&[], &[&url, "", "hunter2 \"${x}\""]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("logged in as elastic at {url}")), "{}", said(&output));
    assert!(!said(&output).contains("hunter2"), "{}", said(&output));
    #[cfg(unix)]
    assert_eq!(mode(&node.saved()), 0o600);

    // It is what the other commands use.
    let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
    let output = answer(command.args(["connector", "list"]).current_dir(node.folder.path()), &[]);
    assert!(output.status.success() && said(&output).contains("no connectors yet"), "{}", said(&output));
}

#[tokio::test]
async fn a_file_that_is_there_is_overwritten_only_after_a_yes() {
    let node = Locked::start().await;
    let url = node.url.clone();
    std::fs::create_dir(node.folder.path().join(".cli")).unwrap();
    // A broken one does not keep anybody from a new login.
    std::fs::write(node.saved(), "elasticsearch: [\n").unwrap();
    let named = ["--host", &url, "--username", "elastic"];
    let output = node.login(&named, &["n", "hunter2 \"${x}\""]);
    assert!(!output.status.success() && err(&output).contains("nothing was changed"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(node.saved()).unwrap(), "elasticsearch: [\n");
    let output = node.login(&[&named[..], &["--yes", "-o", "json"]].concat(), &["hunter2 \"${x}\""]);
    let done = report(&output);
    assert_eq!(
        (&done["username"], &done["config"]),
        (&json!("elastic"), &json!(".cli/config.yml")),
        "{done}"
    );
    #[cfg(unix)]
    assert_eq!(mode(&node.saved()), 0o600);

    // Nobody answers, and what to give instead is said; an API key that the cluster does not know is not saved.
    let before = std::fs::read_to_string(node.saved()).unwrap();
    let output = node.login(&[&named[..], &["--yes"]].concat(), &[]);
    assert!(err(&output).contains("CONNECTORS_PASSWORD"), "{}", said(&output));
    let output = node.login(&["--host", &url, "--method", "apikey", "--yes"], &["aWQ6aHVudGVyMg=="]);
    assert!(!output.status.success() && err(&output).contains("401"), "{}", said(&output));
    let mut command = Command::new(env!("CARGO_BIN_EXE_connectors"));
    command.args(["login", "--host", "http://127.0.0.1:9", "--yes"]).current_dir(node.folder.path());
    let output = answer(command.env("CONNECTORS_USERNAME", "me").env("CONNECTORS_PASSWORD", "hunter2"), &[]);
    assert!(!output.status.success() && !said(&output).contains("hunter2"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(node.saved()).unwrap(), before);
}
