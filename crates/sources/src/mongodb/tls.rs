//! TLS settings of the `mongodb` source.

/// How the connection is encrypted.
pub(super) struct Tls {
    /// Certificates of the authorities, as PEM; none: the public ones.
    pub ca: Option<String>,
    /// Any certificate will do.
    pub insecure: bool,
}
