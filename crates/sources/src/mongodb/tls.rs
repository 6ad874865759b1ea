//! TLS settings of the `mongodb` source.

use connectors_sdk::SourceError;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const KEY: &str = "ssl_ca";

/// How the connection is encrypted.
pub(super) struct Tls {
    /// Certificates of the authorities, as PEM; none: the public ones.
    pub ca: Option<String>,
    /// Any certificate will do.
    pub insecure: bool,
}

/// Understands certificates in PEM, also such that went through a form of one line: without its line ends, or with `\n` spelt
/// out. None for an empty text. The driver passes over certificates that it cannot read, so each is read here.
pub(super) fn authorities(text: &str) -> Result<Option<String>, SourceError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let pem = reflow(text)
        .ok_or_else(|| SourceError::configuration(KEY, "has no certificate").with_hint(
            "Paste the certificate of the authority with its lines -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----.",
        ))?;
    let mut store = RootCertStore::empty();
    let unreadable = |error: &dyn std::fmt::Display| {
        SourceError::configuration(KEY, format_args!("has a certificate that cannot be read: {error}"))
            .with_hint("Paste the certificate of the authority again, as a whole.")
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        store.add(certificate).map_err(|error| unreadable(&error))?;
    }
    Ok(Some(pem))
}

/// The certificates with the line ends that PEM wants; none if there is no certificate.
fn reflow(text: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    const LINE: usize = 64;
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut pem = String::with_capacity(text.len() + text.len() / LINE + 2);
    for section in text.split(BEGIN).skip(1) {
        let (body, _) = section.split_once(END)?;
        let body: Vec<char> = body.chars().filter(|character| !character.is_whitespace()).collect();
        pem.push_str(BEGIN);
        for line in body.chunks(LINE) {
            pem.push('\n');
            pem.extend(line);
        }
        pem.push('\n');
        pem.push_str(END);
        pem.push('\n');
    }
    (!pem.is_empty()).then_some(pem)
}

#[cfg(test)]
mod tests {
    use connectors_sdk::ErrorKind;

    use super::*;

    /// A self-signed certificate made for this test.
    const CERTIFICATE: &str = include_str!("tests/ca.pem");

    #[test]
    fn certificates_are_read_in_any_number_of_lines() {
        let whole = authorities(CERTIFICATE).unwrap().unwrap();
        let count = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().count();
        assert_eq!(count(&whole), 1);
        for damaged in [
            CERTIFICATE.replace('\n', " "),
            CERTIFICATE.replace('\n', ""),
            CERTIFICATE.replace('\n', "\\n"),
            CERTIFICATE.replace('\n', "\r\n"),
            format!("subject=test\n{CERTIFICATE}trailing words"),
        ] {
            assert_eq!(authorities(&damaged).unwrap().unwrap(), whole, "{damaged}");
        }
        assert_eq!(count(&authorities(&format!("{CERTIFICATE}{CERTIFICATE}")).unwrap().unwrap()), 2);
        assert!(authorities(" \n").unwrap().is_none());
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let cut = &CERTIFICATE[..CERTIFICATE.len() / 2];
        let broken = CERTIFICATE.replacen("MII", "MIX", 1);
        for text in ["nonsense", cut, &broken, "-----BEGIN CERTIFICATE-----!-----END CERTIFICATE-----"] {
            let error = authorities(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("ssl_ca"), "{error}");
        }
    }
}
