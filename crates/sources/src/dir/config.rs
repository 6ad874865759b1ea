//! Configuration of the `dir` source.

use connectors_sdk::source_configuration;

source_configuration! {
    /// Configuration of the `dir` source.
    pub(super) struct DirConfiguration {
        /// Folder whose files are synced. A relative path starts at the working directory of the service.
        #[field(label = "Directory", value = default_directory())]
        pub(super) directory: String,
        /// Which files: a glob relative to the folder. `*` matches within one name, `**` any number of folders. `**/*.*`
        /// takes every file whose name has a dot, `**/*` every file.
        #[field(label = "File pattern", value = "**/*.*")]
        pub(super) pattern: String,
        /// Whether documents say who may see them: those whom owner, group, mode and access control lists let read the file.
        /// Access control syncs then list the users of the machine the service runs on.
        #[field(label = "Enable document level security", display = "toggle", value = false)]
        pub(super) use_document_level_security: bool,
    }
}

/// `SYSTEM_DIR`, as for Elastic's connector, or else the working directory.
fn default_directory() -> String {
    std::env::var("SYSTEM_DIR").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| {
        // A working directory that was removed or has no text form leaves the field empty, to be filled in.
        std::env::current_dir()
            .ok()
            .and_then(|path| path.into_os_string().into_string().ok())
            .unwrap_or_default()
    })
}
