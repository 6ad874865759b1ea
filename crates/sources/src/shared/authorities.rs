//! The configuration field `ssl_ca`: certificates of the authorities that a server's certificate may come from.

use connectors_sdk::SourceError;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const KEY: &str = "ssl_ca";

/// Certificates of authorities: as PEM of the usual shape for drivers that read it, and as rustls keeps them.
#[derive(Debug)]
pub(crate) struct Authorities {
    /// PEM.
    pub pem: String,
    /// The same, read.
    pub roots: RootCertStore,
}

/// Understands certificates in PEM, also such that went through a form of one line: without its line ends, or with `\n` spelt
/// out. None for an empty text. Drivers pass over certificates that they cannot read, so each is read here.
pub(crate) fn authorities(text: &str) -> Result<Option<Authorities>, SourceError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let pem = reflow(text)
        .ok_or_else(|| SourceError::configuration(KEY, "has no certificate").with_hint(
            "Paste the certificate of the authority with its lines -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----.",
        ))?;
    let mut roots = RootCertStore::empty();
    let unreadable = |error: &dyn std::fmt::Display| {
        SourceError::configuration(KEY, format_args!("has a certificate that cannot be read: {error}"))
            .with_hint("Paste the certificate of the authority again, as a whole.")
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    Ok(Some(Authorities { pem, roots }))
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
    const CERTIFICATE: &str = include_str!("authorities/ca.pem");

    #[test]
    fn certificates_are_read_in_any_number_of_lines() {
        let pem = |text: &str| authorities(text).unwrap().unwrap().pem;
        let whole = pem(CERTIFICATE);
        let count = |pem: &str| CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().count();
        assert_eq!(count(&whole), 1);
        for damaged in [
            CERTIFICATE.replace('\n', " "),
            CERTIFICATE.replace('\n', ""),
            CERTIFICATE.replace('\n', "\\n"),
            CERTIFICATE.replace('\n', "\r\n"),
            format!("subject=test\n{CERTIFICATE}trailing words"),
        ] {
            assert_eq!(pem(&damaged), whole, "{damaged}");
        }
        assert_eq!(count(&pem(&format!("{CERTIFICATE}{CERTIFICATE}"))), 2);
        assert_eq!(authorities(CERTIFICATE).unwrap().unwrap().roots.len(), 1);
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
