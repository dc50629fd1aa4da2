//! The entry at a path below the root folder; links are not followed.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Entry at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathState {
    /// Nothing.
    Absent,
    /// A regular file.
    File(Vec<u8>),
    /// A link, and whether what it points to is below the root.
    Link {
        /// Target of the link.
        target: PathBuf,
        /// Whether that is below the root.
        inside: bool,
    },
    /// A folder.
    Folder,
    /// A pipe, a socket or a device.
    Special,
    /// A folder on the way is a link, and this one it is.
    Through(String),
    /// A folder on the way is a file system of its own.
    Elsewhere,
}

/// What is at a path, as far as it matters whether it is still the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum State {
    /// Nothing.
    Absent,
    /// A file with these contents.
    File {
        /// SHA-256 of the contents.
        sha256: String,
    },
    /// A link with this target.
    Link {
        /// SHA-256 of the target's name.
        sha256: String,
    },
    /// Something that the flip never touches.
    Other,
}

impl State {
    /// The state of a file with these contents.
    #[must_use]
    pub fn file(bytes: &[u8]) -> Self {
        Self::File { sha256: sha256(bytes) }
    }
}

impl PathState {
    /// Looks at `path` below `root`, which is absolute and without links.
    ///
    /// # Errors
    ///
    /// Whatever keeps the path from being read.
    pub fn at(root: &Path, path: &str) -> io::Result<Self> {
        let parts: Vec<_> = Path::new(path)
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name),
                _ => None,
            })
            .collect();
        let Some((name, folders)) = parts.split_last() else { return Ok(Self::Folder) };
        let device = root.symlink_metadata()?.dev();
        let mut folder = root.to_owned();
        for part in folders {
            folder.push(part);
            match folder.symlink_metadata() {
                Ok(found) if found.is_symlink() => {
                    let shown = folder.strip_prefix(root).unwrap_or(&folder);
                    return Ok(Self::Through(shown.to_string_lossy().into_owned()));
                }
                Ok(found) if found.dev() != device => return Ok(Self::Elsewhere),
                Ok(_) => {}
                Err(error) if is_absent(&error) => return Ok(Self::Absent),
                Err(error) => return Err(error),
            }
        }
        let full = folder.join(name);
        let found = match full.symlink_metadata() {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(Self::Absent),
            Err(error) => return Err(error),
        };
        if found.is_symlink() {
            let target = fs::read_link(&full)?;
            let inside = leads_inside(root, &folder, &target);
            return Ok(Self::Link { target, inside });
        }
        if found.is_dir() {
            return Ok(Self::Folder);
        }
        if !found.is_file() {
            return Ok(Self::Special);
        }
        Ok(Self::File(fs::read(&full)?))
    }

    /// The state that a plan and a journal compare.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Absent => State::Absent,
            Self::File(bytes) => State::file(bytes),
            Self::Link { target, .. } => State::Link { sha256: sha256(target.as_os_str().as_bytes()) },
            _ => State::Other,
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Whether the target of a link in `folder` is below the root, also if nothing is there.
fn leads_inside(root: &Path, folder: &Path, target: &Path) -> bool {
    let full = folder.join(target);
    if let Ok(real) = full.canonicalize() {
        return real.starts_with(root);
    }
    let mut plain = PathBuf::new();
    for part in full.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain.starts_with(root)
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_digest_is_sha_256() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_path_is_looked_at_without_following_links() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().canonicalize().unwrap().join("root");
        fs::create_dir_all(root.join("folder")).unwrap();
        fs::write(root.join("folder/file"), "x").unwrap();
        fs::write(root.join("../outside"), "x").unwrap();
        symlink("folder", root.join("way")).unwrap();
        symlink("folder/file", root.join("in")).unwrap();
        symlink("../outside", root.join("out")).unwrap();
        symlink("gone/../../outside", root.join("gone-out")).unwrap();
        symlink("folder/gone", root.join("gone-in")).unwrap();
        let at = |path: &str| PathState::at(&root, path).unwrap();
        assert_eq!(at("folder/file"), PathState::File(b"x".to_vec()));
        assert_eq!(at("./folder/./file"), PathState::File(b"x".to_vec()));
        assert_eq!(at("folder"), PathState::Folder);
        assert_eq!(at("folder/gone"), PathState::Absent);
        assert_eq!(at("folder/file/gone"), PathState::Absent);
        assert_eq!(at("way/file"), PathState::Through("way".to_owned()));
        for (path, inside) in [("in", true), ("out", false), ("gone-in", true), ("gone-out", true)] {
            // The last one leaves `gone`, which is not there, and then the root by one folder more.
            let expected = if path == "gone-out" { false } else { inside };
            assert!(matches!(at(path), PathState::Link { inside, .. } if inside == expected), "{path}");
        }
    }
}
