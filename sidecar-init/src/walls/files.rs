//! Which paths a daemon may open, and which it may write to. Pure: paths in, paths out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bottle_contract::paths::{covers, upward};
use bottle_contract::privacy::Privacy;
use bottle_contract::row::DaemonRow;

use super::mounts::{self, Mount};

/// Owner of the private paths that no daemon may open.
pub(crate) const INIT: &str = "sidecar-init";

/// Every daemon may write below these.
const COMMON: [&str; 4] = ["/tmp", "/var/tmp", "/dev", "/run"];

/// What PID 1, its health check and the daemons execute and load; only a mount or a private path opens a place below.
const PROTECTED: [&str; 11] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/app", "/etc", "/proc"];

/// What an engine mounts into every container.
const ENGINES: [&str; 6] = ["/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/proc", "/sys", "/dev"];

/// What the table, the handshake and the container say of paths; all of them with links resolved.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Private paths of every daemon, and of the init.
    pub(crate) privacy: Privacy,
    /// Paths that rows make writable, with the name of the row.
    pub(crate) writable: Vec<(String, String)>,
    /// Home directories of the selected daemons.
    pub(crate) homes: Vec<(String, String)>,
    /// Targets of mounts that are not read-only.
    pub(crate) mounts: Vec<String>,
    /// Programs that PID 1 runs, with the daemon that each is for; `None`: PID 1's own.
    pub(crate) programs: Vec<(Option<String>, String)>,
}

impl Files {
    /// Makes the home of one daemon alone private to it; one that several share stays readable and is nobody's to write.
    pub(crate) fn claim_homes(&mut self) {
        for (name, home) in &self.homes {
            let alone = !self.homes.iter().any(|(other, path)| other != name && touch(path, home));
            if alone && !is_common(home) && !within(&PROTECTED, home) && !above_a_system_folder(home) {
                self.privacy.claim(name, home);
            }
        }
    }

    /// Makes whatever leads to a private path through a second mount private, too, where no row has a claim to it.
    pub(crate) fn claim_aliases(&mut self, mounts: &[Mount]) {
        let mut found = Vec::new();
        for (path, owners) in self.privacy.paths() {
            for alias in mounts::aliases(mounts, path) {
                let claimed =
                    self.privacy.claims(&alias) || self.writable.iter().any(|(_, own)| covers(own, &alias));
                if !claimed {
                    found.extend(owners.iter().map(|owner| (owner.clone(), alias.clone())));
                }
            }
        }
        for (owner, alias) in found {
            self.privacy.claim(&owner, &alias);
        }
    }

    /// Paths below which a daemon may read.
    pub(crate) fn readable(&self, daemon: &str) -> Rules {
        let private = self.privacy.paths().map(|(path, owners)| (path.to_owned(), owners.contains(daemon)));
        Rules::new(true, private)
    }

    /// Paths below which it may write.
    pub(crate) fn written(&self, daemon: &str) -> Rules {
        let mut rules: BTreeMap<String, bool> = BTreeMap::new();
        for path in COMMON {
            rules.insert(path.to_owned(), true);
        }
        for (owner, path) in &self.homes {
            let shared = self.homes.iter().any(|(other, home)| other != owner && touch(home, path));
            if owner == daemon && !shared && !above_a_system_folder(path) {
                rules.insert(path.clone(), true);
            }
        }
        let mine = self.writable.iter().filter(|(owner, _)| owner == daemon).map(|(_, path)| path);
        for path in mine.clone() {
            rules.insert(path.clone(), true);
        }
        for (_, path) in self
            .writable
            .iter()
            .filter(|(owner, path)| owner != daemon && !mine.clone().any(|own| own == path))
        {
            rules.insert(path.clone(), false);
        }
        // Whatever was granted above ends where the system begins.
        rules.retain(|path, granted| !*granted || !within(&PROTECTED, path));
        for path in PROTECTED {
            rules.insert(path.to_owned(), false);
        }
        for target in &self.mounts {
            if !within(&ENGINES, target) && target != "/" {
                let own = self.claim_on(target, |owner| owner == daemon);
                let other = self.claim_on(target, |owner| owner != daemon);
                rules.insert(target.clone(), other.is_none() || own >= other);
            }
        }
        for (path, owners) in self.privacy.paths() {
            rules.insert(path.to_owned(), owners.contains(daemon));
        }
        for (owner, path) in &self.programs {
            if owner.as_deref() != Some(daemon) {
                rules.insert(path.clone(), false);
            }
        }
        Rules::new(false, rules)
    }

    /// Length of the longest path with which an owner claims a mount.
    fn claim_on(&self, target: &str, by: impl Fn(&str) -> bool) -> Option<usize> {
        let rows = self.writable.iter().filter(|(owner, path)| by(owner) && touch(path, target));
        let private = self
            .privacy
            .paths()
            .filter(|(path, owners)| covers(path, target) && owners.iter().any(|owner| by(owner)));
        rows.map(|(_, path)| path.as_str()).chain(private.map(|(path, _)| path)).map(str::len).max()
    }
}

fn touch(one: &str, other: &str) -> bool {
    covers(one, other) || covers(other, one)
}

fn within(folders: &[&str], path: &str) -> bool {
    folders.iter().any(|folder| covers(folder, path))
}

fn is_common(path: &str) -> bool {
    within(&COMMON, path)
}

/// `/`, `/var` and their like are no daemon's own.
fn above_a_system_folder(path: &str) -> bool {
    COMMON.iter().chain(&PROTECTED).any(|folder| covers(path, folder))
}

/// A decision for each path: that of the longest path which covers it.
#[derive(Debug)]
pub(crate) struct Rules {
    otherwise: bool,
    by_path: BTreeMap<String, bool>,
}

impl Rules {
    fn new(otherwise: bool, by_path: impl IntoIterator<Item = (String, bool)>) -> Self {
        Self { otherwise, by_path: by_path.into_iter().collect() }
    }

    /// Whether a path is allowed.
    pub(crate) fn allow(&self, path: &str) -> bool {
        upward(path).find_map(|above| self.by_path.get(above)).copied().unwrap_or(self.otherwise)
    }

    /// Whether the decision differs for something below a path.
    fn mixed(&self, path: &str) -> bool {
        let own = self.allow(path);
        self.by_path.iter().any(|(other, allowed)| other != path && *allowed != own && covers(path, other))
    }

    /// The highest paths below which everything is allowed.
    ///
    /// A folder above a path with another decision is not among them, so that it can neither be listed nor written.
    pub(crate) fn highest(&self, entries: &dyn Fn(&Path) -> Vec<PathBuf>) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut walk = vec![PathBuf::from("/")];
        while let Some(path) = walk.pop() {
            // No rule names a path that is not UTF-8.
            let lossy = path.to_string_lossy();
            if path.to_str().is_some() && self.mixed(&lossy) {
                walk.extend(entries(&path).into_iter().rev());
            } else if self.allow(&lossy) {
                paths.push(path);
            }
        }
        paths
    }
}

/// Programs that PID 1 runs for a daemon: the first word of each command line, as found in `PATH`, and every other word
/// that is the path of a file.
pub(crate) fn programs(row: &DaemonRow, path: &str, is_file: &dyn Fn(&str) -> bool) -> Vec<String> {
    let probe = row.health.iter().map(|health| &health.test);
    let mut found = Vec::new();
    for argv in std::iter::once(&row.argv).chain(probe) {
        for (at, word) in argv.iter().enumerate() {
            if word.starts_with('/') {
                found.extend(is_file(word).then(|| word.clone()));
            } else if at == 0 && !word.contains('/') {
                let mut candidates = path.split(':').map(|folder| format!("{folder}/{word}"));
                found.extend(candidates.find(|candidate| is_file(candidate)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use bottle_contract::daemon::{Chain, table};
    use bottle_contract::handshake::Handshake;

    use super::*;

    const TREE: &[&str] = &[
        "/app",
        "/bin",
        "/data",
        "/dev",
        "/etc",
        "/etc/egress",
        "/etc/egress/routes.yaml",
        "/etc/hosts",
        "/etc/pipelock",
        "/git",
        "/git-gate",
        "/git-gate/creds",
        "/git-gate-entrypoint.sh",
        "/root",
        "/root/bin",
        "/root/bin/tool",
        "/root/notes",
        "/run",
        "/run/queue",
        "/run/lock",
        "/tmp",
        "/usr",
        "/usr/bin",
        "/var",
        "/var/lib",
        "/var/tmp",
    ];

    fn tree(folder: &Path) -> Vec<PathBuf> {
        TREE.iter().map(PathBuf::from).filter(|path| path.parent() == Some(folder)).collect()
    }

    fn texts(paths: Vec<PathBuf>) -> Vec<String> {
        paths.into_iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    fn claims(claims: &[(&str, &str)]) -> Privacy {
        let mut privacy = Privacy::default();
        for (owner, path) in claims {
            privacy.claim(owner, path);
        }
        privacy
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(owner, path)| ((*owner).to_owned(), (*path).to_owned())).collect()
    }

    /// What stays readable of the tree's top, `closed` left out.
    fn open_top(closed: &[&str]) -> Vec<String> {
        let top = tree(Path::new("/")).into_iter().map(|path| path.to_string_lossy().into_owned());
        top.filter(|path| !closed.contains(&path.as_str())).collect()
    }

    #[test]
    fn everything_is_readable_but_what_is_private_to_others() {
        let readable = |owned: &[(&str, &str)]| {
            let files = Files { privacy: claims(owned), ..Files::default() };
            texts(files.readable("a").highest(&tree))
        };
        assert_eq!(readable(&[]), ["/"]);
        assert_eq!(readable(&[("a", "/etc/egress")]), ["/"]);
        let mut expect = open_top(&[]);
        expect.splice(4..5, ["/etc/hosts", "/etc/pipelock"].map(str::to_owned));
        assert_eq!(readable(&[("b", "/etc/egress")]), expect);
        expect.splice(4..6, ["/etc/egress".to_owned()]);
        assert_eq!(readable(&[("b", "/etc"), ("a", "/etc/egress")]), expect);
        assert_eq!(readable(&[("b", "/")]), Vec::<String>::new());
        assert_eq!(readable(&[("b", "/"), ("a", "/tmp")]), ["/tmp"]);
    }

    #[test]
    fn a_private_path_that_is_not_there_yet_still_closes_its_folder() {
        let files = Files { privacy: claims(&[("b", "/tmp/later")]), ..Files::default() };
        assert_eq!(texts(files.readable("a").highest(&tree)), open_top(&["/tmp"]));
        assert!(!files.written("a").allow("/tmp/later"));
        assert!(!texts(files.written("a").highest(&tree)).contains(&"/tmp".to_owned()));
    }

    #[test]
    fn no_path_of_another_daemon_is_allowed_in_the_built_in_table() {
        let rows = table(Chain::PipelockFirst);
        let files = Files { privacy: Privacy::of(&rows, &Handshake::default()), ..Files::default() };
        for row in &rows {
            for rules in [files.readable(&row.name), files.written(&row.name)] {
                let paths = texts(rules.highest(&tree));
                for (private, owners) in
                    files.privacy.paths().filter(|(_, owners)| !owners.contains(&row.name))
                {
                    let open = paths.iter().any(|path| covers(path, private));
                    assert!(!open, "{} opens {private} of {owners:?}", row.name);
                }
            }
        }
    }

    #[test]
    fn what_others_execute_or_trust_is_never_written() {
        let mut files = Files {
            privacy: claims(&[("a", "/etc/egress"), ("b", "/run/queue")]),
            writable: pairs(&[
                ("a", "/"),
                ("a", "/data"),
                ("a", "/usr/bin"),
                ("b", "/git"),
                ("a", "/var/lib"),
            ]),
            homes: pairs(&[("a", "/root"), ("b", "/home/b")]),
            mounts: ["/", "/etc/hosts", "/opt/own", "/git/sub", "/srv"].map(str::to_owned).to_vec(),
            programs: vec![
                (None, "/srv/init".to_owned()),
                (Some("b".to_owned()), "/root/bin/tool".to_owned()),
                (Some("a".to_owned()), "/data/own".to_owned()),
            ],
        };
        files.claim_homes();
        let written = files.written("a");
        for (path, expect) in [
            ("/usr/local/bin/sidecar-init", false),
            ("/usr/bin/env", false),
            ("/bin/sh", false),
            ("/lib/libc.so.6", false),
            ("/app/server.py", false),
            ("/opt/tool", false),
            ("/etc/hosts", false),
            ("/etc/ld.so.preload", false),
            ("/proc/1/oom_score_adj", false),
            ("/etc/egress/routes.yaml", true),
            ("/run/queue/x", false),
            ("/run/other", true),
            ("/tmp/x", true),
            ("/var/tmp/x", true),
            ("/var/lib/x", true),
            ("/dev/null", true),
            ("/data/x", true),
            ("/data/own", true),
            ("/git/x", false),
            ("/git/sub/x", false),
            ("/opt/own/x", true),
            ("/srv/x", true),
            ("/srv/init", false),
            ("/root/.gitconfig", true),
            ("/root/bin/tool", false),
            ("/home/b/.gitconfig", false),
        ] {
            assert_eq!(written.allow(path), expect, "{path}");
        }
        assert!(!files.readable("a").allow("/home/b/.gitconfig"), "the home of one is private to it");
        assert!(files.written("b").allow("/git/x") && files.written("b").allow("/git/sub/x"));
    }

    #[test]
    fn without_claims_a_daemon_writes_to_common_folders_alone() {
        let files = Files { mounts: vec!["/srv".to_owned()], ..Files::default() };
        let written = texts(files.written("a").highest(&tree));
        assert_eq!(written, ["/dev", "/run", "/tmp", "/var/tmp"]);
        assert!(files.written("a").allow("/srv/x") && !files.written("a").allow("/root/x"));
    }

    #[test]
    fn a_shared_home_is_written_by_nobody_who_does_not_claim_it() {
        let mut files = Files { homes: pairs(&[("a", "/root"), ("b", "/root")]), ..Files::default() };
        files.claim_homes();
        for daemon in ["a", "b"] {
            assert!(!files.written(daemon).allow("/root/.gitconfig"), "{daemon}");
            assert!(files.readable(daemon).allow("/root/.gitconfig"), "{daemon}");
        }
        files.writable = pairs(&[("a", "/root")]);
        assert!(files.written("a").allow("/root/x") && !files.written("b").allow("/root/x"));
        // One home inside another is shared, too.
        let files = Files { homes: pairs(&[("a", "/home"), ("b", "/home/b")]), ..Files::default() };
        assert!(!files.written("a").allow("/home/b/x") && !files.written("b").allow("/home/b/x"));
    }

    #[test]
    fn a_home_at_the_root_opens_nothing() {
        let mut files = Files { homes: pairs(&[("a", "/"), ("b", "/usr/games")]), ..Files::default() };
        files.claim_homes();
        for daemon in ["a", "b", "c"] {
            assert!(!files.written(daemon).allow("/usr/games/x") && !files.written(daemon).allow("/x"));
            assert!(files.readable(daemon).allow("/x") && files.readable(daemon).allow("/usr/games/x"));
        }
    }

    #[test]
    fn programs_are_those_of_the_command_lines() {
        let mut row =
            DaemonRow::new("a", ["python3", "/srv/app.py", "-m", "x", "/no"].map(str::to_owned).to_vec());
        row.health = Some(bottle_contract::row::Health::new(vec!["/srv/probe".to_owned()]));
        let files = ["/usr/bin/python3", "/bin/python3", "/srv/app.py", "/srv/probe", "/usr/bin/x"];
        let found = programs(&row, "/usr/local/bin:/usr/bin:/bin", &|path| files.contains(&path));
        assert_eq!(found, ["/usr/bin/python3", "/srv/app.py", "/srv/probe"]);
    }
}
