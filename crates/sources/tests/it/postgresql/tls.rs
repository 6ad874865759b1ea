//! Encrypted connections.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use connectors_sdk::ErrorKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::outages::Instance;
use super::{Database, full};

/// Makes a certificate authority, and with it a certificate for `localhost`.
fn certificates(folder: &Path) -> String {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority \
         -addext basicConstraints=critical,CA:TRUE && \
         openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost && \
         printf 'subjectAltName=DNS:localhost' >extensions && \
         openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.crt -extfile extensions";
    let made = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::read_to_string(folder.join("ca.pem")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/backends/postgresql"]
async fn the_certificate_and_the_name_are_checked() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (ca, another_ca) = (certificates(folder.path()), certificates(other.path()));
    let instance = Instance::new(5544);
    let data = instance.data().join("db");
    let owner = std::fs::metadata(&data).unwrap();
    for file in ["server.key", "server.crt"] {
        let to = data.join(file);
        std::fs::copy(folder.path().join(file), &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&to, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let database = Database::on(&instance.config(), "tls").await;
    database.run("ALTER SYSTEM SET ssl = on").await;
    database
        .run("SELECT pg_reload_conf(); CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    let on = ("ssl_enabled", json!(true));
    let localhost = ("host", json!("localhost"));
    let one_line = ca.replace('\n', " ");
    for text in [&ca, &one_line] {
        let values = [on.clone(), localhost.clone(), ("ssl_ca", json!(text))];
        let synced = full(database.source(&values).as_ref(), None).await;
        synced.result.as_ref().unwrap();
        assert_eq!(synced.documents.len(), 1);
    }
    let wrong: [(&str, Vec<(&str, Value)>); 3] = [
        ("another authority", vec![localhost.clone(), ("ssl_ca", json!(another_ca))]),
        ("the system's authorities", vec![localhost.clone()]),
        ("another name", vec![("host", json!("127.0.0.1")), ("ssl_ca", json!(ca))]),
    ];
    for (what, values) in wrong {
        let source = database.source(&[values, vec![on.clone()]].concat());
        let error = source.ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{what}: {error}");
        assert!(error.to_string().contains("`ssl_ca`"), "{what}: {error}");
    }
}
