//! Who we are to a cluster and what we may do, and API keys for others.

use std::fmt;

use connectors_transport::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::client::{EsClient, EsRequest};
use crate::error::{EsError, EsErrorKind};

/// A key somebody can log in with. `Debug` does not show it.
#[derive(Clone)]
pub struct ApiKey {
    /// Its id, which is no secret.
    pub id: String,
    /// Base64 of `id:key`, as a configuration file takes it. The cluster does not tell it again.
    pub encoded: SecretString,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ApiKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl EsError {
    /// Whether the cluster does not have the API that was asked for: its security is switched off, or this is a server
    /// without it.
    pub fn is_unknown_api(&self) -> bool {
        let unknown = ["no handler found", "Incorrect HTTP method", "unknown URI"];
        matches!(self.kind(), EsErrorKind::Status(400 | 404 | 405))
            && unknown.iter().any(|text| self.reason().contains(text))
    }
}

impl EsClient {
    /// The user or API key these credentials belong to.
    pub async fn authenticated_as(&self) -> Result<String, EsError> {
        let answer = self.send(EsRequest::new(Method::GET, "/_security/_authenticate")).await?;
        let body: Value = answer.json()?;
        match (body["api_key"]["name"].as_str(), body["username"].as_str()) {
            (Some(key), _) => Ok(format!("API key {key}")),
            (None, Some(user)) => Ok(user.to_owned()),
            (None, None) => Err(answer.invalid("the answer names no user")),
        }
    }

    /// What of the wanted privileges these credentials lack, as `privilege` or `privilege, privilege on index`. Wanted are cluster
    /// privileges, and index privileges with the indices they are wanted on.
    pub async fn missing_privileges(
        &self,
        cluster: &[&str],
        indices: &[(&str, &[&str])],
    ) -> Result<Vec<String>, EsError> {
        let index: Vec<Value> = indices
            .iter()
            .map(|(name, privileges)| {
                json!({"names": [name], "privileges": privileges, "allow_restricted_indices": true})
            })
            .collect();
        let body = json!({"cluster": cluster, "index": index});
        let request = EsRequest::new(Method::POST, "/_security/user/_has_privileges").json(&body);
        let answer: Value = self.send(request).await?.json()?;
        let lacks = |object: &Value, privilege: &str| object[privilege] != true;
        let mut missing: Vec<String> = cluster
            .iter()
            .filter(|privilege| lacks(&answer["cluster"], privilege))
            .map(|privilege| (*privilege).to_owned())
            .collect();
        for (name, privileges) in indices {
            let found = &answer["index"][*name];
            let lacking: Vec<&str> =
                privileges.iter().copied().filter(|privilege| lacks(found, privilege)).collect();
            if !lacking.is_empty() {
                missing.push(format!("{} on {name}", lacking.join(", ")));
            }
        }
        Ok(missing)
    }

    /// Makes an API key with these role descriptors.
    pub async fn create_api_key(&self, name: &str, roles: &Value) -> Result<ApiKey, EsError> {
        let body = json!({"name": name, "role_descriptors": roles, "metadata": {"created_by": "connectors"}});
        let answer = self.send(EsRequest::new(Method::POST, "/_security/api_key").json(&body)).await?;
        let key: Value = answer.json()?;
        match (key["id"].as_str(), key["encoded"].as_str()) {
            (Some(id), Some(encoded)) => Ok(ApiKey { id: id.to_owned(), encoded: encoded.into() }),
            // Elasticsearch's answer has both; a server that only resembles it may not.
            _ => Err(answer.invalid("the answer has no key")),
        }
    }

    /// Makes an API key useless.
    pub async fn invalidate_api_key(&self, id: &str) -> Result<(), EsError> {
        let body = json!({"ids": [id]});
        self.request(Method::DELETE, "/_security/api_key", &[], Some(&body)).await.map(drop)
    }

    /// Keeps a secret where the service of native connectors looks for it; the answer is its id.
    pub async fn store_connector_secret(&self, secret: &SecretString) -> Result<String, EsError> {
        let body = json!({"value": secret.expose_secret()});
        let answer = self.send(EsRequest::new(Method::POST, "/_connector/_secret").json(&body)).await?;
        let stored: Value = answer.json()?;
        let id = stored["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| answer.invalid("the answer has no id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_that_is_not_there_is_told_from_one_that_refuses() {
        let error = |status, body: &[u8]| EsError::status(status, body, &[]);
        let none = br#"{"error": "no handler found for uri [/_security/api_key] and method [POST]"}"#;
        assert!(error(400, none).is_unknown_api());
        assert!(
            !error(400, br#"{"error": {"type": "x", "reason": "name must not be null"}}"#).is_unknown_api()
        );
        assert!(!error(403, none).is_unknown_api());
    }

    #[test]
    fn debug_shows_no_key() {
        let key = ApiKey { id: "one".into(), encoded: "hunter2".into() };
        assert!(!format!("{key:?}").contains("hunter2"));
    }
}
