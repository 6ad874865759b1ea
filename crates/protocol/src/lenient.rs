//! Reading documents other writers left: null means "not set".

use serde::{Deserialize, Deserializer};

/// Reads null as the type's default, for fields the other writers of the protocol set to null.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
