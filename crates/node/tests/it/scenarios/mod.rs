//! Runs the files of `tests/rest-api` against an embedded node, or against the server named by `SCENARIOS_URL`
//! (a real Elasticsearch: what it answers is right). One test for each file.

mod expect;
mod file;
mod run;

use std::io::Write as _;

use connectors_node::{Node, NodeOptions};
use file::Only;
use run::Server;

/// One test for each file, and the list of them.
macro_rules! files {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            run_file(stringify!($name)).await;
        })*

        const FILES: &[&str] = &[$(stringify!($name)),*];
    };
}

files! {
    aggregations,
    aliases,
    analyze,
    bulk,
    by_query,
    cluster,
    connectors,
    cursors,
    documents,
    field_caps,
    indices,
    mappings,
    pipelines,
    query_string,
    search_queries,
    search_results,
    sync_jobs,
    templates,
    unsupported,
}

async fn run_file(name: &str) {
    let folder = tempfile::tempdir().expect("folder");
    let (here, url, node) = if let Ok(url) = std::env::var("SCENARIOS_URL") {
        (Only::Elasticsearch, url, None)
    } else {
        let node = Node::start(NodeOptions::local(folder.path(), 0)).await.expect("node");
        (Only::Node, node.url().to_owned(), Some(node))
    };
    let server = Server::new(&url, &format!("{}-", name.replace('_', "-")));
    let only = std::env::var("SCENARIO").ok();
    let (mut steps, mut skipped, mut failures) = (0, 0, Vec::new());
    for scenario in file::load(name) {
        if scenario.only.is_some_and(|only| only != here) {
            skipped += scenario.steps.len();
        } else if only.as_ref().is_none_or(|only| scenario.name.contains(only)) {
            steps += scenario.steps.len();
            failures.extend(server.run(&scenario).await);
        }
    }
    if let Some(node) = node {
        node.shutdown().await;
    }
    // Written to stderr itself, because the harness swallows what a passing test prints.
    let failed = failures.len();
    writeln!(std::io::stderr(), "rest-api/{name}.yml: {steps} steps, {failed} failed, {skipped} skipped")
        .expect("stderr");
    assert!(
        failures.is_empty(),
        "{failed} of {steps} steps of rest-api/{name}.yml failed:\n\n{}",
        failures.join("\n\n")
    );
}

#[test]
fn every_scenario_file_is_run() {
    let mut found: Vec<String> = std::fs::read_dir(file::folder())
        .expect("tests/rest-api")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .map(|path| path.file_stem().expect("stem").to_string_lossy().into_owned())
        .collect();
    let mut listed = FILES.to_vec();
    found.sort();
    listed.sort_unstable();
    assert_eq!(found, listed, "files! must list the files of tests/rest-api");
}
