//! What families of sources share. Nothing in here knows a source.

#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgresql"))]
pub(crate) mod authorities;
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgresql"))]
pub(crate) mod batch;
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgresql"))]
pub(crate) mod digits;
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgresql"))]
pub(crate) mod field_name;
#[cfg(any(feature = "mysql", feature = "postgresql"))]
pub(crate) mod sql;
