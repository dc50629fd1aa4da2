//! Files that nothing here parses: code of other languages, settings.

use std::ops::Range;

use crate::scan::detect::{self, Context, Use};
use crate::scan::finding::Match;
use crate::scan::lang::loops::Loops;
use crate::scan::lang::variables::Variables;
use crate::scan::patterns::Patterns;

/// How a kind of file writes comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scan) enum Comments {
    /// `#` to the end of the line.
    Hash,
    /// `//` and `/* */`.
    Slashes,
    /// `;` or `#` at the start of a line.
    Semicolon,
    /// None.
    None,
}

impl Comments {
    /// The comments of a file by its name.
    pub(in crate::scan) fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension {
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "tsx" | "go" | "rs" | "c" | "h" | "cc" | "cpp" | "hpp"
            | "java" | "kt" | "swift" | "scala" | "cs" | "php" | "proto" | "hcl" | "tf" | "jsonc"
            | "json5" | "groovy" => Self::Slashes,
            // Editors allow comments in their settings.
            "json"
                if ["devcontainer.json", "tsconfig.json"].iter().any(|it| name.ends_with(it))
                    || name.contains(".vscode/")
                    || name.contains(".devcontainer/") =>
            {
                Self::Slashes
            }
            "toml" | "env" | "conf" | "mk" | "rb" | "pl" | "ps1" | "fish" | "r" | "tcl" | "awk"
            | "properties" | "dockerignore" | "gitignore" | "gitattributes" | "editorconfig" | "nix"
            | "just" | "service" => Self::Hash,
            "ini" | "cfg" => Self::Semicolon,
            _ => {
                let stem = name.rsplit('/').next().unwrap_or(name);
                let known = [
                    "Makefile",
                    "makefile",
                    "GNUmakefile",
                    "Justfile",
                    "justfile",
                    "Procfile",
                    "CODEOWNERS",
                    ".env",
                ];
                let docker = ["Dockerfile", "Containerfile"].iter().any(|start| stem.starts_with(start));
                if docker || known.contains(&stem) || stem.starts_with(".env") {
                    Self::Hash
                } else {
                    Self::None
                }
            }
        }
    }
}

/// Finds the references in a file that nothing parses.
pub(in crate::scan) fn search(
    patterns: &Patterns,
    source: &str,
    comments: Comments,
    matches: &mut Vec<Match>,
) {
    within(patterns, source, comments, &Variables::default(), matches);
}

/// Finds the references in a text that nothing parses, and that is a part of one with the variables `outer`.
pub(in crate::scan) fn within(
    patterns: &Patterns,
    source: &str,
    comments: Comments,
    outer: &Variables,
    matches: &mut Vec<Match>,
) {
    let context = Context { identifiers: true, ..Context::default() };
    let mut block = false;
    let mut kept = Vec::new();
    let mut networks = Networks::default();
    for line in lines(source, 0..source.len()) {
        let text = &source[line.clone()];
        let trimmed = text.trim_start();
        let comment = match comments {
            Comments::Hash => trimmed.starts_with('#'),
            Comments::Semicolon => trimmed.starts_with(['#', ';']),
            Comments::Slashes => {
                let inside = block;
                if trimmed.starts_with("/*") || block {
                    block = !text.contains("*/");
                }
                inside || trimmed.starts_with("//") || trimmed.starts_with("/*")
            }
            Comments::None => false,
        };
        if !comment {
            networks.line(text, line.start);
            kept.push(line.start..line.start + code_length(text, comments));
        }
    }
    let loops = Loops::of(patterns, source);
    let context = Context { loops: Some(loops.variables()), ..context };
    let mut variables = Variables::of(patterns, source, comments == Comments::Slashes);
    variables.inherit(outer);
    let before = matches.len();
    for range in joined(source, kept) {
        let used = if networks.has(range.start) { Use::Kept } else { context.used };
        let context = Context { used, ..context };
        match variables.expand(source, range.clone()) {
            Some(mapped) => mapped.search(patterns, context, matches),
            None => detect::search(patterns, source, range, context, matches),
        }
    }
    loops.report(source, before, matches);
}

/// The objects of a text whose keys are names of networks: `"Networks": {` in what `docker inspect` prints.
#[derive(Default)]
struct Networks {
    depth: usize,
    /// Depth at which the object that is read began, and its first byte.
    open: Option<(usize, usize)>,
    closed: Vec<Range<usize>>,
}

impl Networks {
    /// Reads the brackets of the line that begins at `start`.
    fn line(&mut self, text: &str, start: usize) {
        let end = text.trim_end();
        let key = || {
            end.strip_suffix('{').is_some_and(|rest| {
                let rest = rest.trim_end().strip_suffix(':').unwrap_or_default();
                rest.trim_end_matches(['"', '\'', ' ']).to_ascii_lowercase().ends_with("networks")
            })
        };
        if self.open.is_none() && key() {
            self.open = Some((self.depth, start + text.len()));
        }
        for byte in text.bytes() {
            match byte {
                b'{' => self.depth += 1,
                b'}' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        if let Some((_, first)) = self.open.filter(|(depth, first)| self.depth <= *depth && start >= *first) {
            self.closed.push(first..start);
            self.open = None;
        }
    }

    /// Whether the byte `at` is in one of the objects.
    fn has(&self, at: usize) -> bool {
        let behind = self.closed.partition_point(|range| range.start <= at);
        let closed = || behind.checked_sub(1).is_some_and(|number| self.closed[number].contains(&at));
        self.open.is_some_and(|(_, first)| at >= first) || closed()
    }
}

/// Length of a line's code, before a comment at its end.
fn code_length(line: &str, comments: Comments) -> usize {
    let mark = match comments {
        Comments::Hash => " #",
        Comments::Slashes => " //",
        Comments::Semicolon | Comments::None => return line.len(),
    };
    let Some(at) = line.find(mark) else { return line.len() };
    let open = |quote: char| line[..at].matches(quote).count() % 2 == 1;
    if open('"') || open('\'') || open('`') { line.len() } else { at }
}

/// The lines of `source[range]`, each with its line feed.
pub(in crate::scan) fn lines(source: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = range.start;
    source[range].split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        start..at
    })
}

/// Joins neighbouring lines where one goes on in the next.
fn joined(source: &str, lines: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for line in lines {
        match out.last_mut() {
            Some(last) if last.end == line.start && goes_on(&source[last.clone()], &source[line.clone()]) => {
                last.end = line.end;
            }
            _ => out.push(line),
        }
    }
    out
}

/// Longest list that is read as one, in bytes.
const LONGEST: usize = 4096;

/// Whether a text goes on in the next line: by its last character, within a list of strings, or with an argument.
fn goes_on(text: &str, next: &str) -> bool {
    let text_end = text.trim_end();
    let next = next.trim_start();
    let list = || text_end.ends_with([',', '[']) && next.starts_with(['"', '\'']);
    text_end.ends_with('\\') || text.len() < LONGEST && (list() || next.starts_with(".arg"))
}
