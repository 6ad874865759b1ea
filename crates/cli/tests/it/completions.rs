//! `connectors completions`: scripts that their shells understand and that know our commands.

use std::io::Write;
use std::process::{Command, Stdio};

fn script(shell: &str) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_connectors")).args(["completions", shell]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_shell_gets_a_script_with_our_commands() {
    for (shell, part) in [
        ("bash", "complete -F _connectors"),
        ("zsh", "#compdef connectors"),
        ("fish", "complete -c connectors"),
    ] {
        let text = script(shell);
        for known in [part, "access-control", "preview", "from-index"] {
            assert!(text.contains(known), "{shell}: {known}");
        }
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_connectors")).args(["completions", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn bash_completes_a_command_with_it() {
    let test = format!(
        "{}\nCOMP_WORDS=(connectors rules pre)\nCOMP_CWORD=2\n_connectors connectors pre rules\necho \"found: ${{COMPREPLY[*]}}\"\n",
        script("bash")
    );
    let mut bash =
        Command::new("bash").arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(test.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "found: preview\n");
}
