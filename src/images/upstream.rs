//! What is known of images that the project does not build, each fact with its source.

use super::facts::{Fact, ImageFacts, Mode, Origin, PathFact};

/// An image that somebody else publishes.
#[derive(Debug)]
pub struct Upstream {
    /// Repository, without registry, tag and digest.
    pub repository: &'static str,
    /// Digests of the versions that these facts describe.
    pub digests: &'static [&'static str],
    /// Names of the variables that it sets.
    pub environment: &'static [&'static str],
    /// Users that it has besides root: name, number, home.
    pub users: &'static [(&'static str, &'static str, &'static str)],
    /// ENTRYPOINT.
    pub entrypoint: &'static [&'static str],
    /// CMD.
    pub cmd: &'static [&'static str],
    /// EXPOSE.
    pub exposed: &'static [&'static str],
    /// VOLUME.
    pub volumes: &'static [&'static str],
    /// HEALTHCHECK.
    pub health: &'static [&'static str],
    /// Files that others copy from it.
    pub files: &'static [&'static str],
    /// Commands that scripts may call, besides those of [`Upstream::base`].
    pub commands: &'static [&'static str],
    /// Its Python packages, by the name that is imported.
    pub modules: &'static [&'static str],
    /// The image that it is built on.
    pub base: Option<&'static str>,
}

const NOTHING: Upstream = Upstream {
    repository: "",
    digests: &[],
    environment: &[],
    users: &[],
    entrypoint: &[],
    cmd: &[],
    exposed: &[],
    volumes: &[],
    health: &[],
    files: &[],
    commands: &[],
    modules: &[],
    base: None,
};

/// Every known image. Sources: the Dockerfiles that each project publishes for the version which this project pins.
pub static UPSTREAMS: &[Upstream] = &[
    // debuerreotype's debian:trixie-slim; commands of its essential packages.
    Upstream {
        repository: "debian",
        digests: &["a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f"],
        environment: &["PATH"],
        cmd: &["bash"],
        commands: &[
            "awk",
            "basename",
            "bash",
            "cat",
            "chgrp",
            "chmod",
            "chown",
            "chroot",
            "cmp",
            "comm",
            "cp",
            "cut",
            "date",
            "dd",
            "df",
            "diff",
            "dirname",
            "du",
            "env",
            "expand",
            "expr",
            "find",
            "flock",
            "fold",
            "getent",
            "grep",
            "groupadd",
            "gzip",
            "head",
            "hostname",
            "id",
            "install",
            "join",
            "kill",
            "ln",
            "ls",
            "md5sum",
            "mkdir",
            "mkfifo",
            "mktemp",
            "more",
            "mount",
            "mv",
            "nice",
            "nl",
            "nohup",
            "nproc",
            "od",
            "paste",
            "perl",
            "printenv",
            "ps",
            "readlink",
            "realpath",
            "rm",
            "rmdir",
            "sed",
            "seq",
            "setpriv",
            "sh",
            "sha256sum",
            "sleep",
            "sort",
            "split",
            "stat",
            "stty",
            "su",
            "sync",
            "tac",
            "tail",
            "tar",
            "tee",
            "timeout",
            "touch",
            "tr",
            "truncate",
            "tty",
            "uname",
            "uniq",
            "useradd",
            "wc",
            "whoami",
            "xargs",
            "yes",
        ],
        ..NOTHING
    },
    // docker-library/python, 3.13/slim-trixie/Dockerfile.
    Upstream {
        repository: "python",
        digests: &["9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285"],
        environment: &["GPG_KEY", "PATH", "PYTHON_SHA256", "PYTHON_VERSION"],
        cmd: &["python3"],
        commands: &["pip", "pip3", "python", "python3"],
        modules: &["pip"],
        base: Some("debian"),
        ..NOTHING
    },
    // mitmproxy/mitmproxy, release/docker/Dockerfile and pyproject.toml, v11.1.3.
    Upstream {
        repository: "mitmproxy/mitmproxy",
        digests: &["e0deb0df7edf9f909053f274a067cd1cacb90f5c17d74459e1693179c0b98d8f"],
        environment: &["GPG_KEY", "PATH", "PYTHON_SHA256", "PYTHON_VERSION"],
        users: &[("mitmproxy", "1000", "/home/mitmproxy")],
        entrypoint: &["docker-entrypoint.sh"],
        cmd: &["mitmproxy"],
        exposed: &["8080/tcp", "8081/tcp"],
        volumes: &["/home/mitmproxy/.mitmproxy"],
        commands: &["gosu", "mitmdump", "mitmproxy", "mitmweb", "nano"],
        modules: &[
            "OpenSSL",
            "aioquic",
            "argon2",
            "asgiref",
            "bcrypt",
            "certifi",
            "cryptography",
            "flask",
            "h11",
            "h2",
            "hpack",
            "hyperframe",
            "jinja2",
            "kaitaistruct",
            "ldap3",
            "mitmproxy",
            "mitmproxy_rs",
            "msgpack",
            "passlib",
            "pyasn1",
            "pylsqpack",
            "pyparsing",
            "pyperclip",
            "ruamel",
            "service_identity",
            "sortedcontainers",
            "tornado",
            "typing_extensions",
            "urwid",
            "werkzeug",
            "wsproto",
            "zstandard",
        ],
        base: Some("python"),
        ..NOTHING
    },
    // luckypipewrench/pipelock 2.3.0: FROM scratch, one static binary.
    Upstream {
        repository: "luckypipewrench/pipelock",
        digests: &["3b1a39417b98406ddc5dc2d8fcb42865ddc0c68a43d355db55f0f8cb06bc6de9"],
        entrypoint: &["/pipelock"],
        cmd: &["run", "--listen", "0.0.0.0:8888"],
        exposed: &["8888/tcp"],
        health: &["/pipelock", "healthcheck"],
        files: &["/pipelock"],
        ..NOTHING
    },
    // zricethezav/gitleaks v8.30.1, Dockerfile.
    Upstream {
        repository: "zricethezav/gitleaks",
        digests: &["c00b6bd0aeb3071cbcb79009cb16a60dd9e0a7c60e2be9ab65d25e6bc8abbb7f"],
        environment: &["PATH"],
        entrypoint: &["gitleaks"],
        files: &["/usr/bin/gitleaks"],
        commands: &["gitleaks"],
        base: Some("alpine"),
        ..NOTHING
    },
    // alpinelinux/docker-alpine: a root with busybox.
    Upstream {
        repository: "alpine",
        environment: &["PATH"],
        cmd: &["/bin/sh"],
        commands: &[
            "adduser",
            "addgroup",
            "awk",
            "basename",
            "cat",
            "chgrp",
            "chmod",
            "chown",
            "cp",
            "cut",
            "date",
            "dirname",
            "env",
            "expr",
            "find",
            "flock",
            "grep",
            "gzip",
            "head",
            "hostname",
            "id",
            "install",
            "kill",
            "ln",
            "ls",
            "mkdir",
            "mkfifo",
            "mktemp",
            "mv",
            "nc",
            "nice",
            "nohup",
            "od",
            "printenv",
            "ps",
            "readlink",
            "realpath",
            "rm",
            "rmdir",
            "sed",
            "seq",
            "sh",
            "sha256sum",
            "sleep",
            "sort",
            "split",
            "stat",
            "su",
            "tail",
            "tar",
            "tee",
            "timeout",
            "touch",
            "tr",
            "truncate",
            "uname",
            "uniq",
            "wc",
            "wget",
            "whoami",
            "xargs",
            "yes",
        ],
        ..NOTHING
    },
    // rust-lang/docker-rust, stable/trixie/slim/Dockerfile.
    Upstream {
        repository: "rust",
        digests: &["81099830a1e1d244607b9a7a30f3ff6ecadc52134a933b4635faba24f52840c9"],
        environment: &["CARGO_HOME", "PATH", "RUSTUP_HOME", "RUST_VERSION"],
        cmd: &["bash"],
        commands: &["cargo", "gcc", "rustc"],
        base: Some("debian"),
        ..NOTHING
    },
];

/// The repository of a reference: no registry host of the default kind, no tag, no digest.
#[must_use]
pub fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    // A colon before the last slash belongs to a registry's port.
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let name = match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => name,
    };
    name.strip_prefix("library/").unwrap_or(name)
}

/// What is known of an image; `None`: nothing.
#[must_use]
pub fn find(reference: &str) -> Option<&'static Upstream> {
    let repository = repository(reference);
    UPSTREAMS.iter().find(|upstream| upstream.repository == repository)
}

/// What a published image is known to hold and say; `None`: nothing.
#[must_use]
pub fn facts(reference: &str) -> Option<ImageFacts> {
    let upstream = find(reference)?;
    let mut facts = ImageFacts { base_known: true, ..ImageFacts::default() };
    for path in upstream.files {
        let origin = Origin::Image { reference: reference.to_owned(), path: (*path).to_owned() };
        let value = PathFact { origin, owner: "root:root".to_owned(), mode: Mode::Unset };
        facts.paths.insert((*path).to_owned(), Fact { value, line: 0 });
    }
    facts.exposed = upstream.exposed.iter().map(|port| ((*port).to_owned(), 0)).collect();
    Some(facts)
}

/// The image and those below it.
pub(super) fn layers(reference: &str) -> impl Iterator<Item = &'static Upstream> {
    std::iter::successors(find(reference), |upstream| upstream.base.and_then(find))
}

/// Whether an image is built on the other one, as far as is known.
#[must_use]
pub fn below(reference: &str, base: &str) -> bool {
    let base = repository(base);
    layers(reference).skip(1).any(|layer| layer.repository == base)
}

/// Whether the facts of the table describe the version that a reference names, judged by its digest.
#[must_use]
pub fn describes(reference: &str) -> bool {
    let digest = reference.split_once("@sha256:").map(|(_, digest)| digest);
    digest.is_none_or(|digest| find(reference).is_some_and(|upstream| upstream.digests.contains(&digest)))
}

/// Whether a reference names its content by digest.
#[must_use]
pub fn is_pinned(reference: &str) -> bool {
    reference.contains("@sha256:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_a_repository() {
        for (reference, expected) in [
            ("debian", "debian"),
            ("debian:trixie-slim@sha256:ab", "debian"),
            ("docker.io/library/python:3.13", "python"),
            ("ghcr.io/luckypipewrench/pipelock:2.3.0", "luckypipewrench/pipelock"),
            ("localhost:5000/x", "x"),
            ("mitmproxy/mitmproxy@sha256:ab", "mitmproxy/mitmproxy"),
        ] {
            assert_eq!(repository(reference), expected, "{reference}");
        }
        assert!(find("nobody/knows:1").is_none());
        let below: Vec<_> = layers("mitmproxy/mitmproxy:11").map(|upstream| upstream.repository).collect();
        assert_eq!(below, ["mitmproxy/mitmproxy", "python", "debian"]);
    }

    #[test]
    fn every_base_is_known() {
        assert!(UPSTREAMS.iter().filter_map(|upstream| upstream.base).all(|base| find(base).is_some()));
    }
}
