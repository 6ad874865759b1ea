//! A mapping made ready for reading documents: every field with its analyzer, date format and slot.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::params;
use super::tree::{FieldNode, Node, ObjectNode, Tree, bad_mapping};
use super::types::{Dynamic, FieldMapping, FieldTable, FieldType};
use crate::analysis::{Analyzer, Analyzers};
use crate::dates::{DEFAULT_FORMAT, DateFormat};
use crate::error::{ApiError, Result};
use crate::index::schema::{IGNORED, TEXT_SLOTS};

/// An object of the document.
#[derive(Debug)]
pub struct ObjectPlan {
    /// Full path, empty for the root.
    pub path: Arc<str>,
    /// What happens to members the mapping does not have.
    pub dynamic: Dynamic,
    /// False: the members stay in `_source` only.
    pub enabled: bool,
    /// Members.
    pub children: HashMap<Box<str>, Plan>,
}

/// A member of an object.
#[derive(Debug)]
pub enum Plan {
    /// An object.
    Object(ObjectPlan),
    /// A field.
    Leaf(Arc<Leaf>),
    /// Another name for a field, which cannot be written to.
    Alias,
}

/// A field with its multi-fields.
#[derive(Debug)]
pub struct Leaf {
    /// The objects around it, by number of their name.
    pub parents: Arc<[u32]>,
    /// The field itself first.
    pub targets: Vec<Target>,
}

/// One searchable field.
#[derive(Debug)]
pub struct Target {
    /// Number of its path among [`Compiled::names`].
    pub name: u32,
    /// Full path.
    pub path: Arc<str>,
    /// What the mapping says.
    pub mapping: Arc<FieldMapping>,
    /// Analyzer of text, when tantivy's tokenizer does not do the same.
    pub analyzer: Option<Arc<Analyzer>>,
    /// Format of dates.
    pub format: Option<Arc<DateFormat>>,
}

/// A compiled mapping.
#[derive(Debug)]
pub struct Compiled {
    /// For documents.
    pub root: ObjectPlan,
    /// For queries.
    pub table: FieldTable,
    /// Leaves by path, for `copy_to`.
    pub leaves: HashMap<Box<str>, Arc<Leaf>>,
    /// Text slots by path.
    pub slots: BTreeMap<String, usize>,
    /// Paths of fields and objects, in the order of their numbers; [`IGNORED_NAME`] first.
    pub names: Arc<[Arc<str>]>,
}

/// Number of the name `_ignored`.
pub const IGNORED_NAME: u32 = 0;

struct Compiler<'a> {
    analyzers: &'a Analyzers,
    table: FieldTable,
    leaves: HashMap<Box<str>, Arc<Leaf>>,
    slots: BTreeMap<String, usize>,
    names: Vec<Arc<str>>,
}

/// Compiles a mapping. Fields of `slots` keep their slot, because documents are in it already.
///
/// # Errors
/// 400 for an analyzer that does not exist.
pub fn compile(tree: &Tree, slots: &BTreeMap<String, usize>, analyzers: &Analyzers) -> Result<Compiled> {
    let mut compiler = Compiler {
        analyzers,
        table: FieldTable::default(),
        leaves: HashMap::new(),
        slots: slots.clone(),
        names: vec![IGNORED.into()],
    };
    let root = compiler.object("", &tree.root, Dynamic::True, &Arc::from([]))?;
    Ok(Compiled {
        root,
        table: compiler.table,
        leaves: compiler.leaves,
        slots: compiler.slots,
        names: compiler.names.into(),
    })
}

impl Compiler<'_> {
    fn object(
        &mut self,
        path: &str,
        node: &ObjectNode,
        inherited: Dynamic,
        parents: &Arc<[u32]>,
    ) -> Result<ObjectPlan> {
        let dynamic = node.dynamic.unwrap_or(inherited);
        let mut children = HashMap::new();
        for (name, child) in &node.children {
            let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let plan = match child {
                Node::Object(object) => {
                    self.table.objects.insert(full.clone());
                    let own = self.name(&full);
                    let around: Arc<[u32]> = parents.iter().copied().chain([own]).collect();
                    Plan::Object(self.object(&full, object, dynamic, &around)?)
                }
                Node::Field(field) => self.leaf(&full, field, parents)?,
            };
            children.insert(name.as_str().into(), plan);
        }
        Ok(ObjectPlan { path: path.into(), dynamic, enabled: node.enabled.unwrap_or(true), children })
    }

    fn leaf(&mut self, path: &str, field: &FieldNode, parents: &Arc<[u32]>) -> Result<Plan> {
        let main = self.target(path, path, field)?;
        if matches!(main.mapping.kind, FieldType::Alias { .. }) {
            return Ok(Plan::Alias);
        }
        let mut targets = vec![main];
        for (name, field) in &field.multi {
            targets.push(self.target(&format!("{path}.{name}"), path, field)?);
        }
        let leaf = Arc::new(Leaf { parents: parents.clone(), targets });
        self.leaves.insert(path.into(), leaf.clone());
        Ok(Plan::Leaf(leaf))
    }

    fn target(&mut self, path: &str, source_path: &str, field: &FieldNode) -> Result<Target> {
        let mut mapping = field_mapping(path, source_path, field)?;
        let mut analyzer = None;
        if mapping.kind == FieldType::Text {
            if !field.params.contains_key("analyzer") {
                let default = self.analyzers.default_analyzer();
                default.name().clone_into(&mut mapping.analyzer);
            }
            if !field.params.contains_key("search_analyzer") {
                let name = match self.analyzers.get("default_search") {
                    Some(_) if !field.params.contains_key("analyzer") => "default_search",
                    _ => mapping.analyzer.as_str(),
                }
                .to_owned();
                mapping.search_analyzer = name;
            }
            let found = self.analyzer(&mapping.analyzer)?;
            self.analyzer(&mapping.search_analyzer)?;
            if !found.is_standard() {
                analyzer = Some(found);
            }
            if mapping.indexed {
                mapping.slot = self.slot(path);
                // The overflow field's tokenizer reads tokens that were made before.
                if mapping.slot.is_none() && analyzer.is_none() {
                    analyzer = Some(self.analyzer(&mapping.analyzer)?);
                }
            }
        }
        let format = match &mapping.kind {
            FieldType::Date { format } => {
                Some(DateFormat::compile(format.as_deref().unwrap_or(DEFAULT_FORMAT))?)
            }
            _ => None,
        };
        let mapping = Arc::new(mapping);
        self.table.fields.insert(path.to_owned(), mapping.clone());
        let name = self.name(path);
        Ok(Target { name, path: path.into(), mapping, analyzer, format })
    }

    fn name(&mut self, path: &str) -> u32 {
        self.names.push(path.into());
        // A mapping of 2^32 fields does not fit into memory.
        u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
    }

    fn analyzer(&self, name: &str) -> Result<Arc<Analyzer>> {
        self.analyzers.get(name).ok_or_else(|| {
            let inner =
                ApiError::illegal_argument(format!("analyzer [{name}] has not been configured in mappings"));
            bad_mapping(format!("Failed to parse mapping: {}", inner.reason)).with("caused_by", inner.cause())
        })
    }

    fn slot(&mut self, path: &str) -> Option<usize> {
        if let Some(slot) = self.slots.get(path) {
            return Some(*slot);
        }
        // Fields are never removed from a mapping, so slots are given in order and once all are, they stay so.
        let next = self.slots.len();
        (next < TEXT_SLOTS).then(|| {
            self.slots.insert(path.to_owned(), next);
            next
        })
    }
}

fn field_mapping(path: &str, source_path: &str, field: &FieldNode) -> Result<FieldMapping> {
    let params = &field.params;
    let kind = params::kind(&field.type_name, params)
        .ok_or_else(|| bad_mapping(format!("unknown type [{}] of field [{path}]", field.type_name)))?;
    let flag = |name: &str, default: bool| params.get(name).and_then(Value::as_bool).unwrap_or(default);
    let name = |name: &str| params.get(name).and_then(Value::as_str).map(str::to_owned);
    let searchable = kind != FieldType::Binary;
    let text = kind == FieldType::Text;
    let analyzer = name("analyzer").unwrap_or_else(|| "standard".to_owned());
    Ok(FieldMapping {
        path: path.to_owned(),
        source_path: source_path.to_owned(),
        type_name: field.type_name.clone(),
        indexed: searchable && flag("index", true),
        doc_values: !text && flag("doc_values", searchable),
        ignore_above: params
            .get("ignore_above")
            .and_then(Value::as_u64)
            .map(|above| usize::try_from(above).unwrap_or(usize::MAX)),
        search_analyzer: name("search_analyzer").unwrap_or_else(|| analyzer.clone()),
        analyzer,
        null_value: params.get("null_value").cloned(),
        coerce: flag("coerce", true),
        ignore_malformed: flag("ignore_malformed", false),
        copy_to: names(params, "copy_to"),
        slot: None,
        kind,
    })
}

fn names(params: &Map<String, Value>, name: &str) -> Vec<String> {
    let items = params.get(name).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
