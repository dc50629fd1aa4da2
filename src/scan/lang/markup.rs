//! References in documents: prose, and code between fences or in blocks.

use std::ops::Range;

use crate::scan::detect::prose;
use crate::scan::finding::Match;
use crate::scan::lang::python::{self, Known};
use crate::scan::lang::text::{self, Comments, lines};
use crate::scan::lang::yaml;
use crate::scan::patterns::Patterns;

/// Whether a file is a document by its name.
pub(in crate::scan) fn is_document(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let extension = last.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(extension, "md" | "markdown" | "rst" | "adoc" | "mdx" | "org")
        || matches!(last, "README" | "AGENTS" | "CONTRIBUTING")
}

/// Where code begins in a document.
enum Opening {
    /// A fence, which the same mark closes.
    Fence(String),
    /// A line that closes it.
    Until(&'static str),
    /// A directive, whose code is indented by more than this.
    Indented(usize),
}

/// Finds the references in a document.
pub(in crate::scan) fn search(patterns: &Patterns, source: &str, matches: &mut Vec<Match>) {
    let mut open: Option<(Opening, String, usize)> = None;
    let mut comment = false;
    // The language that the line above gives to what follows: `[source,sh]`.
    let mut announced = None;
    // The table that is read, if its rows are containers.
    let mut table: Option<Range<usize>> = None;
    for line in lines(source, 0..source.len()) {
        let whole = &source[line.clone()];
        let text = whole.trim();
        let indent = whole.len() - whole.trim_start().len();
        if let Some((opening, language, start)) = &open {
            let (closed, apart) = match opening {
                Opening::Fence(mark) => {
                    let only = text.trim_matches(['`', '~']).is_empty();
                    (text == mark || text.starts_with(mark.as_str()) && only, true)
                }
                Opening::Until(end) => (text.eq_ignore_ascii_case(end), true),
                Opening::Indented(outer) => (!text.is_empty() && indent <= *outer, false),
            };
            if !closed {
                continue;
            }
            code(patterns, source, language, *start..line.start, matches);
            open = None;
            if apart {
                continue;
            }
        }
        let row = text.starts_with('|');
        if !row && let Some(table) = table.take() {
            prose::drawn(patterns, source, table, matches);
        }
        match &mut table {
            Some(table) => table.end = line.end,
            None if row && prose::lists_containers(text) => table = Some(line.clone()),
            None => {}
        }
        let said = announced.take();
        if comment || text.starts_with("<!--") {
            // `<!-- … -->`
            comment = !text.contains("-->");
        } else if let Some((opening, language)) = opening(text, indent, said) {
            open = Some((opening, language, line.end));
        } else if text.starts_with(".. ") && !text.contains("::") && !text.starts_with(".. _") {
            // A comment of reStructuredText.
        } else {
            announced = source_block(text);
            prose::search(patterns, source, line, matches);
        }
    }
    if let Some(table) = table {
        prose::drawn(patterns, source, table, matches);
    }
    if let Some((_, language, start)) = open {
        code(patterns, source, &language, start..source.len(), matches);
    }
}

/// What a line opens, and the language of what follows.
fn opening(text: &str, indent: usize, announced: Option<String>) -> Option<(Opening, String)> {
    let mark: String = text.chars().take_while(|c| matches!(c, '`' | '~')).collect();
    if mark.len() >= 3 {
        let language = text[mark.len()..].trim().split([' ', '{', ',']).next().unwrap_or_default();
        return Some((Opening::Fence(mark), language.to_ascii_lowercase()));
    }
    if text == "----" && announced.is_some() {
        return Some((Opening::Until("----"), announced.unwrap_or_default()));
    }
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("#+begin_src") {
        let language = rest.split_whitespace().next().unwrap_or_default().to_owned();
        return Some((Opening::Until("#+end_src"), language));
    }
    let directive = lower.strip_prefix(".. ")?;
    let (name, language) = directive.split_once("::")?;
    let code = matches!(name, "code-block" | "code" | "sourcecode");
    code.then(|| (Opening::Indented(indent), language.trim().to_owned()))
}

/// The language of a block that `AsciiDoc` announces, `[source,sh]`.
fn source_block(text: &str) -> Option<String> {
    let inner = text.strip_prefix("[source")?.strip_suffix(']')?;
    Some(inner.trim_start_matches(',').split(',').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Finds the references in code of a document.
fn code(patterns: &Patterns, source: &str, language: &str, range: Range<usize>, matches: &mut Vec<Match>) {
    let inner = &source[range.clone()];
    let before = matches.len();
    let mut start = range.start;
    if matches!(language, "" | "text" | "txt" | "ascii" | "plain") {
        let mut drawn = Vec::new();
        prose::drawn(patterns, source, range.clone(), &mut drawn);
        matches.extend(drawn);
    }
    let before = before.max(matches.len());
    match language {
        "python" | "py" | "python3" | "pycon" if !inner.contains(">>>") => {
            // What is indented is the block of a header, which is taken off the offsets again.
            let first = inner.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let header = if first.starts_with(' ') { "if 1:\n" } else { "" };
            python::search(patterns, &format!("{header}{inner}"), "", &Known::default(), matches);
            start -= header.len();
        }
        "yaml" | "yml" => {
            yaml::search(patterns, inner, matches);
        }
        "js" | "javascript" | "ts" | "typescript" | "go" | "rust" => {
            text::search(patterns, inner, Comments::Slashes, matches);
        }
        "diff" | "json" | "text" | "txt" | "console" => {
            text::search(patterns, inner, Comments::None, matches);
        }
        _ => text::search(patterns, inner, Comments::Hash, matches),
    }
    for matched in &mut matches[before..] {
        matched.moved(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that are reported, with their forms.
    fn reported(source: &str) -> Vec<(&str, &'static str)> {
        let patterns = Patterns::new(&["bot-bottle".to_owned()], "FLAG");
        let mut matches = Vec::new();
        search(&patterns, source, &mut matches);
        matches.into_iter().map(|matched| (&source[matched.span], matched.rule.id.as_str())).collect()
    }

    #[test]
    fn code_in_documents_is_read_as_code() {
        let python = "from x import egress_container_name as f\n\nf(slug)\n";
        let indented = python.replace("from", "   from").replace("\nf(", "\n   f(");
        let helper = vec![("egress_container_name", "name-helper"), ("f", "name-helper")];
        let helper: Vec<_> = helper.into_iter().chain([("f", "name-helper")]).collect();
        for source in [
            format!("```python\n{python}```\nend"),
            format!("1. so:\n\n   ```py\n{indented}   ```\nend"),
            format!(".. code-block:: python\n   :linenos:\n\n{indented}\nend"),
            format!("[source,python]\n----\n{python}----\nend"),
            format!("#+BEGIN_SRC python\n{python}#+END_SRC\nend"),
        ] {
            assert_eq!(reported(&source), helper, "{source}");
        }
    }

    #[test]
    fn a_diagram_or_a_table_has_a_box_for_each_container() {
        let both = vec![("egress", "doc-shape"), ("pipelock", "doc-shape")];
        let drawing = "+-------+   +--------+   +----------+\n| agent |-->| egress |-->| pipelock |\n";
        for source in [
            format!("```\n{drawing}```\n"),
            format!("```text\n{}```\n", drawing.replace('|', "│").replace("+-", "┌─")),
            "| Container | Port |\n|---|---|\n| `egress` | 9099 |\n| `pipelock` | 8888 |\n\nend".to_owned(),
            "| Service | Port |\n|---|---|\n| egress | 9099 |\n| pipelock | 8888 |".to_owned(),
        ] {
            let source = source.replace('`', if source.starts_with('|') { "" } else { "`" });
            assert_eq!(reported(&source), both, "{source}");
        }
        for source in [
            format!("```\n{drawing}the bundle\n```\n"),
            "| Daemon | Port |\n|---|---|\n| egress | 9099 |\n| pipelock | 8888 |\n".to_owned(),
            "| Container | Port |\n|---|---|\n| agent | - |\n| sidecars | 1 |\n| egress | 2 |\n| pipelock | 3 |\n".to_owned(),
            "| Container | Port |\n|---|---|\n| agent | - |\n| egress | 2 |\n".to_owned(),
            "```\n| egress | pipelock |\n```\n".to_owned(),
        ] {
            assert_eq!(reported(&source), [], "{source}");
        }
    }

    #[test]
    fn what_stands_behind_a_block_is_prose_again() {
        let source = ".. code:: sh\n\n   docker rm bot-bottle-egress-x # the egress container\n\nthe egress container\n";
        let found = [("bot-bottle-egress-x", "docker-cli"), ("egress container", "doc-shape")];
        assert_eq!(reported(source), found);
    }
}
