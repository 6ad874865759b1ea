//! Sends the steps of a scenario and checks the answers.

use std::io::Write as _;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Map, Value};

use super::expect::{at, compare, fill, fill_text};
use super::file::{Body, Scenario, Step};

/// A server under test.
pub struct Server {
    client: Client,
    url: String,
    /// Names of everything a file makes start with this; it is removed before and after each scenario.
    prefix: String,
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
    json: Option<Value>,
}

impl Server {
    /// `url` without a trailing slash.
    pub fn new(url: &str, prefix: &str) -> Self {
        // A process has one TLS provider; another test may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_mins(1)).build().expect("client");
        Self { client, url: url.trim_end_matches('/').to_owned(), prefix: prefix.to_owned() }
    }

    /// Runs all steps, also after a failed one, and gives the failures.
    pub async fn run(&self, scenario: &Scenario) -> Vec<String> {
        self.clean().await;
        let mut stored = Map::new();
        let mut failures = Vec::new();
        for (n, step) in scenario.steps.iter().enumerate() {
            let deadline = Instant::now() + Duration::from_secs(step.within);
            let found = loop {
                let found = self.step(step, &mut stored).await;
                if found.is_empty() || Instant::now() >= deadline {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            if !found.is_empty() {
                let at = format!("{}, step {}: {} {}", scenario.name, n + 1, step.method, step.target);
                failures.push(format!("{at}\n    {}", found.join("\n    ")));
            }
        }
        self.clean().await;
        failures
    }

    async fn step(&self, step: &Step, stored: &mut Map<String, Value>) -> Vec<String> {
        let answer = self.send(step, stored).await;
        let mut failures = Vec::new();
        match step.status {
            Some(status) if status != answer.status => {
                failures.push(format!("expected status {status}, got {}", answer.status));
            }
            None if !(200..300).contains(&answer.status) => {
                failures.push(format!("expected a 2xx status, got {}", answer.status));
            }
            _ => {}
        }
        for (expected, exact) in [(&step.has, false), (&step.is, true)] {
            let Some(expected) = expected else { continue };
            match &answer.json {
                Some(json) => compare(&fill(expected, stored), Some(json), exact, "", &mut failures),
                None => failures.push("expected JSON".to_owned()),
            }
        }
        if let Some(pattern) = &step.text {
            let pattern = regex::Regex::new(&fill_text(pattern, stored)).expect("text: pattern");
            if !pattern.is_match(&answer.text) {
                failures.push(format!("expected text that matches {pattern:?}"));
            }
        }
        for (name, expected) in &step.header {
            let got = answer.headers.get(name).and_then(|v| v.to_str().ok()).map(Value::from);
            compare(expected, got.as_ref(), true, &format!("header {name}"), &mut failures);
        }
        for (name, path) in &step.store {
            let path = path.as_str().expect("store: path");
            match answer.json.as_ref().and_then(|json| at(json, path)) {
                Some(value) => drop(stored.insert(name.clone(), value.clone())),
                None => failures.push(format!("nothing to store at `{path}`")),
            }
        }
        if !failures.is_empty() {
            let mut text = answer.text;
            text.truncate(text.floor_char_boundary(1500));
            failures.push(format!("answer: {} {text}", answer.status));
        }
        failures
    }

    async fn send(&self, step: &Step, stored: &Map<String, Value>) -> Answer {
        let method = Method::from_bytes(step.method.as_bytes()).expect("method");
        let mut request =
            self.client.request(method, format!("{}{}", self.url, fill_text(&step.target, stored)));
        for (name, value) in &step.headers {
            request = request.header(name, value.as_str().expect("headers: text"));
        }
        let body = step.body.as_ref().map(|body| match body {
            Body::Json(value) => ("application/json", fill(value, stored).to_string()),
            Body::Raw(text) => ("application/json", text.clone()),
            Body::Lines(lines) => {
                let lines = lines.iter().map(|line| match line {
                    Value::String(text) => fill_text(text, stored) + "\n",
                    other => fill(other, stored).to_string() + "\n",
                });
                ("application/x-ndjson", lines.collect())
            }
        });
        if let Some((kind, text)) = body {
            if !step.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
                request = request.header("content-type", kind);
            }
            request = if step.gzip {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(text.as_bytes()).expect("gzip");
                request.header("content-encoding", "gzip").body(encoder.finish().expect("gzip"))
            } else {
                request.body(text)
            };
        }
        let response =
            request.send().await.unwrap_or_else(|e| panic!("{} {}: {e:?}", step.method, step.target));
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.expect("answer body");
        let json = serde_json::from_str(&text).ok();
        Answer { status, headers, text, json }
    }

    /// Removes every index, template and pipeline whose name starts with the prefix.
    async fn clean(&self) {
        for (list, names, one) in [
            ("", "", ""),
            ("_index_template/", "index_templates", "name"),
            ("_component_template/", "component_templates", "name"),
            ("_ingest/pipeline/", "", ""),
        ] {
            let hidden = if list.is_empty() { "?expand_wildcards=all" } else { "" };
            let pattern = format!("{}/{list}{}*{hidden}", self.url, self.prefix);
            let found = self.client.get(pattern).send().await.expect("list what is there");
            let found: Value = serde_json::from_str(&found.text().await.expect("list")).expect("list: JSON");
            let found: Vec<String> = match found.get(names) {
                Some(Value::Array(list)) => {
                    list.iter().filter_map(|v| Some(v[one].as_str()?.to_owned())).collect()
                }
                _ if names.is_empty() && found.get("error").is_none() => {
                    found.as_object().expect("names").keys().cloned().collect()
                }
                _ => Vec::new(),
            };
            for name in found {
                let gone =
                    self.client.delete(format!("{}/{list}{name}", self.url)).send().await.expect("delete");
                assert!(gone.status().is_success(), "{name} could not be deleted: {:?}", gone.text().await);
            }
        }
    }
}
