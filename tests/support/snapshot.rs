//! A target's files, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bottle_migrate::flip::FOLDER;

/// Every file below a root but for the journal: kind, mode and contents.
pub(crate) type Snapshot = BTreeMap<String, (char, u32, Vec<u8>)>;

pub(crate) fn snapshot(root: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let own = [FOLDER, ".git"];
    let walk = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| !own.iter().any(|name| entry.file_name() == *name)) {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let mode = entry.metadata().unwrap().permissions().mode();
        let kind = entry.file_type();
        let shown = if kind.is_symlink() {
            ('l', mode, fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes())
        } else if kind.is_dir() {
            ('d', mode, Vec::new())
        } else if kind.is_file() {
            ('f', mode, fs::read(entry.path()).unwrap())
        } else {
            ('s', mode, Vec::new())
        };
        found.insert(name, shown);
    }
    found
}
