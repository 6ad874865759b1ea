//! `--rebuild`: a new index takes the old one's place while others search.

use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Door, Server, Workplace, err, out, report, said, until};

/// Removes what a test made, also what rebuilds made.
async fn forget(server: &Server, index: &str) {
    for found in indices(server, index).await {
        server.call(Method::DELETE, &format!("/{found}"), None).await;
    }
    server.forget(index).await;
}

/// Names of the indices that are there, also hidden ones.
async fn indices(server: &Server, index: &str) -> Vec<String> {
    let found = server.get(&format!("/{index}*?expand_wildcards=all")).await;
    found.as_object().unwrap().keys().cloned().collect()
}

/// The one index behind a name.
async fn behind(server: &Server, name: &str) -> String {
    let found = server.get(&format!("/{name}")).await;
    let names: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 1, "{found}");
    names[0].clone()
}

fn rebuild(place: &Workplace, config: &std::path::Path, more: &[&str]) -> Output {
    place.sync_command(config).arg("--rebuild").args(more).output().unwrap()
}

/// Begins a rebuild and waits until its new index, which is not the one that is there, has some documents.
async fn midway(
    server: &Server,
    place: &Workplace,
    config: &std::path::Path,
    there: Option<&str>,
) -> (Child, String) {
    let mut command = place.sync_command(config);
    let child = command.arg("--rebuild").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let half = until("a half-filled index", Duration::from_mins(1), async || {
        let found = indices(server, &format!("{}-rebuild-", place.index)).await;
        let new = found.into_iter().next_back().filter(|new| Some(new.as_str()) != there)?;
        server.call(Method::POST, &format!("/{new}/_refresh"), None).await;
        let (_, answer) = server.call(Method::GET, &format!("/{new}/_count"), None).await;
        answer["count"].as_u64().filter(|count| *count > 0).map(|_| new)
    })
    .await;
    (child, half)
}

fn completed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    report(output)
}

/// Searches a name all the time, in a thread of its own; each answer must have so many hits.
struct Searches {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Answers, String>>,
}

/// How searches were answered.
#[derive(Debug, Default)]
struct Answers {
    full: u64,
    /// 503: to be asked again.
    again: u64,
}

impl Searches {
    fn start(server: &Server, index: &str, count: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, stopped) = (format!("{}/{index}/_search", server.url), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let http = reqwest::Client::new();
                let mut answers = Answers::default();
                while !stopped.load(Ordering::Relaxed) {
                    let answer = http.get(&url).send().await.map_err(|error| error.to_string())?;
                    let status = answer.status();
                    let text = answer.text().await.map_err(|error| error.to_string())?;
                    let body: Value = serde_json::from_str(&text).map_err(|_| text.clone())?;
                    let total = body["hits"]["total"]["value"].as_u64();
                    // By a pattern, Elasticsearch also asks the new index before it is hidden, and whose shard may not be there yet.
                    let early = &body["_shards"]["failures"][0]["reason"]["type"];
                    if status == 503
                        || (total == Some(count) && early == "no_shard_available_action_exception")
                    {
                        answers.again += 1;
                    } else if total == Some(count) && body["_shards"]["failed"] == 0 {
                        answers.full += 1;
                    } else {
                        return Err(format!("after {answers:?}: {text}"));
                    }
                }
                Ok(answers)
            })
        });
        Self { stop, thread }
    }

    /// All of them were answered in full.
    fn all_full(self) {
        let answers = self.stop();
        assert!(answers.full > 3 && answers.again == 0, "{answers:?}");
    }

    fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_new_index_takes_the_place_of_an_index_and_then_of_an_alias() {
    let server = Server::start().await;
    let place = Workplace::new("search-rebuild-swap");
    forget(&server, &place.index).await;
    place.fill(120, 300);
    let config = place.config(&server.url, &json!({}));
    place.sync(&config);
    let settings = json!({"index.refresh_interval": "7s"});
    server.call(Method::PUT, &format!("/{}/_settings", place.index), Some(settings)).await;
    let filtered = format!("{}-none", place.index);
    let filter = json!({"filter": {"term": {"size": 1}}});
    server.call(Method::PUT, &format!("/{}/_alias/{filtered}", place.index), Some(filter.clone())).await;

    // The name is that of an index.
    let searches = Searches::start(&server, &place.index, 120);
    let patterns = Searches::start(&server, &format!("{}*", place.index), 120);
    let first = completed(&rebuild(&place, &config, &[]));
    if std::env::var("CONNECTORS_TEST_URL").is_ok() {
        // Elasticsearch closes the old index some milliseconds before it knows the alias: then it asks to come again.
        let (answers, by_pattern) = (searches.stop(), patterns.stop());
        assert!(answers.full > 3 && by_pattern.full > 3, "{answers:?} {by_pattern:?}");
    } else {
        searches.all_full();
        patterns.all_full();
    }
    assert_eq!(first["indexed_document_count"], 120, "{first}");
    assert_eq!(first["rebuilt"]["replaced"], place.index.as_str(), "{first}");
    let new = behind(&server, &place.index).await;
    assert_eq!(first["rebuilt"]["index"], new.as_str(), "{first}");
    assert!(new.starts_with("search-rebuild-swap-rebuild-20"), "{new}");
    assert_eq!(indices(&server, &place.index).await, std::slice::from_ref(&new));
    let info = server.get(&format!("/{new}")).await[&new].clone();
    let aliases = json!({&place.index: {"is_write_index": true}, &filtered: filter});
    assert_eq!(info["aliases"], aliases, "{info}");
    assert_eq!(info["settings"]["index"]["refresh_interval"], "7s", "{info}");
    assert_ne!(info["settings"]["index"]["hidden"], "true", "{info}");

    // Syncs, checks and lists go through the alias.
    place.write("later.txt", "written through the alias");
    std::fs::remove_file(place.files().join("00/note-0000.txt")).unwrap();
    let sync = place.sync(&config);
    assert_eq!(
        (&sync["indexed_document_count"], &sync["deleted_document_count"], &sync["unchanged_document_count"]),
        (&json!(1), &json!(1), &json!(119)),
        "{sync}"
    );
    assert_eq!(sync["rebuilt"], Value::Null, "{sync}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    assert_eq!(behind(&server, &place.index).await, new);
    let (id, _) = server.connector(&place.index).await;
    let check = Workplace::command(&config).args(["check", &id]).output().unwrap();
    assert!(out(&check).contains(&format!("an alias of {new}, 120 documents")), "{}", said(&check));
    let list = report(&Workplace::command(&config).args(["index", "list", "-o", "json"]).output().unwrap());
    let ours = list.as_array().unwrap().iter().find(|index| index["index"] == new.as_str()).unwrap();
    assert_eq!(ours["connector_id"], id.as_str(), "{list}");

    // The name is that of an alias.
    let searches = Searches::start(&server, &place.index, 120);
    let second = completed(&rebuild(&place, &config, &["--keep-old"]));
    searches.all_full();
    let newer = behind(&server, &place.index).await;
    assert_eq!(second["rebuilt"], json!({"index": newer, "replaced": new, "kept": true}), "{second}");
    assert_eq!(indices(&server, &place.index).await, [new.clone(), newer.clone()]);
    assert_eq!(server.get(&format!("/{new}/_count")).await["count"], 120);
    // What was kept on purpose is no leftover, and the one behind the alias goes.
    let searches = Searches::start(&server, &place.index, 120);
    let third = completed(&rebuild(&place, &config, &[]));
    searches.all_full();
    let newest = behind(&server, &place.index).await;
    assert_eq!(third["rebuilt"], json!({"index": newest, "replaced": newer, "kept": false}), "{third}");
    assert_eq!(indices(&server, &place.index).await, [new.clone(), newest.clone()]);
    assert_eq!(server.documents(&place.index).await, place.listing());
    let aliases = json!({&place.index: {"is_write_index": true}, &filtered: filter});
    assert_eq!(server.get(&format!("/{newest}/_alias")).await[&newest]["aliases"], aliases);

    let delete = ["index", "delete", &place.index, "--yes"];
    let output = Workplace::command(&config).args(delete).output().unwrap();
    assert!(output.status.success() && out(&output).contains("with 120 documents"), "{}", said(&output));
    assert_eq!(indices(&server, &place.index).await, [new]);
    forget(&server, &place.index).await;
}

#[tokio::test]
async fn fields_get_the_types_a_user_gave_them() {
    let server = Server::start().await;
    let place = Workplace::new("search-rebuild-types");
    forget(&server, &place.index).await;
    place.fill(10, 100);
    let config = place.config(&server.url, &json!({}));
    let run = |arguments: &[&str]| Workplace::command(&config).args(arguments).output().unwrap();
    let type_of = async |field: &str| {
        let index = behind(&server, &place.index).await;
        let mut mapping = server.get(&format!("/{index}/_mapping")).await;
        mapping[&index]["mappings"]["properties"][field].take()
    };

    // There is no index yet, so the first sync makes it so.
    let refused = place.sync_command(&config).args(["--map", "path=keywordd"]).output().unwrap();
    assert!(err(&refused).contains("did you mean keyword?"), "{}", said(&refused));
    let output =
        place.sync_command(&config).args(["--map", "path=keyword", "--map", "seen.at=date"]).output();
    let first = completed(&output.unwrap());
    assert_eq!(first["indexed_document_count"], 10, "{first}");
    assert_eq!(type_of("path").await, json!({"type": "keyword"}));
    assert_eq!(type_of("seen").await, json!({"properties": {"at": {"type": "date"}}}));
    let (id, connector) = server.connector(&place.index).await;
    let stored = json!({"properties": {
        "path": {"type": "keyword"}, "seen": {"properties": {"at": {"type": "date"}}},
    }});
    assert_eq!(connector["index_mapping"], stored);

    // Later types are for the next index.
    let output = place.sync_command(&config).args(["--map", "size=keyword"]).output().unwrap();
    assert!(output.status.success() && err(&output).contains("--rebuild"), "{}", said(&output));
    assert_eq!(type_of("size").await, json!({"type": "long"}));
    let output = run(&["connector", "mapping", &id, "--map", "path.x=date"]);
    assert!(err(&output).contains("path is a keyword"), "{}", said(&output));
    let day = r#"created_at={"type": "date", "format": "strict_date_optional_time"}"#;
    let output = run(&["connector", "mapping", &id, "--unset", "seen.at", "--map", day]);
    assert!(out(&output).contains("Next: connectors job start"), "{}", said(&output));
    let shown = report(&run(&["connector", "mapping", &id, "-o", "json"]))["index_mapping"].clone();
    let wanted = json!({"properties": {
        "path": {"type": "keyword"}, "size": {"type": "keyword"},
        "created_at": {"type": "date", "format": "strict_date_optional_time"},
    }});
    assert_eq!(shown, wanted);
    assert!(out(&run(&["connector", "show", &id])).contains("types of fields"), "shown");
    completed(&rebuild(&place, &config, &[]));
    assert_eq!(type_of("size").await, json!({"type": "keyword"}));
    assert_eq!(type_of("created_at").await, json!({"type": "date", "format": "strict_date_optional_time"}));
    assert_eq!(type_of("id").await, json!({"type": "keyword"}), "what the source knows");
    assert_eq!(server.documents(&place.index).await.len(), 10);

    // A file replaces them; a template comes first.
    let file = place.files().parent().unwrap().join("mapping.json");
    std::fs::write(&file, r#"{"properties": {"size": {"type": "double"}, "path": "wildcard"}}"#).unwrap();
    let output =
        run(&["connector", "mapping", &id, "--file", file.to_str().unwrap(), "--map", "path=keyword"]);
    assert!(out(&output).contains("size   double"), "{}", said(&output));
    let template = json!({
        "index_patterns": ["search-rebuild-types"], "priority": 500,
        "template": {"mappings": {"properties": {"size": {"type": "float"}}}, "aliases": {"search-rebuild-types-all": {}}},
    });
    let (status, answer) =
        server.call(Method::PUT, "/_index_template/search-rebuild-types", Some(template)).await;
    assert_eq!(status, 200, "{answer}");
    completed(&rebuild(&place, &config, &[]));
    assert_eq!(type_of("path").await, json!({"type": "keyword"}));
    assert_eq!(
        type_of("size").await,
        json!({"type": "float"}),
        "the template is for the name, and that is an alias"
    );
    let both = json!({&place.index: {"is_write_index": true}, "search-rebuild-types-all": {}});
    let index = behind(&server, &place.index).await;
    assert_eq!(server.get(&format!("/{index}/_alias")).await[&index]["aliases"], both);
    server.call(Method::DELETE, "/_index_template/search-rebuild-types", None).await;
    forget(&server, &place.index).await;
}

#[tokio::test]
async fn a_rebuild_that_fails_leaves_all_as_it_was() {
    let server = Server::start().await;
    let place = Workplace::new("search-rebuild-fails");
    forget(&server, &place.index).await;
    place.fill(30, 100);
    place.write("large.txt", &"x".repeat(1000));
    let config = place.config(&server.url, &json!({}));
    place.sync(&config);
    let before = server.documents(&place.index).await;
    let uuid = async || {
        let info = server.get(&format!("/{}", place.index)).await;
        info[&place.index]["settings"]["index"]["uuid"].clone()
    };
    let index = uuid().await;
    let unchanged = async |output: &Output, words: &str| {
        assert!(!output.status.success(), "{}", said(output));
        let report = report(output);
        assert_eq!((&report["status"], &report["rebuilt"]), (&json!("error"), &Value::Null), "{report}");
        assert!(report["error"].as_str().unwrap().contains(words), "{report}");
        assert_eq!(uuid().await, index);
        assert_eq!(server.documents(&place.index).await, before);
        assert_eq!(indices(&server, &place.index).await, std::slice::from_ref(&place.index));
    };

    // A document that the new types refuse: no byte is larger than 127. And all of them.
    let output = rebuild(&place, &config, &["--map", "size=byte"]);
    unchanged(&output, "1 documents could not be written to the new index, so search-rebuild-fails is left")
        .await;
    assert_eq!(report(&output)["dead_letter_count"], 1, "{}", said(&output));
    let output = rebuild(&place, &config, &["--map", "size=long", "--map", "path=ip"]);
    unchanged(&output, "TooManyErrors").await;
    // A type that the server does not know.
    let output = rebuild(&place, &config, &["--map", r#"path={"type": "no_such_type"}"#]);
    unchanged(&output, "no_such_type").await;
    let (id, _) = server.connector(&place.index).await;
    let output = Workplace::command(&config).args(["connector", "mapping", &id, "--unset", "path"]).output();
    assert!(output.unwrap().status.success());
    // A name that is needed for the alias.
    unchanged(&rebuild(&place, &config, &["--keep-old"]), "cannot be kept").await;
    // A source that cannot be read to its end.
    let away = place.files().with_file_name("away");
    std::fs::rename(place.files(), &away).unwrap();
    std::fs::write(away.with_file_name("files"), "no folder").unwrap();
    let output = rebuild(&place, &config, &[]);
    assert!(!output.status.success(), "{}", said(&output));
    assert_eq!(uuid().await, index);
    assert_eq!(server.documents(&place.index).await, before);
    std::fs::remove_file(away.with_file_name("files")).unwrap();
    std::fs::rename(&away, away.with_file_name("files")).unwrap();
    // An alias of more than one index.
    completed(&rebuild(&place, &config, &[]));
    let other = format!("{}-other", place.index);
    let body = json!({"aliases": {&place.index: {}}});
    server.call(Method::PUT, &format!("/{other}"), Some(body)).await;
    let output = rebuild(&place, &config, &[]);
    assert!(report(&output)["error"].as_str().unwrap().contains("stands for 2 indices"), "{}", said(&output));
    let output =
        Workplace::command(&config).args(["index", "delete", &place.index, "--yes"]).output().unwrap();
    assert!(err(&output).contains("an alias of 2 indices"), "{}", said(&output));
    forget(&server, &place.index).await;
}

#[tokio::test]
async fn a_rebuild_that_is_killed_or_canceled_leaves_the_index_and_the_next_one_cleans_up() {
    let server = Server::start().await;
    let place = Workplace::new("search-rebuild-killed");
    forget(&server, &place.index).await;
    place.fill(400, 1000);
    let direct = place.config(&server.url, &json!({}));
    place.sync(&direct);
    let before = server.documents(&place.index).await;
    let door = Door::before(&server.url);
    door.slow(400);
    let slow = place.config(&door.url(), &json!({"elasticsearch.bulk.chunk_size": 10}));
    let midway = async |left| midway(&server, &place, &slow, left).await;

    // Killed: nobody cleans up, but nothing else is touched.
    let (mut child, half) = midway(None).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(server.get(&format!("/{half}/_count")).await["count"].as_u64().unwrap() < 400);
    assert_eq!(server.documents(&place.index).await, before);
    let all = server.get(&format!("/{}*/_count", place.index)).await;
    assert_eq!(all["count"], 400, "hidden from patterns: {all}");

    // The next one removes what the killed one left. Canceled, it removes its own.
    let (mut child, next) = midway(Some(&half)).await;
    assert_eq!(indices(&server, &place.index).await, [place.index.clone(), next]);
    let (id, _) = server.connector(&place.index).await;
    let jobs =
        report(&Workplace::command(&direct).args(["job", "list", &id, "-o", "json"]).output().unwrap());
    let running = jobs.as_array().unwrap().iter().find(|job| job["status"] == "in_progress").unwrap();
    assert_eq!(running["rebuild"], json!({"keep_old": false}), "{jobs}");
    let job = running["id"].as_str().unwrap();
    let output = Workplace::command(&direct).args(["job", "cancel", job]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    child.wait().unwrap();
    assert_eq!(server.job(job).await["status"], "canceled");
    assert_eq!(indices(&server, &place.index).await, std::slice::from_ref(&place.index));
    assert_eq!(server.documents(&place.index).await, before);

    // Interrupted, too; and what is suspended is no rebuild for a sync that does not ask for one.
    let (mut child, _) = midway(None).await;
    assert!(std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    child.wait().unwrap();
    assert_eq!(indices(&server, &place.index).await, std::slice::from_ref(&place.index));
    assert_eq!(place.sync(&direct)["rebuilt"], Value::Null);
    assert_eq!(behind(&server, &place.index).await, place.index);
    let last = completed(&rebuild(&place, &direct, &[]));
    assert_eq!(last["indexed_document_count"], 400, "{last}");
    assert_eq!(server.documents(&place.index).await, before);
    forget(&server, &place.index).await;
}

#[tokio::test]
async fn aliases_that_change_while_an_index_is_rebuilt_are_those_of_the_new_one() {
    let server = Server::start().await;
    let place = Workplace::new("search-rebuild-aliases");
    forget(&server, &place.index).await;
    place.fill(200, 1000);
    place.sync(&place.config(&server.url, &json!({})));
    let door = Door::before(&server.url);
    let slow = place.config(&door.url(), &json!({"elasticsearch.bulk.chunk_size": 10}));
    let alias = |number: usize| format!("{}-alias-{number}", place.index);
    let change = async |action: &str, number: usize| {
        let old = behind(&server, &place.index).await;
        let actions = json!({"actions": [{action: {"index": old, "alias": alias(number)}}]});
        let (status, answer) = server.call(Method::POST, "/_aliases", Some(actions)).await;
        assert_eq!(status, 200, "{answer}");
    };
    change("add", 0).await;
    // The name is that of an index, and then an alias itself.
    let mut there = None;
    for number in 0..2 {
        door.slow(400);
        let (mut child, _) = midway(&server, &place, &slow, there.as_deref()).await;
        change("add", number + 1).await;
        change("remove", number).await;
        door.slow(0);
        assert!(child.wait().unwrap().success());
        let new = behind(&server, &place.index).await;
        let info = server.get(&format!("/{new}")).await[&new].clone();
        let names: Vec<&String> = info["aliases"].as_object().unwrap().keys().collect();
        assert_eq!(names, [&place.index, &alias(number + 1)], "{info}");
        assert_eq!(server.documents(&alias(number + 1)).await, place.listing());
        there = Some(new);
    }
    forget(&server, &place.index).await;
}

#[tokio::test]
async fn a_rebuild_of_nothing_makes_index_and_alias_and_a_service_runs_one_too() {
    let server = Server::start().await;
    let place = Workplace::new("search-rebuild-first");
    forget(&server, &place.index).await;
    place.fill(20, 100);
    let config = place.config(&server.url, &json!({}));
    let first = completed(&rebuild(&place, &config, &[]));
    let new = behind(&server, &place.index).await;
    assert_eq!(first["rebuilt"], json!({"index": new, "replaced": null, "kept": false}), "{first}");
    assert_eq!(server.documents(&place.index).await, place.listing());
    assert!(server.connector(&place.index).await.1["sync_cursor"].is_object(), "stored as by a full sync");

    let (id, _) = server.connector(&place.index).await;
    let start = |more: &[&str]| {
        let arguments = [&["job", "start", "-i", &id, "--rebuild", "-o", "json"], more].concat();
        Workplace::command(&config).args(arguments).output().unwrap()
    };
    let output = start(&["-t", "incremental"]);
    assert!(err(&output).contains("full syncs only"), "{}", said(&output));
    let job = report(&start(&[]))["id"].as_str().unwrap().to_owned();
    let serving = json!({"connectors": [{"connector_id": id, "service_type": "dir"}]});
    let mut service = crate::support::Service::start(&place.config(&server.url, &serving), "rebuild");
    let ended = server.job_becomes(&job, &["completed"], Duration::from_secs(30)).await;
    let newer = behind(&server, &place.index).await;
    let rebuilt = json!({"index": newer, "replaced": new, "kept": false});
    assert_eq!(ended["metadata"]["rebuilt"], rebuilt, "{ended}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    assert_eq!(indices(&server, &place.index).await, [newer]);
    assert_eq!(server.documents(&place.index).await, place.listing());
    forget(&server, &place.index).await;
}
