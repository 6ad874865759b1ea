//! The states of connectors and of jobs that wait, and each rule a field's value can break: as a service writes them for the
//! owner of a connector.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{change, connected, serving};
use crate::support::{Server, Service, until};

const SOON: Duration = Duration::from_secs(20);

/// Waits for a connector in this state, and gives it.
async fn becomes(server: &Server, index: &str, state: &str) -> Value {
    let what = format!("the connector of {index} to be {state}");
    until(&what, SOON, async || {
        let (_, document) = server.connector(index).await;
        (document["status"] == state).then_some(document)
    })
    .await
}

/// Writes a job that names this connector.
async fn write_job(server: &Server, id: &str, connector: &str, index: &str, fields: Value) {
    let mut job = json!({
        "connector": {"id": connector, "index_name": index, "service_type": "dir"}, "job_type": "full",
        "trigger_method": "on_demand", "created_at": "2026-01-01T00:00:00+00:00", "last_seen": "2026-01-01T00:00:00+00:00"});
    for (key, value) in fields.as_object().unwrap() {
        job[key] = value.clone();
    }
    server.put_document(".elastic-connectors-sync-jobs", id, job).await;
}

#[tokio::test]
async fn a_connector_goes_from_created_to_connected_and_what_its_configuration_lacks_is_added() {
    let server = Server::start().await;
    // Makes the protocol's indices.
    let (place, _) = connected(&server, "search-e2e-states").await;
    server.forget(&place.index).await;
    let bare = json!({"status": "created", "configuration": {}, "index_name": place.index, "name": "bare"});
    server.put_document(".elastic-connectors", "e2e-states", bare).await;
    let mut service = Service::start(&place.config(&server.url, &serving("e2e-states")), "states");

    let waiting = becomes(&server, &place.index, "needs_configuration").await;
    assert_eq!(waiting["service_type"], "dir");
    let directory = &waiting["configuration"]["directory"];
    assert!(directory["label"].is_string() && directory["type"] == "str", "{waiting}");

    // As Kibana's form does; a field and a property are lost on the way.
    let mut configuration = waiting["configuration"].clone();
    configuration["directory"]["value"] = json!(place.files().to_str().unwrap());
    configuration["pattern"]["value"] = json!("**/note-0001.txt");
    configuration["pattern"].as_object_mut().unwrap().remove("tooltip");
    let lost = configuration
        .as_object()
        .unwrap()
        .keys()
        .find(|key| !["directory", "pattern"].contains(&key.as_str()));
    let lost = lost.expect("a third field").clone();
    configuration.as_object_mut().unwrap().remove(&lost);
    // An update merges objects, so that a removed field would stay: the whole document is written.
    let mut whole = waiting.clone();
    whole["status"] = json!("configured");
    whole["configuration"] = configuration;
    server.put_document(".elastic-connectors", "e2e-states", whole).await;
    let after = becomes(&server, &place.index, "connected").await;
    assert_eq!(after["configuration"][&lost], waiting["configuration"][&lost], "{lost} is back");
    assert_eq!(after["configuration"]["pattern"]["tooltip"], waiting["configuration"]["pattern"]["tooltip"]);
    assert_eq!(after["configuration"]["pattern"]["value"], "**/note-0001.txt", "values stay");
    assert!(after["error"].is_null(), "{after}");

    change(&server, "e2e-states", json!({"configuration": {"directory": {"value": ""}}})).await;
    let broken = becomes(&server, &place.index, "error").await;
    assert!(broken["error"].as_str().unwrap().contains("cannot be empty"), "{broken}");
    let value = json!({"value": place.files().to_str().unwrap()});
    change(&server, "e2e-states", json!({"configuration": {"directory": value}})).await;
    becomes(&server, &place.index, "connected").await;
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

/// A field that the source does not know, as Kibana stores it: is refused with one value, accepted with another.
struct Rule {
    field: Value,
    bad: Value,
    good: Value,
    /// What the message says, beside the label.
    says: &'static [&'static str],
}

fn validation(
    field_type: &str,
    kind: &str,
    constraint: Value,
    bad: Value,
    good: Value,
    says: &'static [&'static str],
) -> Rule {
    let field = json!({"label": "Probe", "type": field_type, "validations": [{"type": kind, "constraint": constraint}]});
    Rule { field, bad, good, says }
}

#[tokio::test]
async fn a_value_that_breaks_a_rule_of_its_field_is_refused_with_what_is_allowed() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-validations").await;
    let switch = json!([{"field": "switch", "value": true}]);
    let rules = [
        validation("int", "less_than", json!(10), json!(10), json!(9), &["'10'", "less than 10"]),
        validation(
            "float",
            "less_than",
            json!(0.5),
            json!("0.75"),
            json!("0.25"),
            &["'0.75'", "less than 0.5"],
        ),
        validation("int", "greater_than", json!(2), json!("2"), json!("3"), &["'2'", "greater than 2"]),
        validation("list", "list_type", json!("int"), json!([1, "b"]), json!([1, 2]), &["'b'", "int"]),
        validation("list", "list_type", json!("str"), json!(["a", 1]), json!("a, b"), &["'1'", "str"]),
        validation(
            "str",
            "included_in",
            json!(["red", "green"]),
            json!("blue"),
            json!("red"),
            &["'blue'", "red, green"],
        ),
        validation(
            "list",
            "included_in",
            json!(["red", "green"]),
            json!("red,blue"),
            json!("green,red"),
            &["'blue'"],
        ),
        validation(
            "str",
            "regex",
            json!("[a-z]+[0-9]"),
            json!("ab12"),
            json!("ab1"),
            &["'ab12'", "[a-z]+[0-9]"],
        ),
        Rule {
            field: json!({"label": "Probe", "type": "str", "required": true}),
            bad: json!(""),
            good: json!("x"),
            says: &["cannot be empty"],
        },
        // The dependency holds for a word that means true.
        Rule {
            field: json!({"label": "Probe", "type": "list", "required": true, "depends_on": switch}),
            bad: json!([""]),
            good: json!(["x"]),
            says: &["cannot be empty"],
        },
        Rule {
            field: json!({"label": "Probe", "type": "int"}),
            bad: json!("many"),
            good: json!("12"),
            says: &["a whole number is expected"],
        },
        Rule {
            field: json!({"label": "Probe", "type": "bool"}),
            bad: json!("maybe"),
            good: json!("false"),
            says: &["true or false is expected"],
        },
        // An optional field without a value is judged by its default.
        Rule {
            field: json!({"label": "Probe", "type": "int", "required": false, "default_value": 7,
                "validations": [{"type": "less_than", "constraint": 5}]}),
            bad: json!(null),
            good: json!(1),
            says: &["'7'", "less than 5"],
        },
    ];
    let mut service = Service::start(&place.config(&server.url, &serving(&connector)), "validations");
    let probe = async |field: &Value, value: &Value, switch: &str, state: &str| {
        let (_, mut document) = server.connector(&place.index).await;
        let mut field = field.clone();
        field["value"] = value.clone();
        document["configuration"]["probe"] = field;
        document["configuration"]["switch"] = json!({"label": "Switch", "type": "bool", "value": switch});
        document["status"] = json!("configured");
        document["error"] = Value::Null;
        server.put_document(".elastic-connectors", &connector, document).await;
        becomes(&server, &place.index, state).await
    };
    for Rule { field, bad, good, says } in &rules {
        let refused = probe(field, bad, "yes", "error").await;
        let error = refused["error"].as_str().unwrap();
        assert!(error.contains("Probe"), "{field}: {error}");
        for part in *says {
            assert!(error.contains(part), "{field}: {error} lacks {part}");
        }
        let accepted = probe(field, good, "yes", "connected").await;
        assert_eq!(accepted["configuration"]["probe"]["value"], *good, "stored as it was given");
        if field["depends_on"].is_array() {
            probe(field, bad, "no", "connected").await;
        }
    }
    let nowhere = json!({"label": "Probe", "depends_on": [{"field": "nowhere", "value": 1}]});
    let refused = probe(&nowhere, &json!("x"), "yes", "error").await;
    assert!(refused["error"].as_str().unwrap().contains("'nowhere'"), "{refused}");
    // A type that nobody knows is taken as it comes.
    probe(&json!({"label": "Probe", "type": "odd"}), &json!({"any": [1]}), "yes", "connected").await;
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_waiting_job_that_another_program_wants_canceled_is_so_within_seconds() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-cancel-waiting").await;
    let mut settings = serving(&connector);
    settings["service.idling"] = json!(600);
    let mut service = Service::start(&place.config(&server.url, &settings), "waiting");
    until("the first look of the service", SOON, async || {
        let (_, document) = server.connector(&place.index).await;
        document["last_seen"].is_string().then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for (id, metadata) in [("e2e-never-began", Value::Null), ("e2e-was-suspended", json!({"worker": null}))] {
        let since = Instant::now();
        let fields = json!({"status": "canceling", "cancelation_requested_at": "2026-01-01T00:00:00+00:00",
            "metadata": metadata});
        write_job(&server, id, &connector, &place.index, fields).await;
        let ended = server.job_becomes(id, &["canceled"], Duration::from_secs(5)).await;
        assert!(ended["canceled_at"].is_string() && ended["error"].is_null(), "{ended}");
        assert!(since.elapsed() < Duration::from_secs(5));
    }
    // What runs elsewhere is left to who runs it.
    let running = json!({"status": "canceling", "worker_hostname": "elsewhere", "last_seen": jiff::Timestamp::now().to_string()});
    write_job(&server, "e2e-runs-elsewhere", &connector, &place.index, running).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(server.job("e2e-runs-elsewhere").await["status"], "canceling");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn a_job_whose_connector_is_gone_ends_as_an_error() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-orphan").await;
    let running = json!({"status": "in_progress", "worker_hostname": "elsewhere"});
    write_job(&server, "e2e-orphan", "e2e-no-such-connector", &place.index, running).await;
    let mut settings = serving(&connector);
    settings["service.job_cleanup_interval"] = json!(1);
    let mut service = Service::start(&place.config(&server.url, &settings), "orphan");
    let ended = server.job_becomes("e2e-orphan", &["error"], SOON).await;
    assert!(ended["error"].as_str().unwrap().contains("does not exist any more"), "{ended}");
    assert!(ended["completed_at"].is_string(), "{ended}");
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}

#[tokio::test]
async fn the_source_of_a_deleted_connector_is_told_once() {
    let server = Server::start().await;
    let (place, connector) = connected(&server, "search-e2e-deleted").await;
    change(&server, &connector, json!({"deleted": true})).await;
    let mut settings = serving(&connector);
    settings["service.job_cleanup_interval"] = json!(1);
    let mut service = Service::start(&place.config(&server.url, &settings), "deleted");
    let told = format!("Connector {connector} was deleted: its source keeps nothing for it");
    let count = |log: String| log.matches(&told).count();
    until("the source is told", SOON, async || (count(service.log()) > 0).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(count(service.log()), 1);
    assert_eq!(service.stop(), Some(0), "{}", service.log());
    server.forget(&place.index).await;
}
