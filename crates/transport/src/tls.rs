//! TLS: one crypto provider for the process, and what a client trusts.

use std::path::{Path, PathBuf};
use std::sync::Once;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::error::{ErrorKind, TransportError};

/// Makes *ring* the process-wide rustls provider. Idempotent; every [`HttpClient`](crate::HttpClient) does it, and a
/// TLS server of ours has to do it too.
///
/// rustls panics when two providers are compiled in and none was chosen, so the choice is made explicitly, once.
pub fn install_crypto_provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that the program embedding us chose a provider before: theirs is as good as ours.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("a rustls crypto provider was installed by the program");
        }
    });
}

/// Whose certificates an HTTP client accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// The certificate authorities of the operating system.
    #[default]
    System,
    /// Only the certificate authorities (or self-signed certificates) of this PEM file, as `ca_certs` means.
    CaFile(PathBuf),
    /// Only these PEM-encoded certificates.
    CaPem(String),
    /// Any certificate, for `verify_certs: false`: encrypted, but the remote may be anyone.
    Anything,
    /// Nobody: for remotes reached over plain HTTP. Skips loading the system's certificates, which takes
    /// milliseconds at start and fails in containers that have none.
    Nobody,
}

impl Trust {
    /// Applies the choice to a client builder.
    pub(crate) fn apply(
        &self,
        builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, TransportError> {
        match self {
            Self::System => Ok(builder),
            Self::Nobody => Ok(builder.tls_certs_only([])),
            Self::Anything => {
                tracing::warn!(
                    "certificate verification is off: anyone between here and the server can read and change the traffic"
                );
                Ok(builder.tls_danger_accept_invalid_certs(true))
            }
            Self::CaFile(path) => {
                let pem = std::fs::read(path).map_err(|error| {
                    invalid(format!("cannot read the CA file {}: {error}", path.display()))
                })?;
                Ok(builder.tls_certs_only(certificates(&pem, Some(path))?))
            }
            Self::CaPem(pem) => Ok(builder.tls_certs_only(certificates(pem.as_bytes(), None)?)),
        }
    }
}

fn certificates(pem: &[u8], path: Option<&Path>) -> Result<Vec<reqwest::Certificate>, TransportError> {
    let place = path.map_or_else(|| "the CA certificates".to_owned(), |path| path.display().to_string());
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let der = certificate.map_err(|error| invalid(format!("{place} is not valid PEM: {error}")))?;
        // rustls only looks into a root when it is used, or drops it in silence: say it now.
        rustls::RootCertStore::empty()
            .add(der.clone())
            .map_err(|error| invalid(format!("{place} holds a certificate that cannot be used: {error}")))?;
        found.push(
            reqwest::Certificate::from_der(&der).map_err(|error| {
                invalid(format!("{place} holds a certificate that cannot be used: {error}"))
            })?,
        );
    }
    if found.is_empty() {
        return Err(invalid(format!("{place} holds no PEM certificate")));
    }
    Ok(found)
}

fn invalid(detail: String) -> TransportError {
    TransportError::new(ErrorKind::InvalidOptions, None, detail)
}
