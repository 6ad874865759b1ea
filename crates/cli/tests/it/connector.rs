//! `connectors connector`: show, configure, schedule, delete.

use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, Workplace, answer, err, out, report, said};

/// A server, a folder with two files, and the connector that a first sync made for it.
struct Scene {
    server: Server,
    place: Workplace,
    config: std::path::PathBuf,
    id: String,
}

impl Scene {
    async fn new(index: &str) -> Self {
        let server = Server::start().await;
        let place = Workplace::new(index);
        server.forget(index).await;
        place.write("a.txt", "the first file");
        place.write("b.txt", "the second file");
        let config = place.config(&server.url, &json!({}));
        place.sync(&config);
        let (id, _) = server.connector(index).await;
        Self { server, place, config, id }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.answer(arguments, &[])
    }

    fn answer(&self, arguments: &[&str], lines: &[&str]) -> Output {
        answer(Workplace::command(&self.config).args(arguments), lines)
    }

    async fn document(&self) -> Value {
        self.server.get(&format!("/.elastic-connectors/_doc/{}", self.id)).await["_source"].clone()
    }

    async fn end(self) {
        self.server.forget(&self.place.index).await;
    }
}

#[tokio::test]
async fn a_connector_is_shown_without_its_secrets() {
    let scene = Scene::new("search-e2e-show").await;
    let secret = json!({"doc": {
        "configuration": {"token": {"value": "hunter2", "sensitive": true, "label": "Token"}, "bare": "hunter2"},
        "sync_cursor": {"page": "hunter2"},
    }});
    let path = format!("/.elastic-connectors/_update/{}", scene.id);
    assert_eq!(scene.server.call(Method::POST, &path, Some(secret)).await.0, 200);
    let output = scene.run(&["connector", "show", &scene.id]);
    assert!(output.status.success(), "{}", said(&output));
    let text = out(&output);
    for part in [
        "status: connected",
        "index_name: search-e2e-show",
        "directory",
        "(hidden)",
        "sync rules besides the default one: 0 active, 0 in the draft, which is valid",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = scene.run(&["connector", "show", &scene.id, "-o", "json"]);
    let shown = report(&json);
    assert_eq!(
        shown["configuration"]["token"],
        json!({"value": "(hidden)", "sensitive": true, "label": "Token"})
    );
    assert_eq!(shown["configuration"]["pattern"]["value"], "**/*");
    assert_eq!(shown["scheduling"]["full"]["enabled"], false);
    assert!(!said(&output).contains("hunter2") && !said(&json).contains("hunter2"), "{}", said(&json));
    let output = scene.run(&["connector", "show", "nope"]);
    assert!(
        !output.status.success() && err(&output).contains("there is no connector nope"),
        "{}",
        said(&output)
    );
    scene.end().await;
}

#[tokio::test]
async fn configuration_is_asked_for_or_given_and_checked_either_way() {
    let scene = Scene::new("search-e2e-configure").await;
    let id = scene.id.clone();
    let files = scene.place.files().display().to_string();

    // Given: typed, checked, written, and the connector is to be taken up again.
    let output = scene.run(&["connector", "configure", &id, "--set", "pattern=**/*.md", "-o", "json"]);
    assert_eq!(report(&output), json!({"id": id, "status": "configured"}), "{}", said(&output));
    assert_eq!(scene.document().await["configuration"]["pattern"]["value"], "**/*.md");

    // Asked for: an empty answer keeps what is there.
    let output = scene.answer(&["connector", "configure", &id], &["", "**/*.txt", ""]);
    assert!(output.status.success(), "{}", said(&output));
    let asked = err(&output);
    assert!(
        asked.contains(&format!("Directory [{files}]: ")) && asked.contains("File pattern [**/*.md]: "),
        "{asked}"
    );
    let stored = scene.document().await;
    assert_eq!(stored["configuration"]["pattern"]["value"], "**/*.txt");
    assert_eq!(stored["configuration"]["directory"]["value"], files.as_str());

    // Refused, and nothing is written.
    for (arguments, message) in [
        (&["--set", "dirctory=/"][..], "it has: directory, pattern"),
        (&["--set", "directory="], "'Directory' cannot be empty."),
        (&["--set", "directory=/no/such/folder"], "/no/such/folder"),
        (&["--set-env", "directory=NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (&["--from-file", "/no/such/file"], "/no/such/file: cannot be read"),
    ] {
        let output = scene.run(&[&["connector", "configure", &id], arguments].concat());
        assert!(
            !output.status.success() && err(&output).contains(message),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    let output = scene.run(&["connector", "configure", &id]);
    assert!(err(&output).contains("standard input ended"), "{}", said(&output));
    assert_eq!(scene.document().await["configuration"], stored["configuration"]);

    // Of a source that only the service's machine can reach.
    let output =
        scene.run(&["connector", "configure", &id, "--set", "directory=/no/such/folder", "--no-check"]);
    assert!(output.status.success(), "{}", said(&output));
    // From a file, and from the environment, which overrules it.
    let file = scene.config.with_extension("json");
    let values =
        json!({"directory": "/elsewhere", "pattern": {"value": "**/*", "label": "as the protocol has it"}});
    std::fs::write(&file, values.to_string()).unwrap();
    let mut command = Workplace::command(&scene.config);
    command.args(["connector", "configure", &id, "--set-env", "directory=WHERE", "--from-file"]);
    let output = answer(command.arg(&file).env("WHERE", &files), &[]);
    assert!(output.status.success(), "{}", said(&output));
    let stored = scene.document().await;
    assert_eq!(stored["configuration"]["directory"]["value"], files.as_str());
    assert_eq!(stored["configuration"]["pattern"]["value"], "**/*");
    std::fs::write(&file, r#"{"directory": hunter2}"#).unwrap();
    let output = scene.run(&["connector", "configure", &id, "--from-file", file.to_str().unwrap()]);
    assert!(err(&output).contains(".json:1:") && !said(&output).contains("hunter2"), "{}", said(&output));
    scene.end().await;
}

#[tokio::test]
async fn a_form_asks_again_hides_secrets_and_leaves_out_what_does_not_apply() {
    let scene = Scene::new("search-e2e-form").await;
    let id = scene.id.clone();
    let files = scene.place.files().display().to_string();
    let change = async |fields: Value| {
        let path = format!("/.elastic-connectors/_update/{id}");
        let (status, answer) =
            scene.server.call(Method::POST, &path, Some(json!({"doc": {"configuration": fields}}))).await;
        assert_eq!(status, 200, "{answer}");
    };
    // What may not be empty is asked for until it is not.
    change(json!({"directory": {"value": ""}, "pattern": {"value": "**/*.secret", "sensitive": true}})).await;
    let output = scene.answer(&["connector", "configure", &id], &["", "", &files, "", ""]);
    assert!(output.status.success(), "{}", said(&output));
    let asked = err(&output);
    assert_eq!(asked.matches("'Directory' cannot be empty.").count(), 2, "{asked}");
    // So is what the source refuses, with the answers as defaults.
    let output = scene.answer(&["connector", "configure", &id], &["/no/such/folder", "", "", &files, "", ""]);
    assert!(output.status.success(), "{}", said(&output));
    let again = err(&output);
    assert!(
        again.contains("That does not work: ") && again.contains("Directory [/no/such/folder]: "),
        "{again}"
    );
    // A secret is kept by an empty answer, and never shown.
    assert!(asked.contains("File pattern [keep]: ") && !asked.contains("*.secret"), "{asked}");
    assert_eq!(scene.document().await["configuration"]["pattern"]["value"], "**/*.secret");
    let output = scene.answer(&["connector", "configure", &id, "-o", "json"], &["", "**/*.other", ""]);
    assert!(output.status.success() && !said(&output).contains("*.other"), "{}", said(&output));
    assert_eq!(scene.document().await["configuration"]["pattern"]["value"], "**/*.other");
    // A field whose condition does not hold is not asked for; once an answer makes it hold, it is.
    let condition =
        json!({"pattern": {"sensitive": false, "depends_on": [{"field": "directory", "value": "/"}]}});
    change(condition).await;
    let output = scene.answer(&["connector", "configure", &id], &["", ""]);
    assert!(output.status.success() && !err(&output).contains("File pattern"), "{}", said(&output));
    change(json!({"pattern": {"order": 0}})).await;
    let output = scene.answer(&["connector", "configure", &id, "--no-check"], &["/", "**/*", ""]);
    assert!(
        output.status.success() && err(&output).contains("File pattern [**/*.other]: "),
        "{}",
        said(&output)
    );
    scene.end().await;
}

#[tokio::test]
async fn schedules_are_checked_stored_and_told_with_their_next_times() {
    let scene = Scene::new("search-e2e-schedule").await;
    let id = scene.id.clone();
    let path = format!("/.elastic-connectors/_update/{id}");
    let without = json!({"doc": {"features": {"document_level_security": {"enabled": false}}}});
    assert_eq!(scene.server.call(Method::POST, &path, Some(without)).await.0, 200);
    let schedule = |more: &[&str]| scene.run(&[&["connector", "schedule", &id], more].concat());
    let output = schedule(&["--full", "0 0 2 * * ?", "--access-control", "0 30 2 * * ?", "-o", "json"]);
    let shown = report(&output);
    let next: Vec<&str> =
        shown["full"]["next"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert!(next.len() == 3 && next.iter().all(|time| time.ends_with("T02:00:00Z")), "{shown}");
    assert!(
        err(&output).contains("features do not have them"),
        "access control is switched off: {}",
        said(&output)
    );
    let stored = scene.document().await["scheduling"].clone();
    assert_eq!(stored["full"], json!({"enabled": true, "interval": "0 0 2 * * ?"}));
    assert_eq!(stored["incremental"]["enabled"], false);

    let output = schedule(&["--full", "off", "--access-control", "OFF"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(out(&output).contains("full            off"), "{}", out(&output));
    assert_eq!(
        scene.document().await["scheduling"]["full"],
        json!({"enabled": false, "interval": "0 0 2 * * ?"})
    );

    let output = schedule(&["--full", "every day"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("has 2 fields; it takes 6"), "{}", said(&output));
    let output = schedule(&["--full", "0 0 25 * * ?"]);
    assert!(err(&output).contains("hour"), "{}", said(&output));
    scene.end().await;
}

#[tokio::test]
async fn a_connector_is_deleted_with_its_jobs_after_a_yes() {
    let scene = Scene::new("search-e2e-delete").await;
    let id = scene.id.clone();
    let output = scene.answer(&["connector", "delete", &id], &["no"]);
    assert!(!output.status.success() && err(&output).contains("nothing was changed"), "{}", said(&output));
    assert!(err(&output).contains("and its 1 jobs?"), "{}", said(&output));
    assert_eq!(scene.document().await["index_name"], "search-e2e-delete");

    let output = scene.answer(&["connector", "delete", &id], &["y"]);
    assert!(output.status.success() && out(&output).contains("is left as it is"), "{}", said(&output));
    let (status, _) = scene.server.call(Method::GET, &format!("/.elastic-connectors/_doc/{id}"), None).await;
    assert_eq!(status, 404);
    let query = json!({"query": {"term": {"connector.id": id}}});
    let (_, answer) =
        scene.server.call(Method::POST, "/.elastic-connectors-sync-jobs/_count", Some(query)).await;
    assert_eq!(answer["count"], 0, "{answer}");
    assert_eq!(scene.server.documents("search-e2e-delete").await.len(), 2);

    // A new connector for the same index, and this time the index goes too.
    scene.place.sync(&scene.config);
    let (id, _) = scene.server.connector("search-e2e-delete").await;
    let output = scene.run(&["connector", "delete", &id, "--index", "--yes", "-o", "json"]);
    let done = report(&output);
    assert_eq!((&done["index_deleted"], &done["deleted_job_count"]), (&json!(true), &json!(1)), "{done}");
    let (status, _) = scene.server.call(Method::HEAD, "/search-e2e-delete", None).await;
    assert_eq!(status, 404);
    let output = scene.run(&["connector", "delete", &id, "--yes"]);
    assert!(!output.status.success() && err(&output).contains("there is no connector"), "{}", said(&output));
    scene.end().await;
}
