//! Encrypted connections.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use connectors_sdk::ErrorKind;
use serde_json::{Value, json};

use super::outages::Instance;
use super::{Database, full};
use crate::certificates::Certificates;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/backends/postgresql"]
async fn the_certificate_and_the_name_are_checked() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let instance = Instance::new(5544);
    let data = instance.data().join("db");
    let owner = std::fs::metadata(&data).unwrap();
    for (file, pem) in [("server.key", &certificates.key), ("server.crt", &certificates.server)] {
        let to = data.join(file);
        std::fs::write(&to, pem).unwrap();
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
    let one_line = certificates.authority.replace('\n', " ");
    for text in [&certificates.authority, &one_line] {
        let values = [on.clone(), localhost.clone(), ("ssl_ca", json!(text))];
        let synced = full(database.source(&values).as_ref(), None).await;
        synced.result.as_ref().unwrap();
        assert_eq!(synced.documents.len(), 1);
    }
    let wrong: [(&str, Vec<(&str, Value)>); 3] = [
        ("another authority", vec![localhost.clone(), ("ssl_ca", json!(others.authority))]),
        ("the system's authorities", vec![localhost.clone()]),
        ("another name", vec![("host", json!("127.0.0.1")), ("ssl_ca", json!(certificates.authority))]),
    ];
    for (what, values) in wrong {
        let source = database.source(&[values, vec![on.clone()]].concat());
        let error = source.ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{what}: {error}");
        assert!(error.to_string().contains("`ssl_ca`"), "{what}: {error}");
    }
}
