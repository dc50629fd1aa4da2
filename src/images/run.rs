//! RUN: what the commands of a shell line do to an image, as far as they are known.

use std::collections::BTreeMap;

use tree_sitter::{Node, Parser};

use super::stage::Stage;
use super::words;
use super::{cargo, packages};

/// A RUN longer than this, in bytes, is not looked into.
const LONG: usize = 32 << 10;
/// A RUN nested deeper than this is not looked into: the grammar climbs its own stack.
const DEEP: usize = 64;

/// Whether a script is small and flat enough for the grammar.
pub(super) fn within_bounds(text: &str) -> bool {
    let mut open = 0usize;
    let deepest = text.bytes().map(|byte| {
        match byte {
            b'(' | b'{' | b'[' => open += 1,
            b')' | b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        open
    });
    text.len() <= LONG && deepest.max().unwrap_or(0) <= DEEP
}

/// Carries out the script of a RUN that starts at `line`.
pub(super) fn script(stage: &mut Stage<'_>, text: &str, line: usize) {
    let mut parser = Parser::new();
    let tree = (within_bounds(text) && parser.set_language(&tree_sitter_bash::LANGUAGE.into()).is_ok())
        .then(|| parser.parse(text, None))
        .flatten();
    let Some(tree) = tree.filter(|tree| !tree.root_node().has_error()) else {
        stage.not_understood(line, text.lines().next().unwrap_or_default());
        return;
    };
    let mut shell = Shell { stage, text, line, folder: None, variables: BTreeMap::new() };
    let root = tree.root_node();
    shell.statements(root);
}

/// Carries out an exec form.
pub(super) fn exec(stage: &mut Stage<'_>, argv: &[String], line: usize) {
    match argv {
        // The same as the shell form, spelled out.
        [shell, option, text]
            if matches!(shell.rsplit('/').next(), Some("sh" | "bash")) && option.starts_with('-') =>
        {
            script(stage, text, line);
        }
        argv => {
            let mut shell = Shell { stage, text: "", line, folder: None, variables: BTreeMap::new() };
            if !shell.command(argv, line) {
                stage.not_understood(line, &argv.join(" "));
            }
        }
    }
}

struct Shell<'s, 'a, 't> {
    stage: &'s mut Stage<'a>,
    text: &'t str,
    line: usize,
    /// Working directory after `cd`.
    folder: Option<String>,
    /// Variables that the script sets.
    variables: BTreeMap<String, String>,
}

impl Shell<'_, '_, '_> {
    fn source(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    fn statements(&mut self, parent: Node<'_>) {
        let mut cursor = parent.walk();
        for node in parent.named_children(&mut cursor) {
            self.statement(node);
        }
    }

    fn statement(&mut self, node: Node<'_>) {
        let line = self.line + node.start_position().row;
        let understood = match node.kind() {
            "comment" | "heredoc_body" => true,
            "list" => match conjunction(node) {
                // One command after another: their order is kept, and the nesting of the grammar is not.
                Some(parts) => {
                    for part in parts {
                        self.statement(part);
                    }
                    true
                }
                // `a || b` may do what `b` does, or not.
                None => false,
            },
            "command" => match self.argv(node) {
                Some(argv) => self.command(&argv, line),
                None => false,
            },
            "variable_assignment" => self.assign(node),
            "declaration_command" => {
                let mut cursor = node.walk();
                let children: Vec<Node<'_>> = node.named_children(&mut cursor).collect();
                children.iter().all(|child| child.kind() == "variable_assignment" && self.assign(*child))
            }
            "redirected_statement" => self.redirected(node, line),
            _ => false,
        };
        if !understood {
            let text = self.source(node).lines().next().unwrap_or_default().to_owned();
            self.stage.not_understood(line, &text);
        }
    }

    fn expand(&self, text: &str) -> Option<String> {
        let lookup = |name: &str| self.variables.get(name).cloned().or_else(|| self.stage.variable(name));
        words::expand(text, '\\', &lookup).ok()
    }

    fn assign(&mut self, node: Node<'_>) -> bool {
        let Some((name, value)) = self.source(node).split_once('=') else { return false };
        let (name, known) = (name.to_owned(), self.expand(value));
        // What a command prints is unknown, and setting a variable changes no file.
        let value = known.unwrap_or_else(|| format!("{{{name}}}"));
        self.variables.insert(name, value);
        true
    }

    /// The words of a command; `None`: one of them only a shell can expand.
    fn argv(&self, node: Node<'_>) -> Option<Vec<String>> {
        let mut cursor = node.walk();
        let words = node.named_children(&mut cursor).filter(|child| child.kind() != "variable_assignment");
        words
            .map(|word| {
                let text = self.source(word).replace("\\\n", "");
                if text.contains(['`', '{']) && !text.contains("${") {
                    return None;
                }
                self.expand(&text)
            })
            .collect()
    }

    fn redirected(&mut self, node: Node<'_>, line: usize) -> bool {
        let Some(body) = node.child_by_field_name("body") else { return false };
        let mut cursor = node.walk();
        let redirects: Vec<Node<'_>> = node.children_by_field_name("redirect", &mut cursor).collect();
        let mut target = None;
        for redirect in &redirects {
            let words: Vec<&str> = self.source(*redirect).split_whitespace().collect();
            let joined = words.concat();
            let destination =
                joined.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(['>', '&']);
            match (redirect.kind(), destination) {
                ("file_redirect", "/dev/null" | "1" | "2") | ("heredoc_redirect", _) => {}
                ("file_redirect", path) if !joined.starts_with('<') && target.is_none() => {
                    target = Some(path.to_owned());
                }
                _ => return false,
            }
        }
        let Some(target) = target else {
            self.statement(body);
            return true;
        };
        let writes = self
            .argv(body)
            .is_some_and(|argv| matches!(argv.first().map(String::as_str), Some("echo" | "printf" | "cat")));
        let Some(path) = self.expand(&target).filter(|_| writes) else { return false };
        let text = self.source(node).to_owned();
        let path = self.path(&path);
        self.stage.write(&path, text, line);
        true
    }

    fn path(&self, path: &str) -> String {
        match &self.folder {
            Some(folder) if !path.starts_with('/') => super::stage::absolute(folder, path),
            _ => self.stage.absolute(path),
        }
    }

    /// Carries out one command; `false`: it is not known, or its arguments are not.
    fn command(&mut self, argv: &[String], line: usize) -> bool {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let Some((program, arguments)) = words.split_first() else { return true };
        match program.rsplit('/').next().unwrap_or(program) {
            "set" | "true" | ":" | "echo" | "printf" | "test" | "[" | "export" | "unset" | "ldconfig"
            | "sync" => true,
            "cd" => match arguments {
                [folder] => {
                    self.folder = Some(self.path(folder));
                    true
                }
                _ => false,
            },
            "mkdir" => self.mkdir(arguments, line),
            "install" => self.install(arguments, line),
            "touch" => self.each(arguments, &[], |shell, path| {
                shell.stage.write(&path, String::new(), line);
            }),
            "rm" | "rmdir" => self.each(arguments, &["r", "f", "R", "v", "rf", "fr", "Rf"], |shell, path| {
                shell.stage.remove(&path, line);
            }),
            "chown" => self.change(arguments, |stage, path, owner, recursive| {
                stage.chown(path, owner, recursive, line);
                true
            }),
            "chgrp" => self.change(arguments, |stage, path, group, recursive| {
                stage.chown(path, &format!(":{group}"), recursive, line);
                true
            }),
            "chmod" => self
                .change(arguments, |stage, path, mode, recursive| stage.chmod(path, mode, recursive, line)),
            "ln" => self.link(arguments, line),
            "cp" | "mv" => self.copy(program.ends_with("mv"), arguments, line),
            "useradd" | "adduser" | "groupadd" | "addgroup" => packages::user(self.stage, &words, line),
            "cargo" => cargo::build(self.stage, arguments, line),
            // Caches of compiled modules are no content.
            "python" | "python3" if matches!(arguments, ["-m", "compileall", ..]) => true,
            "apt-get" | "apt" | "apk" | "pip" | "pip3" | "python" | "python3" => {
                packages::install(self.stage, &words, line)
            }
            _ => false,
        }
    }

    /// Applies something to each path; only the options that are named are known.
    fn each(
        &mut self,
        arguments: &[&str],
        options: &[&str],
        mut apply: impl FnMut(&mut Self, String),
    ) -> bool {
        let (flags, paths) = flags(arguments);
        if !flags.iter().all(|flag| options.contains(&flag.trim_start_matches('-'))) {
            return false;
        }
        for path in paths {
            let path = self.path(path);
            apply(self, path);
        }
        true
    }

    fn mkdir(&mut self, arguments: &[&str], line: usize) -> bool {
        let (mut mode, mut paths, mut rest) = (None, Vec::new(), arguments.iter());
        while let Some(argument) = rest.next() {
            match *argument {
                "-p" | "-v" | "--parents" | "-pv" => {}
                "-m" | "-pm" => mode = rest.next().copied(),
                option if option.starts_with("--mode=") => mode = option.strip_prefix("--mode="),
                option if option.starts_with('-') => return false,
                path => paths.push(path),
            }
        }
        for path in paths {
            let path = self.path(path);
            self.stage.make_folder(&path, None, line);
            if let Some(mode) = mode
                && !self.stage.chmod(&path, mode, false, line)
            {
                return false;
            }
        }
        true
    }

    /// `install -d`: makes folders; other uses copy files, which happens with things that were built.
    fn install(&mut self, arguments: &[&str], line: usize) -> bool {
        let (mut mode, mut user, mut group, mut paths, mut folder) = (None, None, None, Vec::new(), false);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "-d" | "--directory" => folder = true,
                "-m" => mode = rest.next().copied(),
                "-o" => user = rest.next().copied(),
                "-g" => group = rest.next().copied(),
                "-v" => {}
                option if option.starts_with('-') => return false,
                path => paths.push(path),
            }
        }
        for path in paths.iter().filter(|_| folder) {
            let path = self.path(path);
            self.stage.make_folder(&path, None, line);
            let owner = format!("{}:{}", user.unwrap_or("root"), group.unwrap_or("root"));
            self.stage.chown(&path, &owner, false, line);
            if let Some(mode) = mode
                && !self.stage.chmod(&path, mode, false, line)
            {
                return false;
            }
        }
        folder
    }

    /// `chown`, `chgrp` and `chmod`: a value, and paths.
    fn change(
        &mut self,
        arguments: &[&str],
        apply: impl Fn(&mut Stage<'_>, &str, &str, bool) -> bool,
    ) -> bool {
        let (mut options, mut recursive) = (arguments, false);
        while let [first, rest @ ..] = options {
            match *first {
                "-R" | "--recursive" => recursive = true,
                "-v" | "-f" | "-h" | "-c" => {}
                _ => break,
            }
            options = rest;
        }
        let [value, paths @ ..] = options else { return false };
        !paths.is_empty()
            && paths.iter().all(|path| {
                let path = self.path(path);
                apply(self.stage, &path, value, recursive)
            })
    }

    fn link(&mut self, arguments: &[&str], line: usize) -> bool {
        let (flags, paths) = flags(arguments);
        let symbolic = flags.iter().any(|flag| flag.contains('s'));
        let known =
            flags.iter().all(|flag| flag.chars().all(|c| "-sfnvT".contains(c)) || *flag == "--symbolic");
        match paths[..] {
            [target, name] if symbolic && known => {
                let mut path = self.path(name);
                if name.ends_with('/') || self.stage.is_folder(&path) {
                    path = super::context::join(&path, target.rsplit('/').next().unwrap_or(target));
                }
                self.stage.link(&path, target, line);
                true
            }
            _ => false,
        }
    }

    fn copy(&mut self, moves: bool, arguments: &[&str], line: usize) -> bool {
        let (flags, paths) = flags(arguments);
        let known = flags.iter().all(|flag| flag.chars().all(|c| "-aprRfvdPL".contains(c)));
        let [sources @ .., target] = &paths[..] else { return false };
        if !known || sources.is_empty() {
            return false;
        }
        let into = target.ends_with('/') || sources.len() > 1 || self.stage.is_folder(&self.path(target));
        for source in sources {
            let from = self.path(source);
            let mut to = self.path(target);
            if into {
                to = super::context::join(
                    &to,
                    source.trim_end_matches('/').rsplit('/').next().unwrap_or(source),
                );
            }
            self.stage.copy_within(&from, &to, moves, line);
        }
        true
    }
}

/// The commands of `a && b && c`; `None`: another operator joins them.
fn conjunction(list: Node<'_>) -> Option<Vec<Node<'_>>> {
    let (mut parts, mut lists) = (Vec::new(), vec![list]);
    while let Some(node) = lists.pop() {
        if node.kind() != "list" {
            parts.push(node);
            continue;
        }
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            match child.kind() {
                "&&" => {}
                _ if child.is_named() => lists.push(child),
                _ => return None,
            }
        }
    }
    parts.reverse();
    Some(parts)
}

/// Options and operands.
pub(super) fn flags<'w>(arguments: &[&'w str]) -> (Vec<&'w str>, Vec<&'w str>) {
    let end = arguments.iter().position(|argument| *argument == "--").unwrap_or(arguments.len());
    let (flags, mut paths): (Vec<&str>, Vec<&str>) =
        arguments[..end].iter().partition(|argument| argument.len() > 1 && argument.starts_with('-'));
    paths.extend(arguments.iter().skip(end + 1));
    (flags, paths)
}
