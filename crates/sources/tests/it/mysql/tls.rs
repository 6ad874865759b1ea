//! Encrypted connections.

use std::os::unix::fs::PermissionsExt;

use connectors_sdk::ErrorKind;
use tempfile::TempDir;

use super::support::{Db, Server, all};
use crate::certificates::Certificates;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs tests/backends/mariadb"]
async fn the_certificate_and_the_name_are_checked() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let folder = TempDir::new().unwrap();
    // The server runs as another user.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("certificate"), &certificates.server).unwrap();
    std::fs::write(path("key"), &certificates.key).unwrap();
    let server = Server::with(3393, &format!("--ssl-cert={} --ssl-key={}", path("certificate"), path("key")));
    let db = Db::on(&server.url(), "tls").await;
    db.fill(3, 1).await;
    // Only encrypted connections may log in to this account.
    let (user, password) = db.account(&["SELECT ON `{db}`.*"]).await;
    db.run(&format!("ALTER USER '{user}'@'%' REQUIRE SSL")).await;
    let source = |host: &str, authority: &str| {
        let account = [("user", user.as_str()), ("password", password.as_str())];
        db.source(&[account[0], account[1], ("host", host), ("ssl_enabled", "true"), ("ssl_ca", authority)])
    };
    let one_line = certificates.authority.replace('\n', " ");
    for authority in [&certificates.authority, &one_line] {
        let source = source("localhost", authority);
        source.validate().await.unwrap();
        assert_eq!(all(&*source).await.ids(), ["t_1", "t_2", "t_3"]);
    }
    for (what, host, authority) in [
        ("another authority", "localhost", others.authority.as_str()),
        ("the public authorities", "localhost", ""),
        ("another name", "127.0.0.1", certificates.authority.as_str()),
    ] {
        let error = source(host, authority).ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{what}: {error}");
        assert!(error.to_string().contains("`ssl_ca`"), "{what}: {error}");
        assert!(!error.to_string().contains(&password), "{what}");
    }
    let plain = db.source(&[("user", &user), ("password", &password)]).ping().await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Authentication, "{plain}");
}
