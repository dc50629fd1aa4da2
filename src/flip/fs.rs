//! Every change of the disk, as one call each. A hook runs before each change.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

/// A kind of step that changes the disk, or makes a change last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A folder is made.
    Folder,
    /// A file is made.
    Create,
    /// Bytes are written, and mode and owner set.
    Write,
    /// A file or a folder is brought to the disk.
    Sync,
    /// A file or a folder gets another name.
    Rename,
    /// A file or a folder goes.
    Remove,
}

/// The disk. Its owner is called before each step and can make the step fail.
pub struct Fs<'a> {
    before: &'a mut dyn FnMut(Act, &Path) -> io::Result<()>,
}

impl<'a> Fs<'a> {
    /// A disk on which `before` precedes each step.
    pub fn new(before: &'a mut dyn FnMut(Act, &Path) -> io::Result<()>) -> Self {
        Self { before }
    }

    /// Makes a folder that is not there yet.
    pub(super) fn folder(&mut self, path: &Path) -> io::Result<()> {
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return Err(io::Error::new(io::ErrorKind::NotADirectory, "is no folder")),
            Err(_) => {}
        }
        (self.before)(Act::Folder, path)?;
        fs::create_dir(path)
    }

    /// Writes a new file, with the mode and the owner of another one, and brings it to the disk.
    pub(super) fn write(&mut self, path: &Path, bytes: &[u8], like: Option<&Metadata>) -> io::Result<()> {
        (self.before)(Act::Create, path)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        (self.before)(Act::Write, path)?;
        file.write_all(bytes)?;
        if let Some(like) = like {
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
                fchown(&file, Some(like.uid()), Some(like.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
        }
        (self.before)(Act::Sync, path)?;
        file.sync_all()
    }

    /// Gives a file or folder another name, in place of what has it.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        (self.before)(Act::Rename, to)?;
        fs::rename(from, to)
    }

    /// Removes a file or a link.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        (self.before)(Act::Remove, path)?;
        fs::remove_file(path)
    }

    /// Removes a folder with all that is in it, if it is there.
    pub(super) fn clear(&mut self, path: &Path) -> io::Result<()> {
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        (self.before)(Act::Remove, path)?;
        fs::remove_dir_all(path)
    }

    /// Removes a folder in which nothing is left.
    pub(super) fn remove_folder(&mut self, path: &Path) -> io::Result<()> {
        (self.before)(Act::Remove, path)?;
        fs::remove_dir(path)
    }

    /// Brings the names in a folder to the disk.
    pub(super) fn sync(&mut self, folder: &Path) -> io::Result<()> {
        (self.before)(Act::Sync, folder)?;
        File::open(folder)?.sync_all()
    }
}
