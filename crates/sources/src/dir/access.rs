//! Who may read a file: owner, group, mode and POSIX access control list of the file and of the folders that lead to it
//! (`acl(5)`, `path_resolution(7)`), as identities of `_allow_access_control`.
//!
//! A list of identities can only allow, and POSIX can forbid to a few what it allows to all others. Where that cannot be
//! said, the document is shown to fewer people than may read the file, never to more.

use std::collections::{BTreeSet, HashMap};
use std::ffi::CStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::accounts::Accounts;

/// Permission to read a file.
const READ: u32 = 4;
/// Permission to go through a folder.
const SEARCH: u32 = 1;
/// The account that may do everything.
const ROOT: u32 = 0;
/// Identity that everybody has.
const EVERYONE: &str = "everyone";

/// Identity of a user, by number: names can be given to somebody else.
pub(super) fn user(uid: u32) -> String {
    format!("user:{uid}")
}

/// Identity of the members of a group.
pub(super) fn group(gid: u32) -> String {
    format!("group:{gid}")
}

/// Identity that everybody has.
pub(super) fn everyone() -> String {
    EVERYONE.to_owned()
}

/// Who has a permission. Root is not among them: it has them all. An owner who denied himself something may be, as a member
/// of the group: he can change that anyway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Grants {
    everyone: bool,
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
}

impl Grants {
    /// Of the three classes of a mode.
    fn of_mode(owner: u32, group: u32, mode: u32, wanted: u32) -> Self {
        let class = |shift: u32| (mode >> shift) & wanted != 0;
        Self {
            // Members of the group come first, also when they are denied.
            everyone: class(0) && class(3),
            users: class(6).then_some(owner).into_iter().collect(),
            groups: class(3).then_some(group).into_iter().collect(),
        }
    }

    /// Of an access control list, which has the owner and the group without a number.
    fn of_list(owner: u32, group: u32, list: &[Entry], wanted: u32) -> Self {
        let mask = list.iter().find(|entry| entry.tag == Tag::Mask).map_or(7, |entry| entry.permissions);
        let mut grants = Self::default();
        let (mut other, mut denied_user, mut denied_group) = (false, false, false);
        for entry in list {
            let plain = entry.permissions & wanted != 0;
            let masked = entry.permissions & mask & wanted != 0;
            match entry.tag {
                Tag::Owner if plain => drop(grants.users.insert(owner)),
                Tag::User if masked => drop(grants.users.insert(entry.id)),
                Tag::Group if masked => drop(grants.groups.insert(group)),
                Tag::NamedGroup if masked => drop(grants.groups.insert(entry.id)),
                Tag::User => denied_user = true,
                Tag::Group | Tag::NamedGroup => denied_group = true,
                Tag::Other => other = plain,
                Tag::Owner | Tag::Mask => {}
            }
        }
        grants.everyone = other && !denied_user && !denied_group;
        if denied_user {
            // The user may be a member.
            grants.groups.clear();
        }
        grants
    }

    /// Who has both.
    fn and(&self, other: &Self, accounts: &Accounts) -> Self {
        match (self.everyone, other.everyone) {
            (true, true) => return Self { everyone: true, ..Self::default() },
            (true, false) => return other.clone(),
            (false, true) => return self.clone(),
            (false, false) if self.is_within(other) => return self.clone(),
            (false, false) if other.is_within(self) => return other.clone(),
            (false, false) => {}
        }
        let groups: BTreeSet<u32> = self.groups.intersection(&other.groups).copied().collect();
        let in_group =
            |uid: u32, groups: &BTreeSet<u32>| groups.iter().any(|gid| accounts.is_member(uid, *gid));
        let has = |grants: &Self, uid: u32| grants.users.contains(&uid) || in_group(uid, &grants.groups);
        let candidates = self.users.iter().chain(&other.users).copied().chain(accounts.uids());
        let users = candidates.filter(|uid| has(self, *uid) && has(other, *uid) && !in_group(*uid, &groups));
        Self { everyone: false, users: users.collect(), groups }
    }

    fn is_within(&self, other: &Self) -> bool {
        self.users.is_subset(&other.users) && self.groups.is_subset(&other.groups)
    }

    fn identities(&self) -> Vec<String> {
        if self.everyone {
            return vec![everyone()];
        }
        let users = self.users.iter().copied().chain((!self.users.contains(&ROOT)).then_some(ROOT));
        let mut identities: Vec<String> = users.map(user).collect();
        identities.sort();
        identities.extend(self.groups.iter().copied().map(group));
        identities
    }
}

/// One line of an access control list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    tag: Tag,
    permissions: u32,
    id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Owner,
    User,
    Group,
    NamedGroup,
    Mask,
    Other,
}

/// The access control list of a file; none if it has no other than its mode.
fn list_of(path: &Path) -> io::Result<Option<Vec<Entry>>> {
    const NAME: &CStr = c"system.posix_acl_access";
    let mut room = vec![0; 4096];
    loop {
        match rustix::fs::getxattr(path, NAME, &mut room[..]) {
            Ok(length) => return parse_list(&room[..length]).map(Some),
            // A list of thousands of names.
            Err(Errno::RANGE) if room.len() < 1 << 20 => room.resize(room.len() * 4, 0),
            Err(Errno::NODATA) => return Ok(None),
            // A file system that has no such lists. NFS version 4 has others, which the mode says too little of.
            Err(Errno::NOTSUP) => {
                return match rustix::fs::getxattr(path, c"system.nfs4_acl", &mut [0_u8; 0][..]) {
                    Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
                    Ok(_) | Err(Errno::RANGE) => Err(io::Error::other(
                        "it has an NFS version 4 access control list, which is not understood",
                    )),
                    Err(error) => Err(error.into()),
                };
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The format of `linux/posix_acl_xattr.h`: a version, then tag, permissions and number of each entry, little-endian.
fn parse_list(bytes: &[u8]) -> io::Result<Vec<Entry>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "an access control list of an unknown form");
    let (version, entries) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
    if u32::from_le_bytes(*version) != 2 || !entries.len().is_multiple_of(8) {
        return Err(broken());
    }
    entries
        .chunks_exact(8)
        .map(|entry| {
            let tag = match u16::from_le_bytes([entry[0], entry[1]]) {
                0x01 => Tag::Owner,
                0x02 => Tag::User,
                0x04 => Tag::Group,
                0x08 => Tag::NamedGroup,
                0x10 => Tag::Mask,
                0x20 => Tag::Other,
                _ => return Err(broken()),
            };
            let permissions = u32::from(u16::from_le_bytes([entry[2], entry[3]]));
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            Ok(Entry { tag, permissions, id })
        })
        .collect()
}

fn grants_of(path: &Path, metadata: &Metadata, wanted: u32) -> io::Result<Grants> {
    let (owner, group) = (metadata.uid(), metadata.gid());
    Ok(match list_of(path)? {
        Some(list) => Grants::of_list(owner, group, &list, wanted),
        None => Grants::of_mode(owner, group, metadata.mode(), wanted),
    })
}

/// Finds out who may read files.
#[derive(Debug)]
pub(super) struct Readers {
    accounts: Accounts,
    /// Who may go to each folder that was met.
    ways: HashMap<PathBuf, Arc<Grants>>,
}

impl Readers {
    pub(super) fn new(accounts: Accounts) -> Self {
        Self { accounts, ways: HashMap::new() }
    }

    /// Identities of those who may read the file at this path, whose metadata (links followed) these are. Never empty.
    pub(super) fn of(&mut self, path: &Path, symlink: bool, metadata: &Metadata) -> io::Result<Vec<String>> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut grants = grants_of(path, metadata, READ)?.and(&*self.way(folder)?, &self.accounts);
        if symlink {
            // The way to where the link leads counts as well.
            let real = fs::canonicalize(path)?;
            let there = self.way(real.parent().unwrap_or(Path::new("/")))?;
            grants = grants.and(&there, &self.accounts);
        }
        Ok(grants.identities())
    }

    /// Who may go to a folder.
    fn way(&mut self, folder: &Path) -> io::Result<Arc<Grants>> {
        if let Some(way) = self.ways.get(folder) {
            return Ok(way.clone());
        }
        // The folder itself is at the end of its real path; what it is named as is another way that must be open.
        let real = fs::canonicalize(folder)?;
        let mut way = if real == folder {
            Arc::new(grants_of(folder, &fs::metadata(folder)?, SEARCH)?)
        } else {
            self.way(&real)?
        };
        if let Some(parent) = folder.parent() {
            let before = self.way(parent)?;
            way = Arc::new(way.and(&before, &self.accounts));
        }
        self.ways.insert(folder.to_owned(), way.clone());
        Ok(way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(everyone: bool, users: &[u32], groups: &[u32]) -> Grants {
        Grants { everyone, users: users.iter().copied().collect(), groups: groups.iter().copied().collect() }
    }

    /// alice (1) and bob (2) are in staff (10), bob and carol (3) in board (20).
    fn accounts() -> Accounts {
        Accounts::parse(
            "alice:x:1:10::/:\nbob:x:2:10::/:\ncarol:x:3:20::/:\nbroken\n",
            "staff:x:10:\nboard:x:20:bob,nobody-known\n",
        )
    }

    #[test]
    fn a_mode_allows_its_classes_and_never_more() {
        for (mode, expected) in [
            (0o644, grants(true, &[1], &[10])),
            (0o640, grants(false, &[1], &[10])),
            (0o600, grants(false, &[1], &[])),
            (0o040, grants(false, &[], &[10])),
            (0o000, grants(false, &[], &[])),
            // The group is denied what all others have: nobody but the owner is named.
            (0o604, grants(false, &[1], &[])),
        ] {
            assert_eq!(Grants::of_mode(1, 10, mode, READ), expected, "{mode:o}");
        }
        assert_eq!(Grants::of_mode(1, 10, 0o711, SEARCH), grants(true, &[1], &[10]));
        assert_eq!(Grants::of_mode(1, 10, 0o744, SEARCH), grants(false, &[1], &[]));
    }

    #[test]
    fn an_access_control_list_is_read_with_its_mask() {
        let entry = |tag: u16, permissions: u16, id: u32| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let list = |entries: &[Vec<u8>]| {
            parse_list(&[&2_u32.to_le_bytes()[..], &entries.concat()].concat()).unwrap()
        };
        let (owner, group, other) = (entry(0x01, 6, 0), entry(0x04, 4, 0), entry(0x20, 4, 0));
        let parsed = list(&[
            owner.clone(),
            entry(0x02, 4, 2),
            group.clone(),
            entry(0x08, 6, 20),
            entry(0x10, 4, 0),
            other.clone(),
        ]);
        assert_eq!(Grants::of_list(1, 10, &parsed, READ), grants(true, &[1, 2], &[10, 20]));

        // The mask takes everything from those it is for.
        let masked =
            list(&[owner.clone(), entry(0x02, 4, 2), group.clone(), entry(0x10, 0, 0), other.clone()]);
        assert_eq!(Grants::of_list(1, 10, &masked, READ), grants(false, &[1], &[]));

        // Bob is denied, whatever his groups have.
        let denied = list(&[owner.clone(), entry(0x02, 0, 2), group, entry(0x10, 7, 0), other.clone()]);
        assert_eq!(Grants::of_list(1, 10, &denied, READ), grants(false, &[1], &[]));

        // The owning group is denied, and so is everybody, for they may be members.
        let group_denied = list(&[owner, entry(0x04, 0, 0), entry(0x08, 4, 20), entry(0x10, 7, 0), other]);
        assert_eq!(Grants::of_list(1, 10, &group_denied, READ), grants(false, &[1], &[20]));

        for broken in [&b""[..], b"\x02\0\0\0x", b"\x03\0\0\0", b"\x02\0\0\0\x40\0\x04\0\0\0\0\0"] {
            assert!(parse_list(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn two_permissions_are_had_by_those_who_have_both() {
        let accounts = accounts();
        let and = |one: &Grants, other: &Grants| {
            let both = one.and(other, &accounts);
            assert_eq!(other.and(one, &accounts), both, "whatever the order");
            both
        };
        let all = grants(true, &[1], &[10]);
        let staff = grants(false, &[], &[10]);
        let board = grants(false, &[], &[20]);
        assert_eq!(and(&all, &all), grants(true, &[], &[]));
        assert_eq!(and(&all, &staff), staff);
        assert_eq!(and(&staff, &staff), staff);
        assert_eq!(and(&staff, &board), grants(false, &[2], &[]), "bob is in both");
        assert_eq!(and(&grants(false, &[3], &[]), &board), grants(false, &[3], &[]));
        assert_eq!(and(&grants(false, &[1], &[]), &board), grants(false, &[], &[]));
        let (alices, carols) = (grants(false, &[1], &[10]), grants(false, &[3], &[10]));
        assert_eq!(and(&alices, &carols), grants(false, &[], &[10]), "alice is in the group already");
        assert_eq!(and(&alices, &grants(false, &[1], &[])), grants(false, &[1], &[]), "a private folder");
    }

    #[test]
    fn the_list_is_never_empty_for_an_empty_list_is_no_restriction() {
        assert_eq!(grants(false, &[], &[]).identities(), ["user:0"]);
        assert_eq!(grants(false, &[0, 7], &[10]).identities(), ["user:0", "user:7", "group:10"]);
        assert_eq!(grants(true, &[7], &[]).identities(), ["everyone"]);
    }
}
