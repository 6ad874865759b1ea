//! `_security`: who asks, what they may do, and API keys.

mod api_key;
mod authenticate;
mod has_privileges;

use crate::http::{Identity, Route};
use crate::node::Node;
use crate::security::{ANONYMOUS_REALM, Owner};

pub(super) fn routes() -> Vec<Route<Node>> {
    [authenticate::routes(), api_key::routes(), has_privileges::routes()].into_iter().flatten().collect()
}

/// Whose the keys are that an identity makes.
fn owner(identity: &Identity) -> Owner {
    let named =
        |username: &str, realm: &str| Owner { username: username.to_owned(), realm: realm.to_owned() };
    match identity {
        // As Elasticsearch calls a user nobody has to prove to be.
        Identity::Anonymous => named("_anonymous", ANONYMOUS_REALM),
        Identity::User(name) => named(name, "file"),
        Identity::ApiKey(id) => named(id, "_es_api_key"),
        Identity::Key(key) => key.owner(),
    }
}
