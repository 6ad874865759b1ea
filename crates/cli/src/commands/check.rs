//! `connectors check`.

use std::process::ExitCode;

use anyhow::Result;
use connectors_es_client::protocol_index::Stored;
use connectors_protocol::connector::ConnectorDocument;
use connectors_service::Service;
use connectors_service::check::{Finding, Verdict};
use serde_json::{Value, json};

use crate::connectors_args::{CheckArgs, Output};

/// Looks at the cluster and at one connector or all. The exit code is 0 only if nothing failed.
pub async fn run(service: &Service, args: &CheckArgs) -> Result<ExitCode> {
    let mut cluster = service.check_cluster().await;
    // Of a cluster that does not answer or does not let us in, nothing further can be asked.
    let reached = cluster.iter().all(|finding| {
        finding.result != Verdict::Failed || !matches!(finding.check, "cluster" | "credentials")
    });
    let mut checked = Vec::new();
    if reached {
        match service.connectors_to_check(args.connector_id.as_deref()).await {
            Ok(connectors) => {
                for connector in connectors {
                    let findings = service.check_connector(&connector).await;
                    checked.push((connector, findings));
                }
            }
            Err(finding) => cluster.push(finding),
        }
    }
    let all = cluster.iter().chain(checked.iter().flat_map(|(_, findings)| findings));
    let failed = all.filter(|finding| finding.result == Verdict::Failed).count();
    if args.output == Output::Json {
        let connectors: Vec<Value> = checked
            .iter()
            .map(|(connector, findings)| {
                json!({"id": connector.id, "name": connector.document.name, "findings": findings})
            })
            .collect();
        crate::print_json(&json!({"ok": failed == 0, "cluster": cluster, "connectors": connectors}))?;
    } else {
        print(&cluster, &checked, failed)?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(
    cluster: &[Finding],
    checked: &[(Stored<ConnectorDocument>, Vec<Finding>)],
    failed: usize,
) -> Result<()> {
    crate::print_line("cluster")?;
    print_findings(cluster)?;
    for (connector, findings) in checked {
        let name = connector.document.name.as_deref().unwrap_or("no name");
        crate::print_line(&format!("\nconnector {} ({name})", connector.id))?;
        print_findings(findings)?;
    }
    if failed == 0 && checked.is_empty() {
        crate::print_line("\nno connectors yet; `connectors connector create` makes one")?;
    }
    crate::print_line("")?;
    match failed {
        0 => crate::print_line("nothing failed"),
        1 => crate::print_line("1 check failed"),
        _ => crate::print_line(&format!("{failed} checks failed")),
    }
}

fn print_findings(findings: &[Finding]) -> Result<()> {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    for finding in findings {
        let result = match finding.result {
            Verdict::Ok => "ok",
            Verdict::Warning => "WARNING",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "-",
        };
        crate::print_line(&format!("  {result:<7}  {:<width$}  {}", finding.check, finding.message))?;
        if let Some(fix) = &finding.fix {
            crate::print_line(&format!("  {:<7}  {:<width$}  → {fix}", "", ""))?;
        }
    }
    Ok(())
}
