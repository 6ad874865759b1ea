//! Index templates and component templates: reading, checking and printing them, and what they give a new index.
//!
//! Nothing here touches a disk. [`Templates`] is a value that answers questions and checks changes; where definitions are
//! kept is the affair of a [`TemplateStore`].

mod body;
mod check;
mod component_template;
mod index_template;
mod merge;
mod pattern;
mod read;
mod set;
mod simulate;

use serde_json::Value;

pub use body::{Settings, Template};
pub use component_template::ComponentTemplate;
pub use index_template::IndexTemplate;
pub use merge::merge_mappings;
pub use set::{Composed, Templates, missing};

use crate::error::Result;

/// Section of a [`TemplateStore`] with index templates.
pub const INDEX_TEMPLATES: &str = "index_template";
/// Section of a [`TemplateStore`] with component templates.
pub const COMPONENT_TEMPLATES: &str = "component_template";

/// Keeps definitions as JSON, by section and name.
pub trait TemplateStore {
    /// All definitions of a section.
    ///
    /// # Errors
    /// 500 when they cannot be read.
    fn list(&self, section: &str) -> Result<Vec<(String, Value)>>;

    /// Writes a definition; durable when it returns.
    ///
    /// # Errors
    /// 500 when it cannot be written.
    fn put(&self, section: &str, name: &str, definition: &Value) -> Result<()>;

    /// Removes definitions, all or none.
    ///
    /// # Errors
    /// 500 when they cannot be removed.
    fn delete(&self, section: &str, names: &[String]) -> Result<()>;
}

#[cfg(test)]
mod tests;
