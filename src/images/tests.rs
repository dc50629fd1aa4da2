//! What instructions come to, one table per kind.

use std::collections::BTreeMap;

use super::*;

/// Files of the build context in these tests.
const FILES: &[(&str, &str, bool)] = &[
    ("a.py", "import b\n", false),
    ("b.py", "import os\n", false),
    ("run.sh", "#!/bin/sh\nexec git daemon\n", true),
    ("lib/__init__.py", "", false),
    ("lib/c.py", "from . import d\n", false),
    ("lib/d.py", "import yaml\n", false),
    ("requirements.txt", "PyYAML==6.0  # parser\n# none\nrequests>=2; python_version > '3'\n", false),
    (".dockerignore", "*.secret\n", false),
    ("key.secret", "x", false),
    ("odd/{a}.py", "import os\n", false),
    (
        "Cargo.toml",
        "[workspace]\nmembers = ['one', 'two']\n[workspace.dependencies]\ntwo = { path = 'two' }\n",
        false,
    ),
    ("Cargo.lock", "", false),
    ("one/Cargo.toml", "[package]\nname = 'one'\n[dependencies]\ntwo.workspace = true\n", false),
    ("one/src/main.rs", "", false),
    ("two/Cargo.toml", "[package]\nname = 'two'\n", false),
    ("two/src/lib.rs", "", false),
];

/// Symbolic links among them.
const LINKS: &[(&str, &str)] = &[
    ("linked", "lib"),
    ("out", "../../etc/passwd"),
    ("round", "round"),
    ("two/up", "../one/src"),
    ("a-link", "a.py"),
];

fn node(path: &str) -> Option<Node> {
    if let Some((_, target)) = LINKS.iter().find(|(link, _)| *link == path) {
        return Some(Node::Link((*target).to_owned()));
    }
    if let Some((_, _, executable)) = FILES.iter().find(|(file, ..)| *file == path) {
        return Some(Node::File { executable: *executable });
    }
    let below = |file: &str| -> Option<String> {
        let rest = if path.is_empty() { file } else { file.strip_prefix(path)?.strip_prefix('/')? };
        Some(rest.split('/').next().unwrap_or(rest).to_owned())
    };
    let links = LINKS.iter().filter_map(|(link, _)| below(link));
    let mut names: Vec<String> = FILES.iter().filter_map(|(file, ..)| below(file)).chain(links).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then_some(Node::Folder(names))
}

fn text(path: &str) -> Option<String> {
    FILES.iter().find(|(file, ..)| *file == path).map(|(_, text, _)| (*text).to_owned())
}

const TREE: Tree<'static> = Tree { node: &node, text: &text };

fn image(dockerfile: &str) -> Result<ImageFacts, ImageError> {
    read(dockerfile, &Build { dockerfile: "Dockerfile".to_owned(), ..Build::default() }, TREE)
}

/// A Dockerfile's facts in short: what it adds to its base image.
fn facts(dockerfile: &str) -> String {
    let facts = match image(dockerfile) {
        Ok(facts) => facts,
        Err(error) => return format!("line {}: {error}", error.line),
    };
    let mut words = Vec::new();
    for ((manager, name), version) in &facts.packages {
        words.push(format!("{manager}:{name}{}", version.value.as_deref().unwrap_or_default()));
    }
    for (path, PathFact { origin, owner, mode }) in facts.paths.iter().map(|(path, fact)| (path, &fact.value))
    {
        let owner = if owner == "root:root" { String::new() } else { format!(" {owner}") };
        let mode = if *mode == Mode::Unset { String::new() } else { format!(" {mode}") };
        words.push(format!("{path} <- {origin}{owner}{mode}"));
    }
    words.extend(facts.removed.keys().map(|path| format!("removed {path}")));
    for (name, user) in facts.users.iter().filter(|(_, user)| user.line > 0) {
        words.push(format!("{} {name} {}", user.value.kind, user.value.id.as_deref().unwrap_or("?")));
    }
    let own = |map: &BTreeMap<String, Fact<String>>| -> Vec<String> {
        map.iter()
            .filter(|(_, fact)| fact.line > 0)
            .map(|(name, fact)| format!("{name}={}", fact.value))
            .collect()
    };
    words.extend(own(&facts.environment));
    words.extend(own(&facts.labels));
    words.extend(
        facts.exposed.iter().filter(|(_, line)| **line > 0).map(|(port, _)| format!("expose {port}")),
    );
    words.extend(facts.user.iter().map(|user| format!("user {}", user.value)));
    words.extend(
        facts
            .entrypoint
            .iter()
            .filter(|fact| fact.line > 0)
            .map(|words| format!("entrypoint {:?}", words.value)),
    );
    words.extend(facts.cmd.iter().filter(|fact| fact.line > 0).map(|words| format!("cmd {:?}", words.value)));
    words.extend(facts.missing.iter().map(|(line, what)| format!("missing@{line} {what}")));
    words.extend(facts.not_understood.iter().map(|(line, what)| format!("?@{line} {what}")));
    words.join("; ")
}

fn check(table: &[(&str, &str)]) {
    for (dockerfile, expected) in table {
        let whole = if dockerfile.contains("FROM") {
            (*dockerfile).to_owned()
        } else {
            format!("FROM debian\n{dockerfile}")
        };
        assert_eq!(facts(&whole), *expected, "{dockerfile}");
    }
}

#[test]
fn copies() {
    check(&[
        ("COPY a.py /app/", "/app/a.py <- a.py not executable"),
        ("COPY a.py /app", "/app <- a.py not executable"),
        ("COPY a.py b.py /app/", "/app/a.py <- a.py not executable; /app/b.py <- b.py not executable"),
        ("WORKDIR /srv/x\nCOPY run.sh .", "/srv/x <- a folder; /srv/x/run.sh <- run.sh executable"),
        ("COPY --chown=7:8 --chmod=640 a.py /x", "/x <- a.py 7:8 0640"),
        ("COPY --chmod=u+x a.py /x", "/x <- a.py not executable; ?@2 --chmod=u+x"),
        (
            "COPY lib /app/lib",
            "/app/lib <- a folder; /app/lib/__init__.py <- lib/__init__.py not executable; \
          /app/lib/c.py <- lib/c.py not executable; /app/lib/d.py <- lib/d.py not executable",
        ),
        ("COPY [\"a.py\", \"/with space/\"]", "/with space/a.py <- a.py not executable"),
        ("ARG F=a.py\nCOPY ${F} /x/", "/x/a.py <- a.py not executable"),
        ("COPY none.py key.secret /x/", "missing@2 key.secret; missing@2 none.py"),
        ("COPY <<EOF /x\nhello\nEOF", "/x <- text of the Dockerfile"),
        ("ADD https://example.com/d/f.bin?x /opt/", "/opt/f.bin <- https://example.com/d/f.bin?x 0600"),
        ("ADD x.tar.gz /", "?@2 ADD x.tar.gz unpacks an archive"),
    ]);
}

#[test]
fn rare_forms() {
    check(&[
        (
            "COPY **/*.rs /x/",
            "/x/lib.rs <- two/src/lib.rs not executable; /x/main.rs <- one/src/main.rs not executable",
        ),
        (
            "COPY --parents one/src/main.rs a.py /x/",
            "/x/a.py <- a.py not executable; /x/one/src/main.rs <- one/src/main.rs not executable",
        ),
        ("COPY odd/{a}.py /x", "/x <- odd/{a}.py not executable"),
        ("COPY odd/{*}.py /x/", "/x/{a}.py <- odd/{a}.py not executable"),
        ("COPY a-link /x/", "/x/a-link <- a.py not executable"),
        ("COPY linked/d.py /x/", "missing@2 linked/d.py"),
        ("COPY out /x/", "missing@2 out"),
        ("COPY round /x/", "missing@2 round"),
        (
            "COPY two /x",
            "/x <- a folder; /x/Cargo.toml <- two/Cargo.toml not executable; \
             /x/src/lib.rs <- two/src/lib.rs not executable; /x/up <- a link to ../one/src",
        ),
        ("EXPOSE 8000-8002/udp", "expose 8000/udp; expose 8001/udp; expose 8002/udp"),
        ("EXPOSE x", "?@2 EXPOSE x"),
        ("ADD https://example.com/x.git#main /src", "/src <- https://example.com/x.git#main"),
        ("ADD git@example.com:x.git /src", "/src <- git@example.com:x.git"),
        ("COPY <<EOF /x/\nhello\nEOF", "?@2 a here-document in the folder /x/"),
        ("HEALTHCHECK NONE", ""),
        ("USER 7:8", "user 7:8"),
        (
            "# escape=`\nFROM debian\nCOPY a.py `\n  b.py /x/",
            "/x/a.py <- a.py not executable; /x/b.py <- b.py not executable",
        ),
        (
            "FROM debian AS b\nCOPY one/src two/src /out/\nFROM debian\nCOPY --from=b /out/*.rs /x/",
            "/x/lib.rs <- two/src/lib.rs not executable; /x/main.rs <- one/src/main.rs not executable",
        ),
        ("FROM debian AS b\nFROM debian\nCOPY --from=b /out/*.so /x/", "?@3 which paths /out/*.so matches"),
        (
            "FROM debian AS b\nCOPY a.py /a\nFROM debian\nCOPY --from=0 --link /a /x",
            "/x <- a.py not executable",
        ),
    ]);
    let text = |dockerfile: &str| image(dockerfile).unwrap().paths["/x"].value.origin.clone();
    let document = |mark: &str| text(&format!("FROM debian\nENV A=1\nCOPY <<{mark} /x\n\"$A\"\nEOF"));
    assert_eq!(document("EOF"), Origin::Inline("\"1\"\n".to_owned()));
    assert_eq!(document("'EOF'"), Origin::Inline("\"$A\"\n".to_owned()));
}

#[test]
fn stages() {
    check(&[
        ("FROM debian AS one\nCOPY a.py /a\nFROM debian\nCOPY --from=one /a /b", "/b <- a.py not executable"),
        ("FROM debian AS one\nCOPY a.py /a\nFROM one\nRUN chown 5 /a", "/a <- a.py 5:root not executable"),
        ("FROM debian\nCOPY --from=other/image:1 /bin/x /usr/bin/", "/usr/bin/x <- /bin/x of other/image:1"),
        (
            "ARG I=zricethezav/gitleaks:v1\nFROM ${I} AS g\nFROM debian\nCOPY --from=g /usr/bin/gitleaks /usr/bin/gitleaks",
            "/usr/bin/gitleaks <- /usr/bin/gitleaks of zricethezav/gitleaks:v1",
        ),
        (
            "FROM zricethezav/gitleaks AS g\nFROM debian\nCOPY --from=g /bin/gitleaks /x",
            "missing@3 /bin/gitleaks of zricethezav/gitleaks",
        ),
        (
            "FROM debian AS b\nRUN make && cp out/x /x\nFROM debian\nCOPY --from=b /x /y",
            "/y <- /out/x of the stage b; ?@2 make",
        ),
        (
            "FROM debian AS b\nRUN make\nFROM debian\nCOPY --from=b /x /y",
            "/y <- /x of the stage b; ?@2 make; ?@4 /x comes from commands of the stage b",
        ),
        ("FROM scratch AS b\nFROM debian\nCOPY --from=b /x /y", "missing@3 /x"),
        ("ARG B\nFROM ${B}", "line 2: FROM names no image: a build argument has no value"),
    ]);
}

#[test]
fn what_is_no_dockerfile_is_refused_with_its_line() {
    for (text, line) in
        [("FROM debian\nNOPE x", 2), ("COPY a b", 1), ("", 1), ("FROM debian\nCOPY <<EOF /x\nopen", 3)]
    {
        let error = image(text).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
    }
}

#[test]
fn commands_of_run() {
    check(&[
        (
            "RUN apt-get update && apt-get install -y --no-install-recommends git curl=8.1 \\\n # why\n && rm -rf /var/lib/apt/lists/*",
            "apt:curl8.1; apt:git",
        ),
        ("RUN apk add --no-cache --virtual .b gcc 'git>2' && apk del .b", ""),
        (
            "RUN pip install --no-cache-dir 'Flask[async]==3.0' zope.interface",
            "pip:flask==3.0; pip:zope-interface",
        ),
        (
            "COPY requirements.txt /r.txt\nRUN python3 -m pip install -r /r.txt",
            "pip:pyyaml==6.0; pip:requests>=2; /r.txt <- requirements.txt not executable",
        ),
        ("RUN pip install .", "?@2 pip install ."),
        ("RUN mkdir -p /a/b -m 700 /c", "/a/b <- a folder 0700; /c <- a folder 0700"),
        (
            "RUN groupadd -g 9 g && useradd -m -u 10 -g g u && mkdir /d && chown -R 10:9 /d",
            "/d <- a folder u:g; group g 9; user u 10",
        ),
        ("RUN adduser -D -H -u 10 u\nUSER u\nRUN mkdir /d", "/d <- a folder u:u; user u 10; user u"),
        ("RUN ln -s /usr/bin/python3 /usr/bin/python", "/usr/bin/python <- a link to /usr/bin/python3"),
        ("RUN rm /usr/bin/perl", "removed /usr/bin/perl"),
        ("COPY lib /l\nRUN rm -r /l", ""),
        ("COPY a.py /x\nRUN chmod +x /x && mv /x /y", "/y <- a.py executable"),
        ("COPY a.py /x\nRUN chmod 755 /x", "/x <- a.py 0755"),
        ("RUN echo hi > /etc/motd", "/etc/motd <- text of the Dockerfile"),
        ("RUN set -eux; cd /opt; mkdir x", "/opt/x <- a folder"),
        ("RUN [\"mkdir\", \"/x\"]", "/x <- a folder"),
        ("RUN [\"/bin/sh\", \"-c\", \"mkdir /x\"]", "/x <- a folder"),
        ("RUN <<EOF\nmkdir /x\nmake\nEOF", "/x <- a folder; ?@4 make"),
        (
            "RUN curl -o /x https://e.com/x && chmod +x /x",
            "/x <- the base image executable; ?@2 curl -o /x https://e.com/x",
        ),
        ("RUN mkdir /a || true", "?@2 mkdir /a || true"),
        ("RUN if true; then mkdir /a; fi", "?@2 if true; then mkdir /a; fi"),
        ("SHELL [\"powershell\"]\nRUN mkdir /a", "?@3 mkdir /a"),
        ("ENV D=/d\nRUN mkdir $D/${X:-y}", "/d/y <- a folder; D=/d"),
    ]);
}

#[test]
fn configuration() {
    check(&[
        ("ENV A=1 B=\"$A 2\"\nENV C $A b", "A=1; B= 2; C=1 b"),
        ("ARG V=1\nENV A=$V", "A=1"),
        ("LABEL a.b=\"c d\"", "a.b=c d"),
        ("EXPOSE 80 53/UDP", "expose 53/udp; expose 80/tcp"),
        (
            "ENTRYPOINT [\"a\", \"b\"]\nCMD c d",
            "entrypoint [\"a\", \"b\"]; cmd [\"/bin/sh\", \"-c\", \"c d\"]",
        ),
        ("CMD [\"x\"]\nENTRYPOINT [\"a\"]", "entrypoint [\"a\"]; cmd [\"x\"]"),
        ("ONBUILD RUN x", "?@2 ONBUILD acts on images that are built from this one"),
    ]);
    let python = image("FROM python:3\nENTRYPOINT [\"a\"]").unwrap();
    assert_eq!(python.cmd, None, "ENTRYPOINT takes the base image's CMD away");
    assert!(python.environment.contains_key("PYTHON_VERSION"));
    let mitmproxy = image("FROM mitmproxy/mitmproxy:11.1.3").unwrap();
    assert_eq!(mitmproxy.cmd.unwrap().value, ["mitmproxy"]);
    assert!(!image("FROM nobody/knows").unwrap().base_known);
}

#[test]
fn a_cargo_build_needs_its_crates() {
    let build = |copies: &str| {
        facts(&format!("FROM rust AS b\nWORKDIR /b\n{copies}RUN cargo build --locked -p one\nFROM debian"))
    };
    assert_eq!(build("COPY Cargo.lock Cargo.toml ./\nCOPY one one\nCOPY two two\n"), "");
    assert_eq!(
        build("COPY Cargo.toml ./\nCOPY one one\nCOPY two two\n"),
        "missing@6 /b/Cargo.lock, which cargo build needs"
    );
    assert_eq!(
        build("COPY Cargo.lock Cargo.toml ./\nCOPY one one\n"),
        "missing@5 /b/two/Cargo.toml, which cargo build needs"
    );
    assert_eq!(
        build("COPY Cargo.lock Cargo.toml ./\nCOPY two two\n"),
        "missing@5 the crate one, which cargo build needs"
    );
}

#[test]
fn modules_import_what_is_there() {
    let missing = |dockerfile: &str| {
        let facts = image(dockerfile).unwrap();
        let missing = missing_imports(&facts, &Build::default(), TREE);
        missing
            .iter()
            .map(|import| format!("{}:{} {}", import.source, import.line, import.module))
            .collect::<Vec<_>>()
    };
    assert_eq!(missing("FROM python:3\nCOPY a.py b.py /app/"), Vec::<String>::new());
    assert_eq!(missing("FROM python:3\nCOPY a.py /app/"), ["a.py:1 b"]);
    assert_eq!(missing("FROM python:3\nCOPY lib /app/lib"), ["lib/d.py:1 yaml"]);
    assert_eq!(missing("FROM python:3\nRUN pip install pyyaml\nCOPY lib /app/lib"), Vec::<String>::new());
    assert_eq!(missing("FROM python:3\nRUN pip install pyyaml\nCOPY lib/c.py /x/"), ["lib/c.py:1 .d"]);
    assert_eq!(
        missing("FROM python:3\nENV PYTHONPATH=/l\nCOPY a.py /app/\nCOPY b.py /l/"),
        Vec::<String>::new()
    );
}

#[test]
fn scripts_call_what_is_there() {
    let missing = |dockerfile: &str| {
        let missing = missing_commands(&image(dockerfile).unwrap(), &Build::default(), TREE);
        missing
            .iter()
            .map(|call| format!("{}:{} {}", call.source, call.line, call.command))
            .collect::<Vec<_>>()
    };
    assert_eq!(missing("FROM debian\nCOPY run.sh /"), ["run.sh:2 git"]);
    assert_eq!(missing("FROM debian\nRUN apt-get install git\nCOPY run.sh /"), Vec::<String>::new());
    assert_eq!(
        missing("FROM unknown/base\nCOPY run.sh /"),
        Vec::<String>::new(),
        "nothing is said of an unknown base"
    );
}
