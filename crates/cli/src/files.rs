//! Files that hold credentials.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file at once: whoever reads it sees the old content or the new one. A new file can be read by its owner only; one
/// that is there keeps its owner and permissions.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    replace_with(path, text, true)
}

/// The same for a file that only its owner may read, also if an earlier one could be read by others.
pub fn replace_private(path: &Path, text: &str) -> io::Result<()> {
    replace_with(path, text, false)
}

fn replace_with(path: &Path, text: &str, keep: bool) -> io::Result<()> {
    // A link stays one: the file that it names is replaced.
    let path = if path.exists() { path.canonicalize()? } else { path.to_owned() };
    let before = path.metadata().ok().filter(|_| keep);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = write(&fresh, text).and_then(|()| {
        if let Some(before) = before {
            #[cfg(unix)]
            keep_owner(&fresh, &before)?;
            std::fs::set_permissions(&fresh, before.permissions())?;
        }
        std::fs::rename(&fresh, &path)
    });
    if written.is_err() {
        // It may not even have been made.
        let _gone = std::fs::remove_file(&fresh);
    }
    written
}

/// A service may read its file as a member of the group only.
#[cfg(unix)]
fn keep_owner(fresh: &Path, before: &std::fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, chown};
    match chown(fresh, Some(before.uid()), Some(before.gid())) {
        // Only root gives files away. Who may write the folder of somebody else's file owns the new one.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
