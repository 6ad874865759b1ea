//! Files that hold credentials.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Replaces a file at once: whoever reads it sees the old content or the new one. A new file can be read by its owner only; one
/// that is there keeps its permissions.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one: the file that it names is replaced.
    let path = if path.exists() { path.canonicalize()? } else { path.to_owned() };
    let permissions = path.metadata().ok().map(|metadata| metadata.permissions());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = write(&fresh, text).and_then(|()| {
        if let Some(permissions) = permissions {
            std::fs::set_permissions(&fresh, permissions)?;
        }
        std::fs::rename(&fresh, &path)
    });
    if written.is_err() {
        // It may not even have been made.
        let _gone = std::fs::remove_file(&fresh);
    }
    written
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
