//! Addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Malformed, fixed};

/// `inet` and `cidr` as the server writes them: the length of the prefix is left out for a single host of type `inet`.
pub(super) fn address(bytes: &[u8]) -> Result<String, Malformed> {
    let [_, prefix, is_network, _, address @ ..] = bytes else { return Err(Malformed) };
    let (text, longest) = match address.len() {
        4 => (Ipv4Addr::from(fixed::<4>(address)?).to_string(), 32),
        16 => (Ipv6Addr::from(fixed::<16>(address)?).to_string(), 128),
        _ => return Err(Malformed),
    };
    Ok(if *is_network == 0 && *prefix == longest { text } else { format!("{text}/{prefix}") })
}

/// `macaddr` and `macaddr8`.
pub(super) fn hardware_address(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}
