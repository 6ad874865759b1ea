pub mod index;
mod scores;
mod semantics;
