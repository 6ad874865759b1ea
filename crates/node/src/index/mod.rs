//! One Elasticsearch index: its tantivy index, its rows in the store, its published view.

pub mod schema;
pub mod view;

pub use view::{DocumentReader, IndexView, StoredDocument};
