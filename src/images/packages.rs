//! Commands that install packages and add users.

use super::facts::{Manager, UserFact};
use super::stage::Stage;

/// Carries out a command of a package manager; `false`: it is not understood.
pub(super) fn install(stage: &mut Stage<'_>, words: &[&str], line: usize) -> bool {
    match words {
        ["python" | "python3", "-m", "pip", rest @ ..] | ["pip" | "pip3", rest @ ..] => {
            pip(stage, rest, line)
        }
        ["apt-get" | "apt", rest @ ..] => debian(stage, rest, line),
        ["apk", rest @ ..] => alpine(stage, rest, line),
        _ => false,
    }
}

fn debian(stage: &mut Stage<'_>, arguments: &[&str], line: usize) -> bool {
    let (mut operands, mut rest) = (Vec::new(), arguments.iter());
    while let Some(argument) = rest.next() {
        match *argument {
            "-o" | "-t" | "-c" => drop(rest.next()),
            option if option.starts_with('-') => {}
            operand => operands.push(operand),
        }
    }
    match operands[..] {
        ["update" | "clean" | "autoclean" | "dist-clean" | "autoremove"] => true,
        ["install", ref packages @ ..] => packages.iter().all(|package| {
            // A file, or a name with a sign that takes the package away.
            if package.contains('/') && package.starts_with(['.', '/']) || package.ends_with('-') {
                return false;
            }
            let (name, version) = split(package, "=");
            let name = name.split('/').next().unwrap_or(name).trim_end_matches('+');
            stage.add_package(Manager::Apt, name, version, line);
            true
        }),
        ["remove" | "purge", ref packages @ ..] => {
            for package in packages {
                stage.remove_package(Manager::Apt, package, line);
            }
            true
        }
        _ => false,
    }
}

fn alpine(stage: &mut Stage<'_>, arguments: &[&str], line: usize) -> bool {
    let (mut operands, mut group, mut rest) = (Vec::new(), None, arguments.iter());
    while let Some(argument) = rest.next() {
        match *argument {
            "-t" | "--virtual" => group = rest.next().copied(),
            "-X" | "--repository" => drop(rest.next()),
            option if option.starts_with("--virtual=") => group = option.strip_prefix("--virtual="),
            option if option.starts_with('-') => {}
            operand => operands.push(operand),
        }
    }
    match operands[..] {
        ["update" | "upgrade"] => operands[0] == "update",
        ["add", ref packages @ ..] => {
            for package in packages {
                let end = package.find(['=', '<', '>', '~', '@']).unwrap_or(package.len());
                let (name, version) = package.split_at(end);
                stage.add_package(Manager::Apk, name, (!version.is_empty()).then_some(version), line);
                if let Some(group) = group {
                    stage.group(group, name);
                }
            }
            true
        }
        ["del", ref packages @ ..] => {
            for package in packages {
                stage.remove_package(Manager::Apk, package, line);
            }
            true
        }
        _ => false,
    }
}

fn pip(stage: &mut Stage<'_>, arguments: &[&str], line: usize) -> bool {
    let ["install", arguments @ ..] = arguments else { return false };
    let (mut found, mut rest) = (Vec::new(), arguments.iter());
    while let Some(argument) = rest.next() {
        match *argument {
            "--no-cache-dir"
            | "--upgrade"
            | "-U"
            | "--quiet"
            | "-q"
            | "--no-deps"
            | "--disable-pip-version-check"
            | "--break-system-packages"
            | "--no-compile"
            | "--require-hashes"
            | "--root-user-action=ignore"
            | "--no-input"
            | "--user"
            | "--prefer-binary" => {}
            "-i" | "--index-url" | "--extra-index-url" | "--trusted-host" | "--timeout" | "--retries" => {
                rest.next();
            }
            "-r" | "--requirement" => {
                let Some(text) = rest.next().and_then(|path| stage.text_of(path)) else { return false };
                for requirement in text.lines() {
                    let requirement = requirement.split(" #").next().unwrap_or_default();
                    let requirement = requirement.split([';', ' ', '\t']).next().unwrap_or_default().trim();
                    if requirement.starts_with('-') {
                        if !requirement.starts_with("--hash") {
                            return false;
                        }
                    } else if !requirement.is_empty() && !requirement.starts_with(['#', '\\']) {
                        found.push(requirement.to_owned());
                    }
                }
            }
            option if option.starts_with('-') => return false,
            package => found.push(package.to_owned()),
        }
    }
    found.iter().all(|package| {
        if package.contains(['/', '@']) || package.starts_with('.') || package.contains("://") {
            return false;
        }
        let end = package.find(['=', '<', '>', '~', '!', '[', ';']).unwrap_or(package.len());
        let (name, version) = package.split_at(end);
        let version = version.find(['=', '<', '>', '~', '!']).map(|at| &version[at..]);
        stage.add_package(Manager::Pip, &normalized(name), version, line);
        true
    })
}

/// The name of a Python package as the index compares it (PEP 503).
pub(super) fn normalized(name: &str) -> String {
    let mut normalized = String::new();
    for character in name.chars() {
        if matches!(character, '-' | '_' | '.') {
            if !normalized.ends_with('-') {
                normalized.push('-');
            }
        } else {
            normalized.extend(character.to_lowercase());
        }
    }
    normalized
}

fn split<'t>(text: &'t str, separator: &str) -> (&'t str, Option<&'t str>) {
    text.split_once(separator).map_or((text, None), |(name, version)| (name, Some(version)))
}

/// Carries out useradd, groupadd, adduser or addgroup; `false`: it is not understood.
pub(super) fn user(stage: &mut Stage<'_>, words: &[&str], line: usize) -> bool {
    let [program, arguments @ ..] = words else { return false };
    let kind = if program.contains("group") { "group" } else { "user" };
    let mut fact = UserFact { kind, ..UserFact::default() };
    let (mut names, mut rest) = (Vec::new(), arguments.iter());
    let alpine = matches!(*program, "adduser" | "addgroup");
    while let Some(argument) = rest.next() {
        match *argument {
            "-u" | "--uid" => fact.id = rest.next().map(|id| (*id).to_owned()),
            "-g" | "--gid" if kind == "group" => fact.id = rest.next().map(|id| (*id).to_owned()),
            "-d" | "--home-dir" | "--home" => fact.home = rest.next().map(|home| (*home).to_owned()),
            "-h" if alpine => fact.home = rest.next().map(|home| (*home).to_owned()),
            "-G" if kind == "user" && alpine => drop(rest.next()),
            "-g" | "--gid" | "-G" | "--groups" | "-s" | "--shell" | "-c" | "--comment" | "-k" | "--gecos"
            | "--ingroup" => drop(rest.next()),
            option if option.starts_with('-') => match option.split_once('=') {
                Some(("--uid", id)) => fact.id = Some(id.to_owned()),
                Some(("--gid", id)) if kind == "group" => fact.id = Some(id.to_owned()),
                Some(("--home-dir" | "--home", home)) => fact.home = Some(home.to_owned()),
                _ => {}
            },
            name => names.push(name),
        }
    }
    match names[..] {
        [name] => {
            stage.add_user(name, fact, line);
            true
        }
        _ => false,
    }
}
