//! Files that nothing here parses: code of other languages, settings, documents.

use std::ops::Range;

use super::finding::Hit;
use super::names::{self, Names};
use super::text::{self, Context};
use super::{forms, yaml};

/// How a kind of file writes comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comments {
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
    pub(super) fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension {
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "tsx" | "go" | "rs" | "c" | "h" | "cc" | "cpp" | "hpp"
            | "java" | "kt" | "swift" | "scala" | "cs" | "php" | "proto" | "hcl" | "tf" | "jsonc"
            | "json5" | "groovy" => Self::Slashes,
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
pub(super) fn search(names: &Names, source: &str, comments: Comments, hits: &mut Vec<Hit>) {
    let context = Context { identifiers: true, ..Context::default() };
    let mut block = false;
    let mut kept = Vec::new();
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
            kept.push(line.start..line.start + code_length(text, comments));
        }
    }
    for range in joined(source, kept) {
        text::search(names, source, range, context, hits);
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
pub(super) fn lines(source: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
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
            Some(last) if last.end == line.start && source[last.clone()].trim_end().ends_with('\\') => {
                last.end = line.end;
            }
            _ => out.push(line),
        }
    }
    out
}

/// Finds the references in prose that starts at `range`: a docstring, a paragraph of a document.
pub(super) fn prose(names: &Names, source: &str, range: Range<usize>, hits: &mut Vec<Hit>) {
    let context = Context { prose: true, identifiers: true, ..Context::default() };
    for line in lines(source, range) {
        text::search(names, source, line.clone(), context, hits);
        described(names, source, line, hits);
    }
}

/// What a line of prose says of the legacy shape.
fn described(names: &Names, source: &str, line: Range<usize>, hits: &mut Vec<Hit>) {
    let text = &source[line.clone()];
    if !names.line_tells(text) {
        return;
    }
    let span = |range: Range<usize>| line.start + range.start..line.start + range.end;
    if let Some(found) = names.shape.find(text)
        && !names.past.is_match(text)
        && !["of my", "of your", "of our", "of their"]
            .iter()
            .any(|own| text[found.end()..].trim_start().starts_with(own))
    {
        hits.push(Hit::new(span(found.range()), &forms::DOC_SHAPE, None));
    }
    if names.past.is_match(text) {
        return;
    }
    for found in names.prose.captures_iter(text) {
        let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
        if names::alone(text, &(name.start()..name.end()), b"-./")
            && let Some(service) = names::daemon(name.as_str())
        {
            hits.push(Hit::new(span(whole.range()), &forms::DOC_SHAPE, Some(service)));
        }
    }
}

/// Whether a file is a document by its name.
pub(super) fn is_document(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let extension = last.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "md" | "markdown" | "rst" | "adoc" | "mdx" | "org")
        || matches!(last, "README" | "AGENTS" | "CONTRIBUTING")
}

/// Finds the references in a document: prose, and code between fences or indented.
pub(super) fn document(names: &Names, source: &str, hits: &mut Vec<Hit>) {
    let mut fence: Option<(String, String, usize)> = None;
    let mut comment = false;
    for line in lines(source, 0..source.len()) {
        let text = source[line.clone()].trim();
        let mark: String = text.chars().take_while(|c| matches!(c, '`' | '~')).collect();
        match &fence {
            None if mark.len() >= 3 => {
                let language = text[mark.len()..].trim().split([' ', '{', ',']).next().unwrap_or_default();
                fence = Some((mark, language.to_ascii_lowercase(), line.end));
            }
            // `<!-- … -->`, and a comment of reStructuredText.
            None if comment || text.starts_with("<!--") => comment = !text.contains("-->"),
            None if text.starts_with(".. ") && !text.contains("::") && !text.starts_with(".. _") => {}
            None => prose(names, source, line, hits),
            Some((open, language, start))
                if text == open
                    || text.starts_with(open.as_str()) && text.trim_matches(['`', '~']).is_empty() =>
            {
                fenced(names, source, language, *start..line.start, hits);
                fence = None;
            }
            Some(_) => {}
        }
    }
    if let Some((_, language, start)) = fence {
        fenced(names, source, &language, start..source.len(), hits);
    }
}

fn fenced(names: &Names, source: &str, language: &str, range: Range<usize>, hits: &mut Vec<Hit>) {
    let inner = &source[range.clone()];
    let before = hits.len();
    match language {
        "python" | "py" | "pycon" if !inner.contains(">>>") => {
            super::python::search(names, inner, &[], hits);
        }
        "yaml" | "yml" => yaml::search(names, inner, hits),
        "js" | "javascript" | "ts" | "typescript" | "go" | "rust" => {
            search(names, inner, Comments::Slashes, hits);
        }
        "diff" | "json" | "text" | "txt" | "console" => search(names, inner, Comments::None, hits),
        _ => search(names, inner, Comments::Hash, hits),
    }
    for hit in &mut hits[before..] {
        hit.moved(range.start);
    }
}
