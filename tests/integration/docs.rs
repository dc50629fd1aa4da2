//! The prose is true: outputs that it shows are printed, files that it names exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "AGENTS.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Outputs that a text shows: each fenced block without a language, with the arguments of the command before it.
fn shown(text: &str) -> Vec<(Vec<&str>, Vec<&str>)> {
    let mut outputs = Vec::new();
    let mut command = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block = lines.by_ref().take_while(|line| *line != "```").collect();
            if language.is_empty() {
                outputs.push((command.clone(), block));
            }
        } else if let Some(arguments) = line.strip_prefix("    cargo run --release -- ") {
            command = arguments.split(' ').collect();
        }
    }
    outputs
}

/// Whether lines begin with those of a text in which a line of `…` stands for any number of lines.
fn begins(lines: &[&str], shown: &[&str]) -> bool {
    match shown.split_first() {
        None => true,
        Some((first, rest)) if first.trim() == "…" => {
            (0..=lines.len()).any(|skip| begins(&lines[skip..], rest))
        }
        Some((first, rest)) => lines.first() == Some(first) && begins(&lines[1..], rest),
    }
}

#[test]
fn the_readme_shows_what_its_commands_print() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let outputs = shown(&readme);
    assert!(!outputs.is_empty(), "the README shows no output");
    for (arguments, shown) in outputs {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bottle-migrate"));
        let output =
            command.args(&arguments).current_dir(root()).env_clear().stdin(Stdio::null()).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = printed.lines().collect();
        assert!(begins(&lines, &shown), "the README shows another output of {arguments:?} than\n{printed}");
    }
}

/// Every file and folder of the project, relative to its root.
fn tree() -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(root()).min_depth(1).into_iter();
    walk.filter_entry(|entry| entry.file_name() != ".git" && entry.path() != root().join("target"))
        .map(|entry| entry.unwrap().path().strip_prefix(root()).unwrap().to_owned())
        .collect()
}

/// Names of files in a text, by its words: what begins in the project's root, and what is named like a source.
fn named<'a>(text: &'a str, tree: &[PathBuf]) -> Vec<&'a str> {
    let outside = |c: char| !(c.is_alphanumeric() || "/._-*".contains(c));
    text.split(outside)
        .map(|word| word.trim_end_matches(['.', '/']).trim_start_matches("./"))
        .filter(|word| {
            let first = word.split('/').next().unwrap_or_default();
            let rooted = word.contains('/') && tree.iter().any(|path| path == Path::new(first));
            let source = [".rs", ".md", ".py"].iter().any(|ending| word.ends_with(ending));
            !word.contains('*') && (rooted || source)
        })
        .collect()
}

#[test]
fn the_prose_names_no_file_that_does_not_exist() {
    let tree = tree();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let names = named(&text, &tree);
        assert!(!names.is_empty(), "{document} names no file");
        for name in names {
            assert!(
                tree.iter().any(|path| path.ends_with(name)),
                "{document} names {name}, which does not exist"
            );
        }
    }
}

#[test]
fn words_are_taken_for_files_when_they_look_like_some() {
    let tree = tree();
    for (text, names) in [
        ("see `src/cli/absent.rs`, or `absent.rs`.", &["src/cli/absent.rs", "absent.rs"][..]),
        ("cargo run -- diff examples/absent.json", &["examples/absent.json"]),
        ("read/write, `plans/*.json`, /etc/passwd and `a.toml`", &[]),
        ("examples/*.json, `src/`", &[]),
    ] {
        assert_eq!(named(text, &tree), names, "{text}");
    }
}
