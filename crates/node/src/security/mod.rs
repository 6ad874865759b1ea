//! Who may do what: API keys, their roles, and the checks of requests.
//!
//! The users a node is started with may do everything. A key may do what its role descriptors say, and without any what its
//! owner may. Where a request names indices by a pattern, a key sees those it may see; where it names one it may not use,
//! the request is refused.

mod check;
mod keys;
pub mod privileges;
mod role;

pub use check::{
    NOTHING, check_action, check_anywhere, check_context, check_index, check_names, check_redirect,
    check_write, may_replace, narrow, unauthorized,
};
pub use keys::{ANONYMOUS_REALM, ApiKey, Keys, MadeKey, NewKey, Owner};
pub use role::{Role, texts};
