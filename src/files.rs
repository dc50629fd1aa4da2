//! Reading and writing files: bounded, whole, and with one clear message for each way to fail.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use bottle_model::place::line_and_column;
use tempfile::NamedTempFile;

use crate::compose::Unreadable;
use crate::diagnostic::Diagnostic;
pub(crate) use crate::diagnostic::STANDARD;

/// Largest input, in bytes.
const LIMIT: u64 = 4 * 1024 * 1024;

/// A path without needless `.` components; `./-` stays, as `-` means something else.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let tidy: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if tidy.as_os_str().is_empty() {
        PathBuf::from(".")
    } else if tidy.as_os_str() == STANDARD {
        path.to_owned()
    } else {
        tidy
    }
}

/// Reads a file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<String, Diagnostic> {
    if path.as_os_str() == STANDARD {
        return text(Path::new("<stdin>"), io::stdin().lock(), 0);
    }
    let failed = |error: &io::Error| Diagnostic::in_file(path, reason(error));
    // Before it is opened: to open a pipe is to wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| failed(&error))?;
    if metadata.is_dir() {
        return Err(Diagnostic::in_file(path, "is a folder, not a file"));
    }
    // A named pipe may never be written to; the shell's `<(…)` only looks like one.
    let piped = metadata.file_type().is_fifo() && fs::read_link(path).is_ok();
    if !metadata.is_file() && !piped {
        return Err(Diagnostic::in_file(path, "is not a regular file").hint("`-` reads from stdin"));
    }
    if metadata.len() > LIMIT {
        return Err(too_large(path));
    }
    text(path, File::open(path).map_err(|error| failed(&error))?, metadata.len())
}

/// As [`read`], for what a compose file refers to.
pub(crate) fn text_of(path: &Path) -> Result<String, Unreadable> {
    if path.as_os_str() != STANDARD
        && fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        return Err(Unreadable::Absent);
    }
    read(path).map_err(|problem| Unreadable::Broken { at: problem.at, message: problem.message })
}

/// A path made absolute by the working directory.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    // An empty path means the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What went wrong with a file, without the number of the system's error.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a folder".to_owned(),
        io::ErrorKind::InvalidInput => "not a usable file name".to_owned(),
        io::ErrorKind::InvalidFilename => "the file name is too long".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
    }
}

fn too_large(path: &Path) -> Diagnostic {
    Diagnostic::in_file(path, format!("larger than {} MiB", LIMIT / (1024 * 1024)))
}

/// Reads a text of about `size` bytes.
fn text(path: &Path, source: impl Read, size: u64) -> Result<String, Diagnostic> {
    // One byte more, in which the end shows.
    let mut bytes = Vec::with_capacity(usize::try_from(size + 1).unwrap_or_default());
    source
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Diagnostic::in_file(path, reason(&error)))?;
    if bytes.len() as u64 > LIMIT {
        return Err(too_large(path));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let (line, column) = line_and_column(&valid, valid.len());
        Diagnostic::in_file(path, "not UTF-8 text").at(line, column)
    })
}

/// A file under construction, which takes its place whole or not at all.
pub(crate) struct Output {
    file: NamedTempFile,
    target: PathBuf,
}

impl Output {
    /// Starts the file that `-o` names; `None`: what is written goes to stdout.
    pub(crate) fn asked(target: Option<&Path>) -> Result<Option<Self>, Diagnostic> {
        target.filter(|path| path.as_os_str() != STANDARD).map(Self::create).transpose()
    }

    /// Starts a file in the folder of `target`; an existing regular file there keeps its mode.
    pub(crate) fn create(target: &Path) -> Result<Self, Diagnostic> {
        let failed =
            |error: &io::Error| Diagnostic::in_file(target, format!("failed to write: {}", reason(error)));
        // A new file has the mode that the process mask leaves.
        let mode = match fs::symlink_metadata(target) {
            Ok(found) if found.is_symlink() => {
                return Err(Diagnostic::in_file(target, "is a symbolic link, which -o does not replace")
                    .hint("name the file that it points to"));
            }
            Ok(found) if found.is_dir() => {
                return Err(Diagnostic::in_file(target, "is a folder, not a file"));
            }
            Ok(found) if !found.is_file() => {
                return Err(Diagnostic::in_file(target, "is not a regular file"));
            }
            Ok(found) => Some(found.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
        };
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".bottle-migrate-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|error| failed(&error))?;
        if let Some(mode) = mode {
            file.as_file().set_permissions(mode).map_err(|error| failed(&error))?;
        }
        Ok(Self { file, target: target.to_owned() })
    }

    /// Puts the file in its place.
    pub(crate) fn finish(self) -> Result<(), Diagnostic> {
        let failed = |error: &io::Error| {
            Diagnostic::in_file(&self.target, format!("failed to write: {}", reason(error)))
        };
        self.file.as_file().sync_all().map_err(|error| failed(&error))?;
        self.file.persist(&self.target).map_err(|error| failed(&error.error))?;
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Redactor;

    #[test]
    fn paths_lose_their_dots() {
        for (path, tidied) in
            [("./a", "a"), ("a/./b", "a/b"), (".", "."), ("../a", "../a"), ("/a", "/a"), ("-", "-")]
        {
            assert_eq!(tidy(Path::new(path)), Path::new(tidied));
        }
        // `Path` compares by components, and would find these two equal.
        assert_eq!(tidy(Path::new("./-")).as_os_str(), "./-");
    }

    #[test]
    fn invalid_utf8_has_a_place() {
        let problem = text(Path::new("x"), &b"ab\n\xc3\xa9\xff"[..], 0).unwrap_err();
        assert_eq!(problem.shown(&Redactor::new(false)), "error: x:2:2: not UTF-8 text\n");
    }

    #[test]
    fn inputs_are_bounded() {
        let problem = text(Path::new("x"), io::repeat(b'a'), 0).unwrap_err();
        assert_eq!(problem.shown(&Redactor::new(false)), "error: x: larger than 4 MiB\n");
    }

    #[test]
    fn an_output_keeps_its_mode_and_appears_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut output = Output::create(&path).unwrap();
        output.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        output.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_output_does_not_replace_a_link_or_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("target"), &link).unwrap();
        assert!(Output::create(&link).is_err());
        assert!(Output::create(folder.path()).is_err());
        assert!(Output::create(&folder.path().join("absent/file")).is_err());
    }
}
