//! Certificates for servers that encrypt their connections.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// An authority, and what it gave a server. All as PEM.
pub(crate) struct Certificates {
    pub authority: String,
    pub server: String,
    pub key: String,
}

impl Certificates {
    /// A new authority, and a certificate for `localhost`.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap().pem();
        Self { authority, server, key: key.serialize_pem() }
    }
}
