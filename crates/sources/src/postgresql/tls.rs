//! TLS: whose certificates are accepted.

use connectors_sdk::SourceError;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// A connector that trusts these certificate authorities, or those of the operating system, and checks the host's name.
pub(super) fn connector(ca: Option<&str>) -> Result<MakeRustlsConnect, SourceError> {
    connectors_transport::install_crypto_provider();
    let config = match ca.map(str::trim).filter(|pem| !pem.is_empty()) {
        Some(pem) => ClientConfig::builder().with_root_certificates(roots(pem)?).with_no_client_auth(),
        None => ClientConfig::with_platform_verifier().map_err(|error| {
            SourceError::configuration("ssl_ca", "is empty, and the system's certificates cannot be used")
                .with_source(error)
                .with_hint("Set `ssl_ca` to the certificate authority of the server.")
        })?,
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(pem: &str) -> Result<RootCertStore, SourceError> {
    let wrong = |problem: String| {
        SourceError::configuration("ssl_ca", problem).with_hint(
            "Paste the whole PEM text of the certificate authority, from BEGIN CERTIFICATE to END CERTIFICATE.",
        )
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(reflowed(pem).as_bytes()) {
        let certificate = certificate.map_err(|error| wrong(format!("is no valid PEM: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(format!("cannot be used: {error}")))?;
    }
    if roots.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(roots) }
}

/// Certificates whose line breaks became spaces, as a form of one line makes them, with each part on a line of its own.
fn reflowed(pem: &str) -> String {
    let mut text = String::with_capacity(pem.len() + 64);
    for block in pem.split(BEGIN).skip(1) {
        let body = block.split(END).next().unwrap_or_default();
        // A form may also have written the line breaks out.
        let body = body.replace("\\n", "\n");
        text.push_str(BEGIN);
        text.push('\n');
        for line in body.split_whitespace() {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(END);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_on_one_line_are_reflowed() {
        let expected = format!("{BEGIN}\nAAAA\nBBBB\n{END}\n");
        for text in [
            format!("{BEGIN}\nAAAA\nBBBB\n{END}\n"),
            format!("{BEGIN} AAAA BBBB {END}"),
            format!("{BEGIN}\\nAAAA\\nBBBB\\n{END}"),
            format!("# a comment\n{BEGIN}\r\nAAAA\r\nBBBB\r\n{END}\r\n"),
        ] {
            assert_eq!(reflowed(&text), expected, "{text}");
        }
        assert_eq!(reflowed(&expected.repeat(2)), expected.repeat(2));
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_advice() {
        for pem in ["hello".to_owned(), format!("{BEGIN} !!! {END}"), format!("{BEGIN} AAAA {END}")] {
            let error = connector(Some(&pem)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("`ssl_ca`") && error.contains("BEGIN CERTIFICATE"), "{error}");
        }
        connector(None).unwrap();
    }
}
