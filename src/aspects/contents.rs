//! What images hold and say: what a daemon's own image gave it, the bundle's image has to give it too.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Difference, differences};
use super::pair::Pair;
use crate::finding::{Finding, Shown};
use crate::images::{Fact, Image, ImageFacts, Mode, Origin, PathFact, upstream};
use crate::rule::{Rule, rules};
use crate::view::View;

rules! {
    comparison:
    PATH_LOST = ImagePathLost Conservation Error ["path"] "the bundle's image lacks a file or folder that a daemon's own image has"
        "The daemon runs from it, reads it, or writes there. Without it the daemon does not start, or fails \
         later, when it needs it. A source of COPY that does not exist counts too: that image cannot be built.\n\n\
         Example: `Dockerfile.egress` copies `yaml_subset.py` to `/app`, and `Dockerfile.sidecars` does not.\n\n\
         What to do: add the path to the COPY or RUN of the bundle's Dockerfile.";
    PATH_CHANGED = ImagePathChanged Conservation Error ["path"] "the bundle's image has another file, owner or mode at a path of a daemon's image"
        "A path has to hold the same source, belong to the same user and have the same permissions, or the daemon \
         runs other code, cannot read its configuration, or cannot write its state.\n\n\
         Example: `/home/mitmproxy/.mitmproxy` belongs to mitmproxy in `Dockerfile.egress` and to root in \
         `Dockerfile.sidecars`.\n\n\
         What to do: copy the instruction of the legacy Dockerfile, with its `chown` and `chmod`.";
    PATH_GAINED = ImagePathGained Containment Note ["path"] "the bundle's image has a file or folder that no legacy image has"
        "Every daemon of the bundle can read it, and an agent that takes one of them over can, too. Mostly it is \
         harmless; a key or a tool that was left in an image is not.\n\n\
         Example: `Dockerfile.sidecars` copies the whole folder `bot_bottle`, with its tests.\n\n\
         What to do: copy what the daemons need and nothing else.";
    PACKAGE_LOST = ImagePackageLost Conservation Error ["package"] "the bundle's image lacks a package that a daemon's own image installs"
        "The daemon calls its programs or loads its libraries. A package whose version is pinned has to be pinned to \
         the same version.\n\n\
         Example: `Dockerfile.git-gate` installs `openssh-client`, and the bundle does not, so that no push reaches \
         its upstream.\n\n\
         What to do: install it in the bundle's Dockerfile too.";
    PACKAGE_GAINED = ImagePackageGained Containment Warning ["package"] "the bundle's image installs a package that no legacy image installs"
        "Its programs are there for every daemon, and for whoever takes one of them over. A shell, a compiler or a \
         network tool makes an escape easier.\n\n\
         Example: `Dockerfile.sidecars` installs `curl`, which no daemon needs.\n\n\
         What to do: leave it out, or install it in a build stage.";
    USER_LOST = ImageUserLost Conservation Error ["user"] "the bundle's image lacks a user that a daemon's own image has"
        "The init refuses to start a daemon as a user that the image does not know, and files that belonged to the user \
         have an owner without a name.\n\n\
         Example: `Dockerfile.egress` adds the user `proxy` with number 1001, and the bundle's image has no such user.\n\n\
         What to do: add the user with the same name, number and home.";
    ENV_LOST = ImageEnvLost Conservation Error ["variable"] "the bundle's image does not set a variable that a daemon's own image sets"
        "The daemon reads it from its environment. The compose file does not show it, so that a comparison of compose \
         files alone misses it.\n\n\
         Example: `Dockerfile.supervise` has `ENV PYTHONUNBUFFERED=1`, and log lines of the bundle come late.\n\n\
         What to do: set it in the bundle's Dockerfile, or for this daemon alone in the compose file.";
    ENV_GAINED = ImageEnvGained Containment Warning ["variable"] "the bundle's image sets a variable for a daemon whose own image does not"
        "ENV of the bundle's image reaches every daemon, unless the init passes on only what is listed \
         (`BOT_BOTTLE_SIDECAR_ENV=listed`). pipelock takes long values of its environment for secrets and blocks \
         requests that contain them.\n\n\
         Example: the base image of egress sets `GPG_KEY`, which now reaches pipelock.\n\n\
         What to do: set `BOT_BOTTLE_SIDECAR_ENV=listed` in the bundle, or remove the variable from the image.";
    EXPOSE_LOST = ImageExposeLost Conservation Warning ["port"] "the bundle's image does not EXPOSE a port of a daemon's image"
        "EXPOSE opens nothing by itself. It documents the port, and `docker run -P` and proxies that find their \
         targets by it no longer see the daemon.\n\n\
         Example: `Dockerfile.git-gate` has `EXPOSE 9418`, and the bundle's Dockerfile does not.\n\n\
         What to do: add the port to EXPOSE.";
    EXPOSE_GAINED = ImageExposeGained Containment Note ["port"] "the bundle's image EXPOSEs a port that no legacy image does"
        "`docker run -P` publishes every exposed port, on all addresses of the host, where anybody may reach it. Compose does not.\n\n\
         Example: `Dockerfile.sidecars` has `EXPOSE 22`.\n\n\
         What to do: remove the port from EXPOSE.";
    HEALTH_LOST = ImageHealthLost Conservation Error ["image"] "the bundle's image has no health check that covers its daemons"
        "Whoever runs the image without the compose file's health check sees a dead daemon as healthy. The probe has to \
         be `sidecar-init check`, which covers every enabled daemon, with the timing that the bundle's compose file has.\n\n\
         Example: `Dockerfile.sidecars` has `HEALTHCHECK NONE`.\n\n\
         What to do: restore `HEALTHCHECK … CMD [\"/usr/local/bin/sidecar-init\", \"check\"]`.";
    ENTRYPOINT = ImageEntrypointChanged Conservation Error ["image"] "the bundle's image does not start sidecar-init alone"
        "PID 1 of the bundle starts the daemons and keeps them apart. Another program, or arguments in CMD, change what \
         runs and which walls there are.\n\n\
         Example: `ENTRYPOINT [\"sh\", \"-c\", \"sidecar-init & exec pipelock run\"]`.\n\n\
         What to do: restore `ENTRYPOINT [\"/usr/local/bin/sidecar-init\"]`, without CMD.";
    CONFIG = ImageConfigChanged Conservation Warning ["setting"] "the bundle's image has another STOPSIGNAL, VOLUME or LABEL than a daemon's image"
        "STOPSIGNAL decides what `docker stop` sends, VOLUME makes an anonymous volume, and scripts find containers by \
         LABEL.\n\n\
         Example: `Dockerfile.egress` has `STOPSIGNAL INT`, and the bundle's image gets TERM.\n\n\
         What to do: carry the instruction over, or keep the setting in the daemon's row.";
    IMPORT = ImageImportMissing Conservation Error ["module"] "a Python module of the bundle's image imports one that the image lacks"
        "The import fails when the daemon starts, or later if it is inside a function. A module gains an import \
         sooner than a Dockerfile's list of files does.\n\n\
         Example: `supervise_server.py` imports `queue_files`, which no COPY of `Dockerfile.sidecars` names.\n\n\
         What to do: copy the module, or install the package.";
    COMMAND = ImageCommandMissing Conservation Warning ["command"] "a shell script of the bundle's image calls a command that nothing in the image provides"
        "The script fails at that line. Commands count as provided by the base image, by packages, and by files in the \
         folders of PATH; what an unusual package brings may be unknown here.\n\n\
         Example: git-gate's entrypoint calls `nc`, and the bundle's image no longer installs netcat.\n\n\
         What to do: install the package, or change the script.";
    BASE = ImageBaseChanged Conservation Error ["image"] "the bundle's image is not built on the base image of a daemon"
        "The daemon's interpreter and libraries come from its base image. The bundle has to start from the same one, in \
         the same version, or from one that is built on it.\n\n\
         Example: `Dockerfile.egress` starts from mitmproxy 11.1.3 and `Dockerfile.sidecars` from mitmproxy 12.\n\n\
         What to do: use the same base image, tag and digest in both Dockerfiles.";
    BASE_UNKNOWN = ImageBaseUnknown Conservation Note ["image"] "a Dockerfile uses a version of an image that the checker knows nothing of"
        "The checker knows the contents of the image versions that this project pins, by their digest. Of another \
         version, or another image, the checker cannot say which programs, users and variables it brings.\n\n\
         Example: `Dockerfile.supervise` starts from another build of `python:3.13-slim-trixie`.\n\n\
         What to do: compare what runs, with `diff --running`, after every change of a digest.";
    NOT_UNDERSTOOD = ImageNotUnderstood Conservation Note ["line"] "an instruction of a Dockerfile does something that the comparison cannot follow"
        "What the instruction puts into the image, or takes out of it, is not part of the comparison. The engine shows \
         the result: `diff --running` compares what runs.\n\n\
         Example: `RUN make install` in `Dockerfile.sidecars`.\n\n\
         What to do: read the instruction, or write it with COPY and plain commands.";
}

/// One item of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Path,
    Package,
    User,
    Expose,
    Volume,
    Label,
    StopSignal,
}

impl Kind {
    /// Rules for what is lost, for what is another, and for what is gained.
    fn rules(self) -> (&'static Rule, &'static Rule, Option<&'static Rule>) {
        match self {
            Self::Path => (&PATH_LOST, &PATH_CHANGED, Some(&PATH_GAINED)),
            Self::Package => (&PACKAGE_LOST, &PACKAGE_LOST, Some(&PACKAGE_GAINED)),
            Self::User => (&USER_LOST, &USER_LOST, None),
            Self::Expose => (&EXPOSE_LOST, &EXPOSE_LOST, Some(&EXPOSE_GAINED)),
            Self::Volume | Self::Label | Self::StopSignal => (&CONFIG, &CONFIG, Some(&CONFIG)),
        }
    }
}

/// A fact as it is compared, and where its Dockerfile says so.
struct Item {
    text: String,
    line: usize,
}

/// Packages that only a health probe needed, which the bundle's probe replaces.
const PROBES: [&str; 3] = ["netcat-openbsd", "netcat-traditional", "wget"];

fn items(facts: &ImageFacts) -> BTreeMap<(Kind, String), Item> {
    let mut items = BTreeMap::new();
    let mut add = |kind, key: String, text: String, line| {
        items.insert((kind, key), Item { text, line });
    };
    for (path, Fact { value, line }) in &facts.paths {
        add(Kind::Path, canonical(path, value).to_owned(), shown(value), *line);
    }
    for (path, line) in &facts.removed {
        add(Kind::Path, path.clone(), "removed".to_owned(), *line);
    }
    for ((manager, name), fact) in &facts.packages {
        let version = fact.value.as_deref().unwrap_or("any version");
        add(Kind::Package, name.clone(), format!("{manager}, {version}"), fact.line);
    }
    for (name, fact) in &facts.users {
        let (id, home) = (fact.value.id.as_deref().unwrap_or("?"), fact.value.home.as_deref().unwrap_or("?"));
        add(Kind::User, name.clone(), format!("{} {id}, home {home}", fact.value.kind), fact.line);
    }
    for (port, line) in &facts.exposed {
        add(Kind::Expose, port.clone(), "exposed".to_owned(), *line);
    }
    for (path, line) in &facts.volumes {
        add(Kind::Volume, format!("VOLUME {path}"), "volume".to_owned(), *line);
    }
    for (name, fact) in &facts.labels {
        add(Kind::Label, format!("LABEL {name}"), fact.value.clone(), fact.line);
    }
    if let Some(fact) = &facts.stop_signal {
        let signal = fact.value.trim_start_matches("SIG").to_owned();
        if !matches!(&*signal, "TERM" | "15") {
            add(Kind::StopSignal, "STOPSIGNAL".to_owned(), signal, fact.line);
        }
    }
    items
}

/// pipelock's own image has it at the root; the bundle's has it among the programs.
fn canonical<'p>(path: &'p str, fact: &PathFact) -> &'p str {
    match &fact.origin {
        Origin::Image { path: source, .. } if source == "/pipelock" && path == "/pipelock" => {
            "/usr/local/bin/pipelock"
        }
        _ => path,
    }
}

fn shown(fact: &PathFact) -> String {
    let mode = match fact.mode {
        Mode::Unset => String::new(),
        mode => format!(", {mode}"),
    };
    format!("{}, {}{mode}", fact.origin, fact.owner)
}

/// A place in a Dockerfile, for a message.
fn at(image: &Image, line: usize) -> String {
    match (&*image.dockerfile, line) {
        ("", _) => "the published image".to_owned(),
        (file, 0) => format!("the base image of {file}"),
        (file, line) => format!("{file}:{line}"),
    }
}

/// What one daemon loses.
pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (Some(before), Some(after)) = (pair.before.image.contents, pair.after.image.contents) else { return };
    let places = (pair.was("image"), pair.is("image"));
    let (old, new) = (items(&before.facts), items(&after.facts));
    // What a container of its own gains is gained by this principal; what the bundle gains, by all.
    let alone = pair.after.walls.is_none() && !after.dockerfile.is_empty();
    for difference in differences(&old, &new, |a: &Item, b: &Item| a.text == b.text) {
        match difference {
            Difference::Lost((kind, key), item) => {
                let probe = *kind == Kind::Package && PROBES.contains(&key.as_str());
                // The login group of a user comes with the user; the finding about the base image covers what the base lacks.
                if !probe && (item.line > 0 || before.dockerfile.is_empty()) {
                    let shown = Shown::plain(&item.text, &places.0);
                    findings.push(Finding::lost(kind.rules().0, pair.name, key, shown).because(format!(
                        "{} has it, {} does not",
                        at(before, item.line),
                        after.dockerfile
                    )));
                }
            }
            Difference::Changed((kind, key), was, is)
                if was.line > 0 || is.line > 0 || before.dockerfile.is_empty() =>
            {
                let rule = if *kind == Kind::Path && reference(&was.text) != reference(&is.text) {
                    &super::image::PIN
                } else {
                    kind.rules().1
                };
                findings.push(
                    Finding::changed(
                        rule,
                        pair.name,
                        key,
                        Shown::plain(&was.text, &places.0),
                        Shown::plain(&is.text, &places.1),
                    )
                    .because(format!(
                        "{} differs from {}",
                        at(after, is.line),
                        at(before, was.line)
                    )),
                );
            }
            Difference::Gained((kind, key), item) if alone && item.line > 0 => {
                if let Some(rule) = kind.rules().2 {
                    let shown = Shown::plain(&item.text, &places.1);
                    findings.push(Finding::gained(rule, pair.name, key, shown).because(format!(
                        "{} has it, {} does not",
                        at(after, item.line),
                        before.dockerfile
                    )));
                }
            }
            _ => {}
        }
    }
    if alone && probe(&before.facts) != probe(&after.facts) {
        let shown = |facts, place: &String| Shown::plain(probe(facts), place);
        findings.push(
            Finding::changed(
                &HEALTH_LOST,
                pair.name,
                "HEALTHCHECK",
                shown(&before.facts, &places.0),
                shown(&after.facts, &places.1),
            )
            .because(format!("{} has another than {}", after.dockerfile, before.dockerfile)),
        );
    }
    base(pair, before, after, findings);
    for name in pair.after.image_environment.iter().filter(|name| **name != "PATH") {
        let Some(fact) = after.facts.environment.get(*name) else { continue };
        if !before.facts.environment.contains_key(*name) {
            let shown = Shown::plain(&fact.value, &places.1);
            findings.push(
                Finding::gained(&ENV_GAINED, pair.name, *name, shown)
                    .because(format!("{} sets it for every daemon", at(after, fact.line))),
            );
        }
    }
    environment(pair, before, after, findings);
}

/// Variables that the daemon's own Dockerfile sets, and that do not reach it in the bundle.
fn environment(pair: &Pair<'_>, before: &Image, after: &Image, findings: &mut Vec<Finding>) {
    let (was, is) = (pair.was("image"), pair.is("image"));
    for (name, old) in before.facts.environment.iter().filter(|(_, fact)| fact.line > 0) {
        // The compose file may set it instead, which another aspect compares.
        if pair.after.environment.contains_key(name.as_str())
            || pair.before.environment.contains_key(name.as_str())
        {
            continue;
        }
        let reaches = pair.after.image_environment.contains(name.as_str());
        match after.facts.environment.get(name).filter(|_| reaches) {
            Some(new) if new.value == old.value => {}
            Some(new) => findings.push(
                Finding::changed(
                    &ENV_LOST,
                    pair.name,
                    name,
                    Shown::plain(&old.value, was.clone()),
                    Shown::plain(&new.value, is.clone()),
                )
                .because(format!(
                    "{} differs from {}",
                    at(after, new.line),
                    at(before, old.line)
                )),
            ),
            None => findings.push(
                Finding::lost(&ENV_LOST, pair.name, name, Shown::plain(&old.value, was.clone())).because(
                    format!(
                        "{} sets it, and in the bundle it does not reach the daemon",
                        at(before, old.line)
                    ),
                ),
            ),
        }
    }
}

/// The image in `… of IMAGE, owner`.
fn reference(text: &str) -> Option<&str> {
    Some(text.split_once(" of ")?.1.split(',').next()?).filter(|rest| !rest.starts_with("the stage"))
}

fn base(pair: &Pair<'_>, before: &Image, after: &Image, findings: &mut Vec<Finding>) {
    let Some(old) = before.facts.base.as_ref().filter(|_| !before.dockerfile.is_empty()) else { return };
    let new = after.facts.base.as_ref().map_or("scratch", |base| &base.value);
    let line = after.facts.base.as_ref().map_or(0, |base| base.line);
    let same = if upstream::repository(&old.value) == upstream::repository(new) {
        old.value == new
    } else {
        // Another image may be built on this one.
        upstream::below(new, &old.value)
    };
    if !same {
        let (was, is) = (pair.was("image"), pair.is("image"));
        findings.push(
            Finding::changed(&BASE, pair.name, "FROM", Shown::plain(&old.value, was), Shown::plain(new, is))
                .because(format!(
                    "{} starts from another image than {}",
                    at(after, line),
                    at(before, old.line)
                )),
        );
    }
}

/// What the images have beyond any one daemon.
pub(super) fn documents(before: &View<'_>, after: &View<'_>, findings: &mut Vec<Finding>) {
    let legacy = &before.legacy_images;
    let mut seen = BTreeSet::new();
    let built = after.principals.values().filter_map(|principal| principal.image.contents);
    for image in legacy.iter().copied().chain(built) {
        alone(image, &mut seen, findings);
    }
    let mut merged = after.principals.values().filter(|principal| principal.walls.is_some());
    let found = merged.find_map(|principal| Some((principal, principal.image.contents?)));
    let Some((principal, bundle)) = found else { return };
    if legacy.is_empty() {
        return;
    }
    let place = format!("services.{}.image", principal.service);
    let had: BTreeSet<(Kind, String)> =
        legacy.iter().flat_map(|image| items(&image.facts).into_keys()).collect();
    for ((kind, key), item) in items(&bundle.facts) {
        let Some(rule) = kind.rules().2 else { continue };
        let own = kind == Kind::Path && INIT.contains(&key.as_str());
        // A folder above a path that is compared is no news.
        let holds =
            |(other, path): &(Kind, String)| *other == Kind::Path && path.starts_with(&format!("{key}/"));
        let compared = had.contains(&(kind, key.clone())) || kind == Kind::Path && had.iter().any(holds);
        if item.line > 0 && !own && !compared {
            findings.push(
                Finding::gained(rule, "", &key, Shown::plain(&item.text, &place))
                    .because(format!("{} has it, and no legacy image does", at(bundle, item.line))),
            );
        }
    }
    for (name, fact) in bundle.facts.environment.iter().filter(|(_, fact)| fact.line > 0) {
        if !legacy.iter().any(|image| image.facts.environment.contains_key(name)) {
            findings.push(
                Finding::gained(&ENV_GAINED, "", name, Shown::plain(&fact.value, &place))
                    .because(format!("{} sets it for sidecar-init itself", at(bundle, fact.line))),
            );
        }
    }
    runs_the_init(bundle, &place, findings);
}

/// What the bundle's image has for the init itself, and for configuration that is mounted there.
const INIT: [&str; 2] = ["/etc/pipelock", "/usr/local/bin/sidecar-init"];

fn runs_the_init(bundle: &Image, place: &str, findings: &mut Vec<Finding>) {
    let facts = &bundle.facts;
    let init =
        |words: &[String]| matches!(words, [program] if program.rsplit('/').next() == Some("sidecar-init"));
    let entrypoint = facts.entrypoint.as_ref();
    let starts = entrypoint.is_some_and(|fact| init(&fact.value)) && facts.cmd.is_none();
    if !starts {
        let mut words: Vec<&str> =
            entrypoint.iter().flat_map(|fact| &fact.value).map(String::as_str).collect();
        words.extend(facts.cmd.iter().flat_map(|fact| &fact.value).map(String::as_str));
        let line = entrypoint.map_or(0, |fact| fact.line);
        findings.push(
            Finding::gained(&ENTRYPOINT, "", "ENTRYPOINT", Shown::plain(words.join(" "), place))
                .because(format!("{} starts it", at(bundle, line))),
        );
    }
    if let Some(program) = entrypoint.and_then(|fact| fact.value.first()).filter(|_| starts) {
        program_of_the_init(bundle, program, place, findings);
    }
    let covers = facts.health.as_ref().is_some_and(|health| {
        matches!(&health.value.command[..], [program, verb] if program.rsplit('/').next() == Some("sidecar-init") && verb == "check")
            && TIMING.iter().all(|(name, value)| health.value.options.get(*name).map(String::as_str) == *value)
    });
    if !covers {
        let line = facts.health.as_ref().map_or(0, |health| health.line);
        findings.push(
            Finding::gained(&HEALTH_LOST, "", "HEALTHCHECK", Shown::plain(probe(facts), place))
                .because(format!("{} has it", at(bundle, line))),
        );
    }
}

/// HEALTHCHECK with its options.
fn probe(facts: &ImageFacts) -> String {
    facts.health.as_ref().map_or("none".to_owned(), |health| {
        let options = health.value.options.iter().map(|(name, value)| format!("--{name}={value} "));
        options.collect::<String>() + &health.value.command.join(" ")
    })
}

/// PID 1 has to be there, to be executable, and to belong to root alone.
fn program_of_the_init(bundle: &Image, program: &str, place: &str, findings: &mut Vec<Finding>) {
    let Some(Fact { value, line }) = bundle.facts.paths.get(program) else {
        if program.starts_with('/') && bundle.facts.base_known {
            findings.push(
                Finding::alone(&PATH_LOST, program)
                    .because(format!("no instruction of {} puts it there", bundle.dockerfile)),
            );
        }
        return;
    };
    let runs =
        matches!(value.mode, Mode::Unset | Mode::Source { .. } | Mode::Octal(0o755 | 0o555 | 0o700 | 0o500));
    if value.owner != "root:root" || !runs {
        findings.push(
            Finding::gained(&PATH_CHANGED, "", program, Shown::plain(shown(value), place))
                .because(format!("{}: it must belong to root and be executable", at(bundle, *line))),
        );
    }
}

/// Options of the probe, as the bundle's compose file has them.
const TIMING: [(&str, Option<&str>); 5] = [
    ("interval", Some("2s")),
    ("timeout", Some("5s")),
    ("retries", Some("2")),
    ("start-period", Some("30s")),
    ("start-interval", None),
];

/// Services whose images cannot be compared, because what they are built from cannot be read.
pub(crate) fn unread(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Finding> {
    let services = before.iter().chain(after).collect::<BTreeSet<_>>();
    let finding = |(service, why): (&String, &String)| {
        let place = format!("services.{service}.build");
        Finding::alone(&NOT_UNDERSTOOD, place).because(format!("its image was not compared: {why}"))
    };
    services.into_iter().map(finding).collect()
}

/// What is wrong with one image, whatever it is compared with.
///
/// `seen`: what was said; several services may build one Dockerfile, with other arguments.
fn alone(image: &Image, seen: &mut BTreeSet<(&'static str, String, String)>, findings: &mut Vec<Finding>) {
    if image.dockerfile.is_empty() {
        return;
    }
    let file = &image.dockerfile;
    let mut push = |rule: &'static Rule, subject: String, message: String| {
        if seen.insert((rule.id.as_str(), subject.clone(), message.clone())) {
            findings.push(Finding::alone(rule, subject).because(message));
        }
    };
    for (line, what) in &image.facts.missing {
        push(&PATH_LOST, what.clone(), format!("{file}:{line} copies or needs it, and it does not exist"));
    }
    for import in &image.imports {
        let subject = format!("{} in {}", import.module, import.path);
        push(
            &IMPORT,
            subject,
            format!("{}:{} imports it; {file} neither copies nor installs it", import.source, import.line),
        );
    }
    for call in &image.commands {
        let subject = format!("{} in {}", call.command, call.path);
        push(
            &COMMAND,
            subject,
            format!("{}:{} calls it; {file} does not install it", call.source, call.line),
        );
    }
    for (line, what) in &image.facts.not_understood {
        push(&NOT_UNDERSTOOD, format!("{file}:{line}"), format!("not understood: {what}"));
    }
    let bases = image.facts.base.iter().map(|base| (&base.value, base.line));
    for (reference, line) in
        bases.chain(image.facts.sources.iter().map(|(reference, line)| (reference, *line)))
    {
        if !upstream::describes(reference) {
            push(&BASE_UNKNOWN, reference.clone(), format!("{file}:{line} names it"));
        }
        if !upstream::is_pinned(reference) {
            push(
                &super::image::UNPINNED,
                reference.clone(),
                format!("{file}:{line} names it without a digest"),
            );
        }
    }
}
