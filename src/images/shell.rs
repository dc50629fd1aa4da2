//! Commands that copied shell scripts call: something in the image has to provide each.

use std::collections::BTreeSet;

use tree_sitter::Parser;

use super::context::Context;
use super::facts::{ImageFacts, Manager, Origin};
use super::{MissingCommand, run, upstream};

/// Commands of the shell itself (POSIX, "Special Built-In Utilities" and "Built-in Utilities"; bash(1)).
const BUILT_IN: &[&str] = &[
    ".",
    ":",
    "[",
    "[[",
    "alias",
    "bg",
    "break",
    "builtin",
    "cd",
    "command",
    "continue",
    "declare",
    "echo",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "jobs",
    "kill",
    "let",
    "local",
    "mapfile",
    "printf",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
];

/// Commands of packages that are not called like the package (their file lists).
const PACKAGES: &[(&str, &[&str])] = &[
    ("bind9-dnsutils", &["dig", "host", "nslookup"]),
    ("curl", &["curl"]),
    ("dnsutils", &["dig", "host", "nslookup"]),
    ("gnupg", &["gpg", "gpgv"]),
    ("iproute2", &["ip", "ss", "tc"]),
    ("iptables", &["ip6tables", "iptables"]),
    ("netcat-openbsd", &["nc"]),
    ("netcat-traditional", &["nc"]),
    ("openssh", &["scp", "sftp", "ssh", "ssh-add", "ssh-agent", "ssh-keygen", "ssh-keyscan", "sshd"]),
    ("openssh-client", &["scp", "sftp", "ssh", "ssh-add", "ssh-agent", "ssh-keygen", "ssh-keyscan"]),
    ("openssh-server", &["sshd"]),
    ("postgresql-client", &["pg_dump", "pg_isready", "pg_restore", "psql"]),
    ("procps", &["free", "pgrep", "pkill", "ps", "top", "uptime", "watch"]),
    ("python3", &["python3"]),
    ("redis", &["redis-cli", "redis-server"]),
    ("util-linux", &["flock", "nsenter", "setpriv", "setsid", "unshare"]),
    ("xz-utils", &["xz"]),
];

/// Every command that nothing provides, in the order of the scripts' paths.
pub(super) fn missing(facts: &ImageFacts, context: &Context<'_>) -> Vec<MissingCommand> {
    let Some(provided) = provided(facts) else { return Vec::new() };
    let mut missing = Vec::new();
    for (path, fact) in &facts.paths {
        let Origin::Context(source) = &fact.value.origin else { continue };
        let Some(text) = context.text(source) else { continue };
        let first = text.lines().next().unwrap_or_default();
        let shell = first.starts_with("#!")
            && first.split(['/', ' ']).any(|word| matches!(word, "sh" | "bash" | "dash"));
        if !shell || !run::within_bounds(&text) {
            continue;
        }
        for (command, line) in commands(&text) {
            if !provided.contains(command.as_str()) {
                missing.push(MissingCommand { path: path.clone(), source: source.clone(), line, command });
            }
        }
    }
    missing
}

/// Names of all commands; `None`: the base image is not known.
fn provided(facts: &ImageFacts) -> Option<BTreeSet<&str>> {
    if !facts.base_known {
        return None;
    }
    let mut names: BTreeSet<&str> = BUILT_IN.iter().copied().collect();
    if let Some(base) = &facts.base {
        names.extend(upstream::layers(&base.value).flat_map(|layer| layer.commands).copied());
    }
    for (manager, name) in facts.packages.keys() {
        let known = PACKAGES.iter().find(|(package, _)| package == name);
        match known {
            Some((_, commands)) if *manager != Manager::Pip => names.extend(*commands),
            _ => drop(names.insert(name)),
        }
    }
    let in_path = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"];
    for path in facts.paths.keys() {
        if let Some(name) = in_path.iter().find_map(|folder| path.strip_prefix(folder)) {
            names.insert(name);
        }
    }
    Some(names)
}

/// The commands that a script calls by a bare name, less its own functions; each once, with its first line.
fn commands(text: &str) -> Vec<(String, usize)> {
    let mut parser = Parser::new();
    if parser.set_language(&tree_sitter_bash::LANGUAGE.into()).is_err() {
        return Vec::new();
    }
    let Some(tree) = parser.parse(text, None) else { return Vec::new() };
    let source = |node: tree_sitter::Node<'_>| text.get(node.byte_range()).unwrap_or_default();
    let (mut functions, mut found) = (BTreeSet::new(), Vec::new());
    let mut nodes = vec![tree.root_node()];
    while let Some(node) = nodes.pop() {
        match node.kind() {
            "function_definition" => functions.extend(node.child_by_field_name("name").map(source)),
            "command" => {
                if let Some(name) = node.child_by_field_name("name") {
                    found.push((source(name), name.start_position().row + 1, name.start_byte()));
                    // These run what follows them.
                    if matches!(source(name), "exec" | "command" | "nohup" | "xargs" | "env" | "timeout") {
                        let mut cursor = node.walk();
                        let next = node.children_by_field_name("argument", &mut cursor).find(|argument| {
                            let text = source(*argument);
                            argument.kind() == "word"
                                && !text.starts_with('-')
                                && !text.contains('=')
                                && !text.starts_with(|c: char| c.is_ascii_digit())
                        });
                        found.extend(
                            next.map(|next| (source(next), next.start_position().row + 1, next.start_byte())),
                        );
                    }
                }
            }
            _ => {}
        }
        let mut cursor = node.walk();
        nodes.extend(node.named_children(&mut cursor));
    }
    found.sort_by_key(|(_, line, at)| (*line, *at));
    let starts =
        |name: &str| name.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '[' | '.' | ':'));
    let plain = |name: &str| {
        starts(name) && {
            name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '[' | ':'))
        }
    };
    let mut seen = BTreeSet::new();
    found
        .into_iter()
        .filter(|(name, ..)| plain(name) && !functions.contains(name) && seen.insert(*name))
        .map(|(name, line, _)| (name.to_owned(), line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_that_a_script_calls() {
        let text = "#!/bin/sh\nset -eu\nhelp() { cat <<EOF\nrm x\nEOF\n}\nhelp\nif git status | grep -q x; then\n  \
                    exec git daemon \"$@\"\nfi\n# jq\nx=$(jq . f)\n\"$VAR\" y\n/usr/bin/z\n";
        let names: Vec<_> = commands(text).into_iter().map(|(name, line)| format!("{name}@{line}")).collect();
        assert_eq!(names.join(" "), "set@2 cat@3 git@8 grep@8 exec@9 jq@12");
    }
}
