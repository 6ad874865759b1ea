//! Checks of what a request does against what its sender may do.

use std::collections::HashSet;

use axum::http::StatusCode;

use super::privileges::{cluster_granting, index_granting};
use super::{ApiKey, Role};
use crate::cluster::{Action, BulkOp, Cluster, IndicesOptions};
use crate::error::{ApiError, Result};
use crate::http::Identity;
use crate::store::Condition;

/// Everything without everything: the expression of no index.
pub const NOTHING: &str = "*,-*";
/// The action of writing a document by itself.
const INDEX: &str = "indices:data/write/index";

/// The key of an identity that is limited to a role.
fn limited(identity: &Identity) -> Option<(&ApiKey, &Role)> {
    match identity {
        Identity::Key(key) => key.role.as_ref().map(|role| (key.as_ref(), role)),
        Identity::Anonymous | Identity::User(_) | Identity::ApiKey(_) => None,
    }
}

/// 403 as Elasticsearch words it; `what` is ` on indices [..]` or nothing.
fn refused(key: &ApiKey, action: &str, what: &str, scope: &str, granting: &str) -> ApiError {
    let by = if granting.is_empty() {
        String::new()
    } else {
        format!(", this action is granted by the {scope} privileges [{granting}]")
    };
    let reason = format!(
        "action [{action}] is unauthorized for API key id [{}] of user [{}]{what}{by}",
        key.id,
        key.owner().username
    );
    ApiError::new(StatusCode::FORBIDDEN, "security_exception", reason)
}

fn refused_on(key: &ApiKey, action: &str, names: &[&str]) -> ApiError {
    let what = if names.is_empty() { String::new() } else { format!(" on indices [{}]", names.join(",")) };
    // Shards' parts of an action are granted with it.
    let whole = action.split_once('[').map_or(action, |(whole, _)| whole);
    refused(key, action, &what, "index", &index_granting(whole))
}

/// 403 for a cluster action, whatever the role says: for rules that depend on more than the action.
pub fn unauthorized(identity: &Identity, action: &str) -> ApiError {
    match identity {
        Identity::Key(key) => refused(key, action, "", "cluster", &cluster_granting(action)),
        _ => ApiError::new(
            StatusCode::FORBIDDEN,
            "security_exception",
            format!("action [{action}] is unauthorized"),
        ),
    }
}

/// Checks a cluster action.
///
/// # Errors
/// 403 `security_exception`.
pub fn check_action(identity: &Identity, action: &str) -> Result<()> {
    match limited(identity) {
        Some((_, role)) if !role.allows(action) => Err(unauthorized(identity, action)),
        _ => Ok(()),
    }
}

/// Checks an index action on one index or alias, named by itself.
///
/// # Errors
/// 403 `security_exception`.
pub fn check_index(identity: &Identity, action: &str, name: &str) -> Result<()> {
    let whole = action.split_once('[').map_or(action, |(whole, _)| whole);
    match limited(identity) {
        Some((key, role)) if !role.allows_on(name, whole) => Err(refused_on(key, action, &[name])),
        _ => Ok(()),
    }
}

/// Checks an index action that has no index yet: it must be granted somewhere.
///
/// # Errors
/// 403 `security_exception`.
pub fn check_anywhere(identity: &Identity, action: &str) -> Result<()> {
    match limited(identity) {
        Some((key, role)) if !role.allows_anywhere(action) => Err(refused_on(key, action, &[])),
        _ => Ok(()),
    }
}

/// Checks an index action on every index and alias that the names stand for, patterns included: for changes that must
/// not happen by half.
///
/// # Errors
/// 403 `security_exception`.
pub fn check_names(cluster: &Cluster, identity: &Identity, action: &str, names: &[String]) -> Result<()> {
    let Some((key, role)) = limited(identity) else { return Ok(()) };
    let all = IndicesOptions { expand_hidden: true, ..IndicesOptions::default() };
    let (mut checked, mut denied) = (HashSet::new(), Vec::new());
    for name in names.iter().flat_map(|names| names.split(',')) {
        // What `-` takes away is checked all the same: whoever acts on the names may read it in another way.
        if name.starts_with('-') || !checked.insert(name) {
            continue;
        }
        if name == "_all" || name.contains('*') {
            let pattern = if name == "_all" { "*" } else { name };
            let matching = cluster.names_like(pattern, all);
            denied.extend(matching.into_iter().filter(|name| !role.allows_on(name, action)));
        } else if !role.allows_on(name, action) {
            denied.push(name.to_owned());
        }
    }
    if denied.is_empty() {
        return Ok(());
    }
    Err(refused_on(key, action, &denied.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// The part of an index expression a sender may use an action on. Patterns shrink to what is allowed, and may become
/// empty; names that are not allowed are refused, or left out with `ignore_unavailable`. `None` is all indices.
///
/// # Errors
/// 403 `security_exception`.
pub fn narrow(
    cluster: &Cluster,
    identity: &Identity,
    action: &str,
    expression: Option<&str>,
    options: IndicesOptions,
) -> Result<Option<String>> {
    let Some((key, role)) = limited(identity) else { return Ok(expression.map(str::to_owned)) };
    let text = expression.unwrap_or_default();
    let parts: Vec<&str> = text.split(',').filter(|part| !part.is_empty()).collect();
    let parts = if parts.is_empty() { vec!["*"] } else { parts };
    if !role.allows_anywhere(action) {
        let named: Vec<&str> =
            parts.iter().copied().filter(|part| !is_pattern(part) && !part.starts_with('-')).collect();
        return Err(refused_on(key, action, &named));
    }
    let (mut kept, mut denied) = (Vec::new(), Vec::new());
    // Names since the last exclusion: one that is there already adds nothing.
    let mut there = HashSet::new();
    for part in last_of_each(parts) {
        if part.starts_with('-') {
            there.clear();
            kept.push(part.to_owned());
        } else if is_pattern(part) {
            let pattern = if part == "_all" { "*" } else { part };
            for name in cluster.names_like(pattern, options) {
                if role.allows_on(&name, action) && there.insert(name.clone()) {
                    kept.push(name);
                }
            }
        } else if role.allows_on(part, action) {
            if there.insert(part.to_owned()) {
                kept.push(part.to_owned());
            }
        } else if !options.ignore_unavailable {
            denied.push(part);
        }
    }
    if !denied.is_empty() {
        return Err(refused_on(key, action, &denied));
    }
    let any = kept.iter().any(|part| !part.starts_with('-'));
    Ok(Some(if any { kept.join(",") } else { NOTHING.to_owned() }))
}

fn is_pattern(part: &str) -> bool {
    part == "_all" || part.contains('*')
}

/// Without patterns and exclusions that come again later: only the last says whether an index is in, so that repeating one
/// costs no more than writing it once.
fn last_of_each(parts: Vec<&str>) -> Vec<&str> {
    let mut later = HashSet::new();
    let mut last: Vec<&str> = parts
        .into_iter()
        .rev()
        .filter(|part| !(is_pattern(part) || part.starts_with('-')) || later.insert(*part))
        .collect();
    last.reverse();
    last
}

/// Checks one operation of a bulk request, or a write of a single document (`bulk` false).
///
/// # Errors
/// 403 `security_exception`.
pub fn check_write(cluster: &Cluster, identity: &Identity, op: &BulkOp, bulk: bool) -> Result<()> {
    if limited(identity).is_none() {
        return Ok(());
    }
    let (single, exact) = match &op.action {
        Action::Create(_) | Action::Index(_) => (INDEX, exact(creates(op))),
        Action::Update(_) => ("indices:data/write/update", "indices:data/write/update"),
        Action::Delete => ("indices:data/write/delete", "indices:data/write/delete"),
    };
    let first = if bulk { "indices:data/write/bulk[s]" } else { single };
    check_index(identity, first, &op.index)?;
    check_index(identity, exact, &op.index)?;
    let exists = cluster.existing_write_target(&op.index, false).is_ok_and(|target| target.is_some());
    // A delete creates no index, unless it brings its own version.
    let makes = !matches!(op.action, Action::Delete) || matches!(op.condition, Condition::External { .. });
    if !exists && makes {
        check_index(identity, "indices:admin/auto_create", &op.index)?;
    }
    Ok(())
}

/// Whether the write of a document replaces none: with a condition of its own it could. A document without id is new, as
/// long as no pipeline gives it one; [`may_replace`] is for that.
fn creates(op: &BulkOp) -> bool {
    op.condition == Condition::Any && (matches!(op.action, Action::Create(_)) || op.id.is_none())
}

fn exact(creates: bool) -> &'static str {
    if creates { "indices:data/write/index:op_type/create" } else { "indices:data/write/index:op_type/index" }
}

/// Whether a sender may write a document over another one.
pub fn may_replace(identity: &Identity, name: &str) -> bool {
    check_index(identity, exact(false), name).is_ok()
}

/// Checks that a pipeline may send a document to another index than its writer named; `creates`: it replaces none there.
///
/// # Errors
/// 403 `security_exception`.
pub fn check_redirect(cluster: &Cluster, identity: &Identity, name: &str, creates: bool) -> Result<()> {
    if limited(identity).is_none() {
        return Ok(());
    }
    check_index(identity, INDEX, name)?;
    check_index(identity, exact(creates), name)?;
    match cluster.existing_write_target(name, false)? {
        Some(_) => Ok(()),
        None => check_index(identity, "indices:admin/auto_create", name),
    }
}

/// Checks that a limited key opened the scroll or point in time it goes on with.
///
/// # Errors
/// 403 `security_exception`.
pub fn check_context(identity: &Identity, action: &str, search: &str) -> Result<()> {
    match limited(identity) {
        Some((key, role)) if !role.allows_anywhere(action) || !key.has_opened(search) => {
            Err(refused_on(key, action, &[]))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::last_of_each;

    #[test]
    fn only_the_last_of_equal_patterns_is_looked_at() {
        assert_eq!(last_of_each(vec!["*", "-a", "*", "b", "-a", "b"]), ["*", "b", "-a", "b"]);
        assert_eq!(last_of_each(vec!["*"; 1_000_000]), ["*"]);
    }
}
