//! The users and groups of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::Stdio;

use connectors_sdk::{ErrorKind, SourceError};
use tokio::process::Command;

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    /// All groups he is in.
    pub groups: BTreeSet<u32>,
}

/// Who is in which group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    accounts: Vec<Account>,
    members: BTreeMap<u32, BTreeSet<u32>>,
}

impl Accounts {
    /// Those the system names: `getent`, which asks directories (LDAP, Active Directory) too where they are set up to be
    /// listed; without that program, `/etc/passwd` and `/etc/group`.
    pub(super) async fn of_system() -> Result<Self, SourceError> {
        let (passwd, group) = tokio::try_join!(database("passwd"), database("group"))?;
        Ok(Self::parse(&passwd, &group))
    }

    /// Reads the formats of `passwd(5)` and `group(5)`. Lines of another form are left out.
    pub(super) fn parse(passwd: &str, group: &str) -> Self {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let mut accounts: Vec<Account> = Vec::new();
        for line in passwd.lines().map(fields) {
            let [name, _, uid, gid, ..] = line.as_slice() else { continue };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
            // The first one of a name is the one the system takes.
            if !name.is_empty() && !accounts.iter().any(|account| account.name == *name) {
                accounts.push(Account { name: name.clone(), uid, groups: BTreeSet::from([gid]) });
            }
        }
        for line in group.lines().map(fields) {
            let [_, _, gid, members, ..] = line.as_slice() else { continue };
            let Ok(gid) = gid.parse::<u32>() else { continue };
            let members: BTreeSet<&str> = members.split(',').collect();
            for account in accounts.iter_mut().filter(|account| members.contains(account.name.as_str())) {
                account.groups.insert(gid);
            }
        }
        let mut by_group: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for account in &accounts {
            for gid in &account.groups {
                // Of several names with one number, all must be members: files know the number only.
                let all = accounts.iter().filter(|other| other.uid == account.uid);
                if all.clone().all(|other| other.groups.contains(gid)) {
                    by_group.entry(*gid).or_default().insert(account.uid);
                }
            }
        }
        Self { accounts, members: by_group }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter()
    }

    pub(super) fn uids(&self) -> impl Iterator<Item = u32> {
        self.accounts.iter().map(|account| account.uid)
    }

    pub(super) fn is_member(&self, uid: u32, gid: u32) -> bool {
        self.members.get(&gid).is_some_and(|members| members.contains(&uid))
    }
}

async fn database(name: &'static str) -> Result<String, SourceError> {
    let failed = |error: io::Error| {
        SourceError::new(ErrorKind::Unavailable, "list the users and groups", format!("the {name} database"))
            .with_source(error)
    };
    let mut getent = Command::new("getent");
    getent.arg(name).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let text = match getent.output().await {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => return Err(failed(io::Error::other(format!("getent ended with {}", output.status)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tokio::fs::read(format!("/etc/{name}")).await.map_err(failed)?
        }
        Err(error) => return Err(failed(error)),
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_has_accounts_and_root_is_one() {
        let accounts = Accounts::of_system().await.unwrap();
        let root = accounts.iter().find(|account| account.uid == 0).unwrap();
        assert!(root.name == "root" && accounts.is_member(0, 0));
    }

    #[test]
    fn groups_are_the_primary_one_and_those_that_name_the_user() {
        let accounts = Accounts::parse(
            "a:x:1:10:A,,,:/home/a:/bin/sh\nb:x:2:20::/:\n:x:3:30::/:\nodd:x:none:1::/:\n",
            "ten:x:10:\ntwenty:x:20:a,x\nodd:x:?:b\n",
        );
        let listed: Vec<_> = accounts
            .iter()
            .map(|account| (account.name.as_str(), account.uid, account.groups.len()))
            .collect();
        assert_eq!(listed, [("a", 1, 2), ("b", 2, 1)]);
        assert!(accounts.is_member(1, 10) && accounts.is_member(1, 20) && !accounts.is_member(2, 10));
    }
}
