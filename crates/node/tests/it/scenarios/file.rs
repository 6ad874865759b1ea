//! Reads a scenario file: YAML into plain values, values into steps. Unknown keys are refused, so that a misspelt
//! expectation cannot pass by being ignored.

use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::{Map, Value};

/// Where a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// On the embedded node only: the fixture lacks the module.
    Node,
    /// On a real server only.
    Elasticsearch,
}

/// Steps that share a clean slate.
#[derive(Debug)]
pub struct Scenario {
    /// What it shows.
    pub name: String,
    /// Set when it cannot run everywhere; the file must say `why`.
    pub only: Option<Only>,
    /// In order.
    pub steps: Vec<Step>,
}

/// One request and what its answer must be.
#[derive(Debug)]
pub struct Step {
    /// HTTP method.
    pub method: String,
    /// Path and query, with `${name}` placeholders.
    pub target: String,
    /// Request headers.
    pub headers: Map<String, Value>,
    /// Request body.
    pub body: Option<Body>,
    /// Send the body gzip-compressed.
    pub gzip: bool,
    /// Repeat the request for so many seconds until the expectations hold.
    pub within: u64,
    /// Expected status; `None` means any 2xx.
    pub status: Option<u16>,
    /// Subtree the answer must contain.
    pub has: Option<Value>,
    /// The whole answer.
    pub is: Option<Value>,
    /// Regular expression over the raw answer.
    pub text: Option<String>,
    /// Expected answer headers.
    pub header: Map<String, Value>,
    /// Name → path of a value to keep for later steps.
    pub store: Map<String, Value>,
}

/// A request body.
#[derive(Debug)]
pub enum Body {
    /// One JSON value.
    Json(Value),
    /// Newline-delimited JSON; strings are sent as they are (broken lines included).
    Lines(Vec<Value>),
    /// Sent as it is.
    Raw(String),
}

/// The folder of scenario files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/rest-api")
}

/// All scenarios of `<folder>/<name>.yml`.
pub fn load(name: &str) -> Vec<Scenario> {
    let path = folder().join(format!("{name}.yml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let documents = YamlOwned::load_from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(documents.len(), 1, "{}: one YAML document expected", path.display());
    let Value::Array(list) = json(&documents[0]) else {
        panic!("{}: a list of scenarios expected", path.display())
    };
    list.into_iter().map(scenario).collect()
}

fn scenario(value: Value) -> Scenario {
    let mut keys = Keys::new("scenario", value);
    let name = keys.text("scenario").expect("scenario needs a name");
    keys.what.clone_from(&name);
    let only = keys.text("only").map(|only| match only.as_str() {
        "node" => Only::Node,
        "elasticsearch" => Only::Elasticsearch,
        other => panic!("{name}: only: {other}"),
    });
    assert_eq!(
        only.is_some(),
        keys.text("why").is_some(),
        "{name}: `only` needs a `why`, and nothing else does"
    );
    let Some(Value::Array(steps)) = keys.take("steps") else { panic!("{name}: steps missing") };
    keys.finish();
    assert!(!steps.is_empty(), "{name}: no steps");
    let steps = steps
        .into_iter()
        .enumerate()
        .map(|(n, value)| step(&format!("{name}, step {}", n + 1), value))
        .collect();
    Scenario { name, only, steps }
}

fn step(what: &str, value: Value) -> Step {
    let mut keys = Keys::new(what, value);
    let request = keys.text("do").unwrap_or_else(|| panic!("{what}: `do` missing"));
    let (method, target) = request.split_once(' ').unwrap_or_else(|| panic!("{what}: do: METHOD /path"));
    let lines = keys.take("lines").map(|lines| match lines {
        Value::Array(lines) => Body::Lines(lines),
        other => panic!("{what}: lines: {other}"),
    });
    let body = keys.take("body").map(Body::Json);
    let raw = keys.text("raw").map(Body::Raw);
    assert!([&lines, &body, &raw].iter().filter(|b| b.is_some()).count() < 2, "{what}: more than one body");
    let step = Step {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: keys.map("headers"),
        body: lines.or(body).or(raw),
        gzip: keys.take("gzip") == Some(Value::Bool(true)),
        within: keys.take("within").map_or(0, |v| v.as_u64().expect("within: seconds")),
        status: keys
            .take("status")
            .map(|v| v.as_u64().and_then(|n| n.try_into().ok()).expect("status: number")),
        has: keys.take("has"),
        is: keys.take("is"),
        text: keys.text("text"),
        header: keys.map("header"),
        store: keys.map("store"),
    };
    keys.finish();
    step
}

/// A map whose keys must all be used.
struct Keys {
    what: String,
    map: Map<String, Value>,
}

impl Keys {
    fn new(what: &str, value: Value) -> Self {
        match value {
            Value::Object(map) => Self { what: what.to_owned(), map },
            other => panic!("{what}: a map expected, not {other}"),
        }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.take(key).map(|value| match value {
            Value::String(text) => text,
            other => panic!("{}: {key}: text expected, not {other}", self.what),
        })
    }

    fn map(&mut self, key: &str) -> Map<String, Value> {
        match self.take(key) {
            None => Map::new(),
            Some(Value::Object(map)) => map,
            Some(other) => panic!("{}: {key}: a map expected, not {other}", self.what),
        }
    }

    fn finish(self) {
        assert!(self.map.is_empty(), "{}: unknown keys {:?}", self.what, self.map.keys().collect::<Vec<_>>());
    }
}

fn json(yaml: &YamlOwned) -> Value {
    match yaml {
        YamlOwned::Value(ScalarOwned::Null) => Value::Null,
        YamlOwned::Value(ScalarOwned::Boolean(b)) => (*b).into(),
        YamlOwned::Value(ScalarOwned::Integer(n)) => (*n).into(),
        YamlOwned::Value(ScalarOwned::FloatingPoint(n)) => n.0.into(),
        YamlOwned::Value(ScalarOwned::String(text)) => text.clone().into(),
        YamlOwned::Sequence(list) => list.iter().map(json).collect(),
        YamlOwned::Mapping(map) => map.iter().map(|(key, value)| (key_text(key), json(value))).collect(),
        other => panic!("not supported in a scenario: {other:?}"),
    }
}

fn key_text(key: &YamlOwned) -> String {
    match json(key) {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        other => panic!("a key must be text, not {other}"),
    }
}
