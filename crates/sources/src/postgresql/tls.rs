//! TLS: whose certificates are accepted.

use connectors_sdk::SourceError;
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::shared::authorities::authorities;

/// A connector that trusts these certificate authorities, or those of the operating system, and checks the host's name.
pub(super) fn connector(ca: Option<&str>) -> Result<MakeRustlsConnect, SourceError> {
    connectors_transport::install_crypto_provider();
    let config = match authorities(ca.unwrap_or_default())? {
        Some(given) => ClientConfig::builder().with_root_certificates(given.roots).with_no_client_auth(),
        None => ClientConfig::with_platform_verifier().map_err(|error| {
            SourceError::configuration("ssl_ca", "is empty, and the system's certificates cannot be used")
                .with_source(error)
                .with_hint("Set `ssl_ca` to the certificate authority of the server.")
        })?,
    };
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_with_advice() {
        let error = connector(Some("hello")).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("`ssl_ca`") && error.contains("BEGIN CERTIFICATE"), "{error}");
        connector(None).unwrap();
    }
}
