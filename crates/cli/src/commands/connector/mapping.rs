//! `connectors connector mapping`.

use anyhow::{Context, Result, bail};
use connectors_protocol::index_mapping::{IndexMapping, InvalidMapping};
use connectors_service::Service;
use serde_json::{Value, json};

use crate::commands::table;
use crate::connectors_args::{MappingArgs, Output};

/// Changes the types that fields get in a connector's index, or shows them.
pub async fn run(service: &Service, args: &MappingArgs) -> Result<()> {
    let file = match &args.file {
        Some(file) => {
            let name = file.display();
            let text = std::fs::read_to_string(file).with_context(|| format!("{name}: cannot be read"))?;
            let value: Value = serde_json::from_str(&text).with_context(|| format!("{name}: not JSON"))?;
            Some(value)
        }
        None => None,
    };
    let changes = !args.map.is_empty() || !args.unset.is_empty() || file.is_some();
    let connector = if changes {
        let present = service.connector(&args.connector_id).await?.document.index_mapping.unwrap_or_default();
        for field in &args.unset {
            if !present.clone().remove(field) {
                bail!(
                    "--unset {field}: no type is set for it; `connectors connector mapping {}` prints those that are",
                    args.connector_id
                );
            }
        }
        service.change_mapping(&args.connector_id, |mapping| change(mapping, args, file.as_ref())).await?
    } else {
        service.connector(&args.connector_id).await?
    };
    let mapping = connector.document.index_mapping.clone().unwrap_or_default();
    if args.output == Output::Json {
        return crate::print_json(&json!({"id": connector.id, "index_mapping": mapping}));
    }
    if mapping.is_empty() {
        crate::print_line("no types are set; --map FIELD=TYPE sets one")?;
    } else {
        print(&mapping)?;
    }
    if changes && service.index_is_there(&connector.document).await? {
        crate::print_line(&format!(
            "\nThe index is there and keeps the types it has. Next: connectors job start -i {} --rebuild --watch",
            connector.id
        ))?;
    }
    Ok(())
}

fn change(
    mapping: &mut IndexMapping,
    args: &MappingArgs,
    file: Option<&Value>,
) -> Result<(), InvalidMapping> {
    if let Some(file) = file {
        *mapping = IndexMapping::default();
        mapping.read(file)?;
    }
    // Taken away first, so that another kind of type can be given in the same command.
    for field in &args.unset {
        mapping.remove(field);
    }
    mapping.set_all(&args.map)
}

/// Prints fields and their types.
pub(super) fn print(mapping: &IndexMapping) -> Result<()> {
    let rows: Vec<Vec<String>> =
        mapping.fields().into_iter().map(|(field, kind)| vec![field, kind]).collect();
    table(&["FIELD", "TYPE"], &rows)
}
