use std::collections::HashSet;

use serde_json::json;

use super::*;

#[test]
fn rows_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let rows = store.rows("u").unwrap();
    let mut batch = store.batch();
    let mut row = live_row("id ü", Some("route"), b"{\"a\":1}");
    rows.put_live(&mut batch, 7, 3, &mut row);
    let at = IdRow { seq_no: 7, version: 3, deleted: false };
    rows.put_id(&mut batch, "id ü", at);
    rows.put_next_seq_no(&mut batch, 8);
    batch.commit().unwrap();
    let found = rows.get("id ü").unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.seq_no, found.version), ("id ü", 7, 3));
    assert_eq!(found.routing.as_deref(), Some("route"));
    assert_eq!(&found.source[..], b"{\"a\":1}");
    assert_eq!(rows.id("id ü").unwrap(), Some(at));
    assert_eq!(rows.next_seq_no().unwrap(), 8);
    assert!(rows.get("other").unwrap().is_none());
}

#[test]
fn a_document_is_found_while_a_large_commit_replaces_it() {
    const COMMITS: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let rows = store.rows("u").unwrap();
    let replace = |seq_no: u64| {
        let mut batch = store.db.batch();
        if seq_no > 0 {
            rows.remove_target(&mut batch, IdRow { seq_no: seq_no - 1, version: seq_no, deleted: false });
        }
        // Others of the same commit, which are applied between the two rows of this one.
        for other in 0..2_000 {
            let at = IdRow { seq_no: 1_000_000 + other, version: 1, deleted: false };
            rows.put_id(&mut batch, &format!("other {other}"), at);
        }
        let now = IdRow { seq_no, version: seq_no + 1, deleted: false };
        rows.put_live(&mut batch, seq_no, now.version, &mut live_row("a", None, b"{}"));
        rows.put_id(&mut batch, "a", now);
        batch.commit().unwrap();
    };
    replace(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..COMMITS).for_each(replace));
        let mut last = 0;
        while !writer.is_finished() {
            let found = rows.get("a").unwrap().unwrap();
            assert!(found.seq_no >= last, "{} after {last}", found.seq_no);
            last = found.seq_no;
        }
    });
    assert_eq!(rows.get("a").unwrap().unwrap().seq_no, COMMITS - 1);
}

#[test]
fn a_scan_finds_each_id_once_and_tombstones_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let rows = store.rows("u").unwrap();
    let mut batch = store.batch();
    for seq_no in 0..5 {
        rows.put_live(&mut batch, seq_no, 1, &mut live_row(&format!("d{seq_no}"), None, b"{}"));
    }
    rows.put_tombstone(&mut batch, &Tombstone { id: "gone".into(), seq_no: 5, deleted_ms: 1 });
    rows.put_next_seq_no(&mut batch, 6);
    batch.commit().unwrap();
    let snapshot = store.snapshot();
    let found: Vec<String> = rows
        .since(&snapshot, 3)
        .map(|row| match row.unwrap() {
            Row::Live(document) => document.id,
            Row::Tombstone(tombstone) => format!("-{}", tombstone.id),
        })
        .collect();
    assert_eq!(found, ["-gone", "d3", "d4"]);
    assert_eq!(rows.tombstones().unwrap().len(), 1);
    // A snapshot does not see what comes later.
    let mut batch = store.batch();
    rows.remove_target(&mut batch, IdRow { seq_no: 4, version: 1, deleted: false });
    batch.commit().unwrap();
    assert_eq!(rows.since(&snapshot, 3).count(), 3);
    assert_eq!(rows.since(&store.snapshot(), 3).count(), 2);
}

#[test]
fn metadata_is_kept_by_section_and_orphans_go() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = Store::open(folder.path()).unwrap();
        store.meta_write(&[("a", "x", Some(&json!(1))), ("ab", "y", Some(&json!({ "z": 2 })))]).unwrap();
        store.rows("kept").unwrap();
        store.rows("orphan").unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.meta_section("a").unwrap(), [("x".to_owned(), json!(1))]);
    assert_eq!(store.meta_get("ab", "y").unwrap(), Some(json!({ "z": 2 })));
    store.meta_write(&[("a", "x", None)]).unwrap();
    assert_eq!(store.meta_get("a", "x").unwrap(), None);
    store.drop_orphans(&HashSet::from(["kept"])).unwrap();
    let mut names: Vec<String> = store.db.list_keyspace_names().iter().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["ids-kept", "meta", "src-kept"]);
}
