//! What is looked for in every file before any is worth a parser.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use rayon::prelude::*;

use super::Candidate;

/// Largest file that is searched, in bytes.
const LARGEST: usize = 8 * 1024 * 1024;

/// Bytes of a file in which a zero shows that it is no text.
const HEAD: usize = 8192;

/// What a reference that names a daemon cannot do without, in any letter case.
const STRONG: [&str; 9] = [
    "pipelock",
    "git-gate",
    "git_gate",
    "gitgate",
    "egress",
    "supervise",
    "sidecar_bundle",
    "dockerfile.",
    "com.docker.compose.service",
];

/// What one that names none cannot do without; it counts in a tree that is about bottles.
const WEAK: [&str; 7] = ["services)", "services\"", "services'", "five", "four ", "sidecar", "-services "];

/// What a first look at a file's bytes tells, from least to most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::scan) enum Look {
    /// It holds nothing that is looked for.
    #[default]
    Nothing,
    /// It holds what is one only in a tree that is about bottles.
    Faint,
    /// It holds what a reference that names a daemon cannot do without.
    Named,
    /// It shows that the tree is about bottles.
    Told,
}

/// Everything that is looked for, as one automaton over text in small letters.
pub(in crate::scan) struct Needles {
    words: AhoCorasick,
    tells: Vec<Look>,
}

impl Needles {
    /// What is looked for in a tree whose containers have the `prefixes`, and that has the `flag`; `None`: too much.
    pub(in crate::scan) fn new(prefixes: &[String], flag: &str) -> Option<Self> {
        let lead = prefixes.iter().flat_map(|prefix| [prefix.clone(), prefix.replace('-', "_")]);
        let told = lead.chain(["pipelock".to_owned()]).map(|word| (Look::Told, word));
        let strong = STRONG.into_iter().chain([flag]).map(|word| (Look::Named, word.to_owned()));
        let weak = WEAK.map(|word| (Look::Faint, word.to_owned()));
        // Of words that begin at one byte the first is found, so those that tell most stand first.
        let (tells, words): (Vec<_>, Vec<_>) = told.chain(strong).chain(weak).unzip();
        let words = words.into_iter().map(|word| word.to_ascii_lowercase());
        let words = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).ok()?;
        Some(Self { words, tells })
    }

    /// Looks at a file; `buffer` is used again from file to file.
    pub(in crate::scan) fn look(&self, path: &Path, buffer: &mut Vec<u8>) -> Result<Look, String> {
        let fail = |error: io::Error| {
            error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
        };
        let length = fill(buffer, &mut File::open(path).map_err(fail)?).map_err(fail)?;
        if length > LARGEST {
            return Err(format!("larger than {} MiB", LARGEST / (1024 * 1024)));
        }
        let bytes = &mut buffer[..length];
        // Vector instructions find some dozen words at once, but not in any letter case.
        bytes.make_ascii_lowercase();
        let look = self.most(bytes);
        let binary = look > Look::Nothing && bytes.iter().take(HEAD).any(|byte| *byte == 0);
        match look {
            Look::Named | Look::Told if binary => Err("binary, and holds one of the names".to_owned()),
            Look::Faint if binary => Ok(Look::Nothing),
            look => Ok(look),
        }
    }

    /// The most that a word in `bytes` tells.
    fn most(&self, bytes: &[u8]) -> Look {
        let mut most = Look::Nothing;
        let mut at = 0;
        while most < Look::Told
            && let Some(found) = self.words.find(Input::new(bytes).range(at..))
        {
            most = most.max(self.tells[found.pattern().as_usize()]);
            // Words overlap.
            at = found.start() + 1;
        }
        most
    }
}

/// Reads a file into the start of `buffer`, up to one byte more than is searched; its length.
fn fill(buffer: &mut Vec<u8>, file: &mut File) -> io::Result<usize> {
    const STEP: usize = 64 * 1024;
    let mut length = 0;
    loop {
        if length == buffer.len() {
            buffer.resize((2 * length).clamp(STEP, LARGEST + 1), 0);
        }
        match file.read(&mut buffer[length..]) {
            Ok(0) => return Ok(length),
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Text of a file, and whether that is all of it: bytes that are no UTF-8 become `?`, so that offsets hold.
pub(in crate::scan) fn text(path: &Path) -> Option<(String, bool)> {
    let bytes = fs::read(path).ok()?;
    match String::from_utf8(bytes) {
        Ok(text) => Some((text, true)),
        Err(error) => {
            let bytes = error.into_bytes();
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(std::iter::repeat_n('?', chunk.invalid().len()));
            }
            Some((text, false))
        }
    }
}

/// Those of `files` in which one of `words` stands.
pub(in crate::scan) fn holding<'t>(files: &'t [Candidate], words: &[&str]) -> Vec<&'t Candidate> {
    let words = AhoCorasick::new(words).ok();
    let holds = |file: &&Candidate| {
        fs::read(&file.path).is_ok_and(|bytes| words.as_ref().is_none_or(|words| words.is_match(&bytes)))
    };
    files.par_iter().filter(holds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_overlap_are_all_seen() {
        let needles = Needles::new(&["bot-bottle".to_owned()], "FIVE_FLAGS").unwrap();
        for (text, look) in [
            ("nothing", Look::Nothing),
            ("five", Look::Faint),
            ("five_flags", Look::Named),
            ("sidecar_bundle", Look::Named),
            ("services'egress", Look::Named),
            ("egress bot_bottle", Look::Told),
            ("com.docker.compose.servicepipelock", Look::Told),
        ] {
            assert_eq!(needles.most(text.as_bytes()), look, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_whole_whatever_was_read_before() {
        let folder = tempfile::tempdir().unwrap();
        let needles = Needles::new(&["bot-bottle".to_owned()], "FLAG").unwrap();
        let mut buffer = Vec::new();
        let mut look = |bytes: &[u8]| {
            let path = folder.path().join("file");
            fs::write(&path, bytes).unwrap();
            needles.look(&path, &mut buffer)
        };
        let long = [vec![b'x'; 200_000], b"EGRESS".to_vec()].concat();
        assert_eq!(look(&long), Ok(Look::Named));
        assert_eq!(look(b"x"), Ok(Look::Nothing));
        assert_eq!(look(b""), Ok(Look::Nothing));
        assert_eq!(look(&vec![b'x'; LARGEST]), Ok(Look::Nothing));
        assert_eq!(look(&vec![b'x'; LARGEST + 1]), Err("larger than 8 MiB".to_owned()));
        assert!(look(b"egress\0").is_err());
        assert_eq!(look(b"sidecar\0"), Ok(Look::Nothing));
    }
}
