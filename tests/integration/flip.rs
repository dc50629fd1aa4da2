//! The flip from end to end, in temporary repositories. It really deletes files there.

mod refusals;
mod undoing;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::PLAN;
use crate::process::{Ran, Target, ran};
use crate::snapshot::snapshot;

const CONFIG: &str = "\
# What we are.
[flag]
default = \"legacy\" # until the flip

[[flip.edit]]
file = \"settings.py\"
find = 'get(\"FLAG\", \"0\")'
replace = 'get(\"FLAG\", \"1\")'
";

/// A bundle's image that has what the plan's daemons need.
const BUNDLE: &str = "\
FROM ghcr.io/luckypipewrench/pipelock:2.3.0@sha256:3b1a39417b98406ddc5dc2d8fcb42865ddc0c68a43d355db55f0f8cb06bc6de9 AS pipelock
FROM scratch
COPY --from=pipelock /pipelock /usr/local/bin/pipelock
COPY --from=example.com/init@sha256:00 /sidecar-init /usr/local/bin/sidecar-init
EXPOSE 8888
HEALTHCHECK --interval=2s --timeout=5s --start-period=30s --retries=2 CMD [\"/usr/local/bin/sidecar-init\", \"check\"]
ENTRYPOINT [\"/usr/local/bin/sidecar-init\"]
";

const FILES: &[(&str, &str)] = &[
    ("plans/a.json", PLAN),
    ("tests/test_a.py", "assert True\n"),
    ("settings.py", "on = get(\"FLAG\", \"0\")\n"),
    ("Dockerfile.egress", "FROM scratch\n"),
    ("Dockerfile.git-gate", "FROM scratch\n"),
    ("Dockerfile.supervise", "FROM scratch\n"),
    ("Dockerfile.sidecars", BUNDLE),
    ("bottle-migrate.toml", CONFIG),
];

const DOOMED: &[&str] = &["Dockerfile.egress", "Dockerfile.git-gate", "Dockerfile.supervise"];

/// A target under version control.
fn repository(more: &[(&str, &str)]) -> Target {
    let target = Target::new(FILES);
    for (path, text) in more {
        target.write(path, text);
    }
    start(&target);
    target
}

/// Puts a target under version control.
fn start(target: &Target) {
    git(target, &["init", "--quiet"]);
    git(target, &["config", "user.name", "Test"]);
    git(target, &["config", "user.email", "test@example.com"]);
    commit_all(target);
}

fn commit_all(target: &Target) {
    git(target, &["add", "--all"]);
    git(target, &["commit", "--quiet", "--allow-empty", "--message", "all"]);
}

fn git(target: &Target, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(target.path("")).env_clear().env("GIT_CONFIG_GLOBAL", "/dev/null");
    let ran = ran(command, "");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

fn flip(target: &Target, arguments: &[&str]) -> Ran {
    target.run(&[&["flip-default"], arguments].concat())
}

/// Checks that a flip is refused with this reason and changes nothing.
fn refused(target: &Target, arguments: &[&str], message: &str) {
    let before = snapshot(&target.path(""));
    for arguments in [&[arguments, &["--yes"]].concat()[..], &[arguments, &["--dry-run"]].concat()] {
        let ran = flip(target, arguments);
        assert_eq!(ran.code, 3, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(message), "{message:?} in {}", ran.stderr);
        assert_eq!(snapshot(&target.path("")), before);
        assert!(!target.path(".bottle-migrate").exists());
    }
}

/// Checks that a flip succeeds and leaves nothing to do.
fn flipped(target: &Target, arguments: &[&str]) -> Ran {
    let ran = flip(target, &[arguments, &["--yes"]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(fs::read_to_string(target.path("bottle-migrate.toml")).unwrap().contains("\"bundle\""));
    let again = flip(target, &[arguments, &["--yes"]].concat());
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);
    ran
}

/// Checks that a flip fails and leaves everything as it was.
fn undone(target: &Target, arguments: &[&str], message: &str) {
    let before = (snapshot(&target.path("")), git(target, &["status", "--porcelain"]));
    let ran = flip(target, &[arguments, &["--yes"]].concat());
    assert_eq!(ran.code, 5, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(message), "{message:?} in {}", ran.stderr);
    assert_eq!((snapshot(&target.path("")), git(target, &["status", "--porcelain"])), before);
    assert!(!target.path(".bottle-migrate").exists());
}

#[test]
fn a_flip_changes_the_default_and_deletes_and_can_be_undone() {
    let target = repository(&[]);
    let before = snapshot(&target.path(""));
    let ran = flip(&target, &["--dry-run"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for part in [
        "-default = \"legacy\" # until",
        "+default = \"bundle\" # until",
        "+++ /dev/null",
        "delete  Dockerfile.egress",
    ] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    assert_eq!(snapshot(&target.path("")), before);
    let ran = flipped(&target, &[]);
    assert!(ran.stdout.contains("--rollback"), "{}", ran.stdout);
    let mut after = before.clone();
    after.retain(|path, _| !DOOMED.contains(&path.as_str()));
    after.get_mut("bottle-migrate.toml").unwrap().2 = CONFIG.replace("\"legacy\"", "\"bundle\"").into_bytes();
    after.get_mut("settings.py").unwrap().2 = b"on = get(\"FLAG\", \"1\")\n".to_vec();
    assert_eq!(snapshot(&target.path("")), after);
    assert!(!git(&target, &["status", "--porcelain"]).contains("bottle-migrate/"));
    let ran = flip(&target, &["--rollback"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(snapshot(&target.path("")), before);
    assert_eq!(git(&target, &["status", "--porcelain"]), "");
    assert_eq!(flip(&target, &["--rollback"]).code, 3);
}

#[test]
fn a_target_without_a_configuration_gets_one() {
    let target = repository(&[]);
    fs::remove_file(target.path("bottle-migrate.toml")).unwrap();
    commit_all(&target);
    flipped(&target, &[]);
    assert_eq!(
        fs::read_to_string(target.path("bottle-migrate.toml")).unwrap(),
        "[flag]\ndefault = \"bundle\"\n"
    );
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert!(!target.path("bottle-migrate.toml").exists());
}

#[test]
fn a_root_may_be_a_folder_of_the_repository() {
    let target = Target::new(&[]);
    for (path, text) in FILES {
        target.write(&format!("inner ü/{path}"), text);
    }
    start(&target);
    target.write("inner ü/settings.py", "x = get(\"FLAG\", \"0\")\n");
    let ran = flip(&target, &["--root", "inner ü", "--yes"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("inner ü/settings.py: has uncommitted changes"), "{}", ran.stderr);
    commit_all(&target);
    assert_eq!(flip(&target, &["--root", "inner ü", "--yes", "--commit"]).code, 0);
    assert!(!target.path("inner ü/Dockerfile.egress").exists());
    assert_eq!(git(&target, &["status", "--porcelain"]), "");
}

#[test]
fn git_is_asked_about_this_repository_whatever_the_environment_says() {
    let target = repository(&[]);
    let other = repository(&[]);
    target.write("settings.py", "mine = get(\"FLAG\", \"0\")\n");
    let mut command = target.command(&["flip-default", "--yes"]);
    command.env("GIT_DIR", other.path(".git")).env("GIT_WORK_TREE", other.path(""));
    command.env("GIT_INDEX_FILE", other.path(".git/index"));
    let ran = ran(command, "");
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("settings.py: has uncommitted changes"), "{}", ran.stderr);
}

#[test]
fn edits_of_one_file_are_made_together_unless_they_overlap() {
    let edits = |second: &str| {
        format!(
            "[[flip.edit]]\nfile = \"a\"\nfind = \"one\\ntwo\"\nreplace = \"1\\n2\"\n[[flip.edit]]\nfile = \"./a\"\nfind = \"{second}\"\nreplace = \"3\"\n"
        )
    };
    let target =
        repository(&[("a", "\u{feff}one\r\ntwo\r\nthree\r\n"), ("bottle-migrate.toml", &edits("three"))]);
    flipped(&target, &[]);
    assert_eq!(fs::read_to_string(target.path("a")).unwrap(), "\u{feff}1\r\n2\r\n3\r\n");
    let target = repository(&[("a", "one\ntwo\n"), ("bottle-migrate.toml", &edits("wo"))]);
    refused(&target, &[], "a: two edits overlap");
}

#[test]
fn modes_line_ends_and_marks_are_kept() {
    let config = format!("\u{feff}{}", CONFIG.replace('\n', "\r\n"));
    let target = repository(&[("bottle-migrate.toml", &config)]);
    fs::set_permissions(target.path("settings.py"), PermissionsExt::from_mode(0o755)).unwrap();
    commit_all(&target);
    flipped(&target, &[]);
    assert_eq!(
        fs::read_to_string(target.path("bottle-migrate.toml")).unwrap(),
        config.replace("\"legacy\"", "\"bundle\"")
    );
    assert_eq!(fs::metadata(target.path("settings.py")).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_link_is_deleted_as_a_link_and_not_edited() {
    let target = repository(&[("real", "FROM scratch\n")]);
    fs::remove_file(target.path("Dockerfile.egress")).unwrap();
    symlink("real", target.path("Dockerfile.egress")).unwrap();
    commit_all(&target);
    let before = snapshot(&target.path(""));
    flipped(&target, &[]);
    assert!(target.path("real").exists() && target.path("Dockerfile.egress").symlink_metadata().is_err());
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert_eq!(snapshot(&target.path("")), before);

    fs::rename(target.path("settings.py"), target.path("real.py")).unwrap();
    symlink("real.py", target.path("settings.py")).unwrap();
    commit_all(&target);
    refused(&target, &[], "settings.py: is a symbolic link, which is not edited");
}

#[test]
fn names_may_have_spaces_and_any_letters() {
    let config = "[flip]\ndelete = [\"docker dateien/Größe 日本.egress\", \"-n\"]\n[[flip.edit]]\nfile = \"ein stellung.py\"\nfind = \"ä\"\nreplace = \"ö\"\n";
    let target = repository(&[
        ("bottle-migrate.toml", config),
        ("docker dateien/Größe 日本.egress", "x"),
        ("-n", "x"),
        ("ein stellung.py", "ä"),
    ]);
    let before = snapshot(&target.path(""));
    flipped(&target, &[]);
    assert!(!target.path("docker dateien/Größe 日本.egress").exists() && !target.path("-n").exists());
    assert_eq!(fs::read_to_string(target.path("ein stellung.py")).unwrap(), "ö");
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert_eq!(snapshot(&target.path("")), before);
    assert_eq!(flip(&target, &["--yes", "--commit"]).code, 0);
    assert_eq!(git(&target, &["status", "--porcelain"]), "");
}

#[test]
fn what_is_flipped_needs_no_flip() {
    let config = CONFIG.replace("\"legacy\"", "\"bundle\"");
    let target =
        repository(&[("bottle-migrate.toml", &config), ("settings.py", "on = get(\"FLAG\", \"1\")\n")]);
    for path in DOOMED {
        fs::remove_file(target.path(path)).unwrap();
    }
    for arguments in [&["--yes"][..], &["--dry-run"], &[]] {
        assert_eq!(flip(&target, arguments).code, 0);
    }
    // Half of it may be done already.
    target.write("settings.py", "on = get(\"FLAG\", \"0\")\n");
    commit_all(&target);
    flipped(&target, &[]);
    assert_eq!(fs::read_to_string(target.path("settings.py")).unwrap(), "on = get(\"FLAG\", \"1\")\n");
}

#[test]
fn an_edit_whose_new_text_holds_the_old_one_is_made_once() {
    let config = "[[flip.edit]]\nfile = \"a\"\nfind = \"on\"\nreplace = \"on = 1\"\n";
    let target = repository(&[("bottle-migrate.toml", config), ("a", "on\n")]);
    flipped(&target, &[]);
    assert_eq!(fs::read_to_string(target.path("a")).unwrap(), "on = 1\n");
}

#[test]
fn a_commit_holds_the_touched_files_alone() {
    let target = repository(&[("other", "a\n")]);
    fs::remove_file(target.path("bottle-migrate.toml")).unwrap();
    commit_all(&target);
    target.write("other", "staged\n");
    git(&target, &["add", "other"]);
    target.write("untracked", "x");
    let ran = flip(&target, &["--yes", "--commit"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let names = git(&target, &["show", "--format=", "--name-status", "HEAD"]);
    assert_eq!(
        names,
        "D\tDockerfile.egress\nD\tDockerfile.git-gate\nD\tDockerfile.supervise\nA\tbottle-migrate.toml\n"
    );
    assert_eq!(git(&target, &["status", "--porcelain"]), "M  other\n?? untracked\n");
    let commit = git(&target, &["rev-parse", "HEAD"]);
    let again = flip(&target, &["--rollback"]);
    assert_eq!(again.code, 3, "{}", again.stderr);
    assert!(again.stderr.contains(&format!("git revert {}", &commit.trim()[..12])), "{}", again.stderr);
    assert!(flip(&target, &["--yes", "--commit"]).stdout.starts_with("nothing to do"));
}

#[test]
fn a_saved_plan_is_applied_once_and_while_it_is_fresh() {
    let target = repository(&[]);
    let before = snapshot(&target.path(""));
    let plans = Target::new(&[]);
    let file = plans.path("plan.json");
    let file = file.to_str().unwrap();
    let ran = flip(&target, &["--plan-out", file]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(snapshot(&target.path("")), before);
    for path in ["settings.py", "Dockerfile.egress", "plans/a.json", "bottle-migrate.toml"] {
        let text = fs::read_to_string(target.path(path)).unwrap();
        target.write(path, format!("{text}\n"));
        let ran = flip(&target, &["--apply", file]);
        assert_eq!(ran.code, 4, "{path}: {}", ran.stderr);
        assert!(ran.stderr.contains(path), "{}", ran.stderr);
        target.write(path, text);
    }
    assert_eq!(snapshot(&target.path("")), before);
    // The decision is made again.
    target.write("Makefile", "all:\n\tcat Dockerfile.egress\n");
    assert_eq!(flip(&target, &["--apply", file]).code, 3);
    fs::remove_file(target.path("Makefile")).unwrap();
    let ran = flip(&target, &["--apply", file]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!target.path("Dockerfile.egress").exists());
    assert_eq!(flip(&target, &["--apply", file]).code, 4);
    assert_eq!(flip(&target, &["--plan-out", file]).code, 0);
    for garbage in ["", "{}", "not json", "[1]", "{\"schema\":\"x\"}"] {
        plans.write("plan.json", garbage);
        let ran = flip(&target, &["--apply", file]);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
    }
    assert_eq!(flip(&target, &["--apply", "absent.json"]).code, 2);
}

#[test]
fn dockerfiles_may_be_kept_and_deleted_later() {
    let target = repository(&[("Makefile", "all:\n\tdocker build -f Dockerfile.egress .\n")]);
    let before = snapshot(&target.path(""));
    let ran = flipped(&target, &["--keep-dockerfiles"]);
    assert!(ran.stdout.contains("a later run deletes the Dockerfiles"), "{}", ran.stdout);
    assert!(target.path("Dockerfile.egress").exists());
    let between = snapshot(&target.path(""));
    assert_eq!(flip(&target, &["--yes"]).code, 3);
    fs::remove_file(target.path("Makefile")).unwrap();
    flipped(&target, &[]);
    assert!(!target.path("Dockerfile.egress").exists());
    target.write("Makefile", "all:\n\tdocker build -f Dockerfile.egress .\n");
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert_eq!(snapshot(&target.path("")), between);
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert_eq!(snapshot(&target.path("")), before);
}

#[test]
fn on_a_terminal_it_asks() {
    let target = repository(&[]);
    for (answer, code) in [("n\n", 1), ("\n", 1), ("y\n", 0)] {
        let mut command = Command::new("script");
        let program = format!("'{}' flip-default", env!("CARGO_BIN_EXE_bottle-migrate"));
        command
            .args(["--quiet", "--return", "--command", &program, "/dev/null"])
            .current_dir(target.path(""));
        let ran = ran(command, answer);
        assert_eq!(ran.code, code, "{answer:?}: {}", ran.stdout);
        assert!(ran.stdout.contains("Change 5 files? [y/N]"), "{}", ran.stdout);
        assert_eq!(target.path("Dockerfile.egress").exists(), code == 1);
    }
}

#[test]
fn a_reader_that_goes_away_does_not_stop_a_flip() {
    let target = repository(&[]);
    let mut command = target.command(&["flip-default", "--yes"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!target.path("Dockerfile.egress").exists());
}

#[test]
fn the_project_itself_can_be_flipped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Target::new(&[]);
    let walk = walkdir::WalkDir::new(root).min_depth(1).into_iter();
    let stays = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_str().unwrap_or_default();
        entry.depth() > 1 || !["target", ".git", ".bottle-migrate"].contains(&name)
    };
    for entry in walk.filter_entry(stays).map(Result::unwrap).filter(|entry| entry.file_type().is_file()) {
        let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap();
        target.write(name, fs::read(entry.path()).unwrap());
        fs::set_permissions(target.path(name), entry.metadata().unwrap().permissions()).unwrap();
    }
    start(&target);
    let mut command = target.command(&["flip-default", "--yes", "--commit"]);
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let ran = ran(command, "");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for path in DOOMED {
        assert!(!target.path(path).exists());
    }
    let ran = target.run(&["render", "examples/full.plan.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("\n  sidecars:\n") && !ran.stdout.contains("\n  pipelock:\n"),
        "{}",
        ran.stdout
    );
}
