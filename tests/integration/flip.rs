//! The flip from end to end, in repositories of its own in which it really deletes files.

use std::fs::{self, File};
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

const FILES: &[(&str, &str)] = &[
    ("plans/a.json", PLAN),
    ("tests/test_a.py", "assert True\n"),
    ("settings.py", "on = get(\"FLAG\", \"0\")\n"),
    ("Dockerfile.egress", "FROM scratch\n"),
    ("Dockerfile.git-gate", "FROM scratch\n"),
    ("Dockerfile.supervise", "FROM scratch\n"),
    ("Dockerfile.sidecars", "FROM scratch\n"),
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

/// Checks that a flip is refused, that it says why, and that it changes nothing.
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

/// Checks that a flip goes through, and that nothing is left to do afterwards.
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
fn files_that_are_not_committed_are_left_alone() {
    let target = repository(&[("docs/a.md", "a\n")]);
    target.write("docs/a.md", "unrelated\n");
    target.write("docs/new.md", "unrelated\n");
    target.write("Dockerfile.egress", "FROM scratch\nUSER 1\n");
    refused(&target, &[], "Dockerfile.egress: has changes that are not committed");
    git(&target, &["add", "Dockerfile.egress"]);
    refused(&target, &[], "Dockerfile.egress: has changes that are not committed");
    flipped(&target, &["--allow-dirty"]);
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert_eq!(fs::read_to_string(target.path("Dockerfile.egress")).unwrap(), "FROM scratch\nUSER 1\n");
}

#[test]
fn files_that_git_does_not_have_are_left_alone() {
    let target = repository(&[]);
    git(&target, &["rm", "--cached", "--quiet", "Dockerfile.egress"]);
    git(&target, &["commit", "--quiet", "--message", "forget"]);
    refused(&target, &[], "Dockerfile.egress: is not under version control");
    target.write(".gitignore", "Dockerfile.egress\n");
    refused(&target, &[], "Dockerfile.egress: is not under version control");
    flipped(&target, &["--allow-dirty"]);
}

#[test]
fn files_on_which_git_does_not_look_are_left_alone() {
    let target = repository(&[]);
    git(&target, &["update-index", "--assume-unchanged", "settings.py"]);
    target.write("settings.py", "mine = get(\"FLAG\", \"0\")\n");
    refused(&target, &[], "settings.py: is a file on which git was told not to look");
}

#[test]
fn a_target_without_version_control_needs_a_word() {
    let target = Target::new(FILES);
    refused(&target, &[], "not under version control");
    refused(&target, &["--allow-dirty"], "not under version control");
    let ran = flip(&target, &["--allow-no-vcs", "--commit", "--yes"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("--commit needs a git repository"), "{}", ran.stderr);
    flipped(&target, &["--allow-no-vcs"]);
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
    assert!(ran.stderr.contains("inner ü/settings.py: has changes"), "{}", ran.stderr);
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
    assert!(ran.stderr.contains("settings.py: has changes"), "{}", ran.stderr);
}

#[test]
fn nothing_that_stays_may_refer_to_what_goes() {
    for (file, text) in [
        ("compose.yaml", "services:\n  agent:\n    build:\n      dockerfile: Dockerfile.egress\n"),
        (".github/workflows/ci.yml", "run: docker build -f Dockerfile.egress .\n"),
        ("Makefile", "all:\n\tdocker build -f Dockerfile.egress .\n"),
        ("scripts/build.sh", "for s in egress; do docker build -f \"Dockerfile.$s\" .; done\n"),
        ("tests/test_b.py", "open('Dockerfile.egress')\n"),
    ] {
        let target = repository(&[(file, text)]);
        refused(&target, &[], &format!("{file}:"));
        refused(&target, &[], "refers to Dockerfile.egress");
        flipped(&target, &["--keep-dockerfiles"]);
    }
    let target = repository(&[]);
    symlink("../Dockerfile.egress", target.path("plans/link")).unwrap();
    refused(&target, &[], "plans/link:1: refers to Dockerfile.egress");
}

#[test]
fn what_only_speaks_of_it_is_told() {
    let target = repository(&[
        ("README.md", "Build `Dockerfile.egress`.\n"),
        ("build.sh", "# not Dockerfile.egress\n"),
        (".gitignore", "ignored\n"),
        ("ignored/a.sh", "cat Dockerfile.egress\n"),
    ]);
    let ran = flipped(&target, &[]);
    assert!(ran.stdout.contains("README.md:1  names Dockerfile.egress"), "{}", ran.stdout);
    assert!(ran.stdout.contains("build.sh:1  names Dockerfile.egress"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("ignored/"), "{}", ran.stdout);
}

#[test]
fn an_edit_may_remove_the_reference() {
    let config = format!(
        "{CONFIG}\n[[flip.edit]]\nfile = \"Makefile\"\nfind = \"-f Dockerfile.egress\"\nreplace = \"-f Dockerfile.sidecars\"\n"
    );
    let target = repository(&[
        ("Makefile", "all:\n\tdocker build -f Dockerfile.egress .\n"),
        ("bottle-migrate.toml", &config),
    ]);
    flipped(&target, &[]);
    assert_eq!(
        fs::read_to_string(target.path("Makefile")).unwrap(),
        "all:\n\tdocker build -f Dockerfile.sidecars .\n"
    );
}

#[test]
fn an_edit_finds_its_text_exactly_once() {
    let target = repository(&[("settings.py", "on = 1\n")]);
    refused(&target, &[], "settings.py: `get(\"FLAG\", \"0\")` does not occur");
    let target = repository(&[("settings.py", "get(\"FLAG\", \"0\")\nget(\"FLAG\", \"0\")\n")]);
    refused(&target, &[], "settings.py:2: `get(\"FLAG\", \"0\")` occurs 2 times");
    let target = repository(&[]);
    fs::remove_file(target.path("settings.py")).unwrap();
    commit_all(&target);
    refused(&target, &[], "settings.py: no such file");
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

/// A configuration that verifies with these commands.
fn verifying(commands: &str) -> String {
    format!("[flip]\nverify = {commands}\n")
}

#[test]
fn a_failed_verification_undoes_everything() {
    let target = repository(&[(
        "bottle-migrate.toml",
        &verifying("[\"test ! -e Dockerfile.egress\", \"echo broken; exit 4\"]"),
    )]);
    undone(&target, &[], "  | broken");
    undone(&target, &[], "`echo broken; exit 4` failed: exit status: 4; nothing is changed");
    let target = repository(&[("bottle-migrate.toml", &verifying("[\"no-such-command-at-all\"]"))]);
    undone(&target, &[], "127");
    let target = repository(&[(
        "bottle-migrate.toml",
        &format!("{}verify_timeout = 0\n", verifying("[\"sleep 1000\"]")),
    )]);
    undone(&target, &[], "exceeded the time limit of 0 s");
}

#[test]
fn verification_sees_the_change_and_not_the_flag() {
    let commands = "['grep -q bundle bottle-migrate.toml', 'test -z \"${BOT_BOTTLE_SIDECAR_BUNDLE+set}\"']";
    let target = repository(&[("bottle-migrate.toml", &verifying(commands))]);
    let mut command = target.command(&["flip-default", "--yes"]);
    command.env("BOT_BOTTLE_SIDECAR_BUNDLE", "0");
    let ran = ran(command, "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("verifying: grep -q bundle"), "{}", ran.stderr);
}

#[test]
fn a_path_does_not_leave_the_root() {
    let outside = Target::new(&[("file", "FROM scratch\n")]);
    let target = repository(&[]);
    fs::remove_file(target.path("Dockerfile.egress")).unwrap();
    symlink(outside.path("file"), target.path("Dockerfile.egress")).unwrap();
    commit_all(&target);
    refused(&target, &[], "Dockerfile.egress: is a link that leaves the root");

    let target = repository(&[("bottle-migrate.toml", "[flip]\ndelete = [\"way/file\"]\n")]);
    symlink(outside.path(""), target.path("way")).unwrap();
    commit_all(&target);
    refused(&target, &[], "way/file: goes through the link way");
    assert!(outside.path("file").exists());

    target.write("bottle-migrate.toml", "[flip]\ndelete = [\"../file\"]\n");
    assert_eq!(flip(&target, &["--yes"]).code, 2);
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
    refused(&target, &[], "settings.py: is a link, which is not edited");
}

#[test]
fn a_folder_is_not_deleted() {
    let target = repository(&[("bottle-migrate.toml", "[flip]\ndelete = [\"plans\"]\n")]);
    refused(&target, &[], "plans: is a folder, not a file");
}

#[test]
fn a_pipe_is_not_waited_for() {
    let edit = "[[flip.edit]]\nfile = \"pipe\"\nfind = \"a\"\nreplace = \"b\"\n";
    let target = repository(&[("bottle-migrate.toml", &format!("{CONFIG}{edit}"))]);
    let made = Command::new("mkfifo").arg(target.path("pipe")).status().unwrap();
    assert!(made.success());
    refused(&target, &[], "pipe: is not a regular file");
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

/// Makes a hook of a repository.
fn hook(target: &Target, name: &str, script: &str) {
    let path = format!(".git/hooks/{name}");
    target.write(&path, format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(target.path(&path), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_failing_hook_undoes_everything() {
    let target = repository(&[]);
    fs::remove_file(target.path("bottle-migrate.toml")).unwrap();
    commit_all(&target);
    hook(&target, "pre-commit", "echo not today; exit 1");
    let head = git(&target, &["rev-parse", "HEAD"]);
    undone(&target, &["--commit"], "  | not today");
    assert_eq!(git(&target, &["rev-parse", "HEAD"]), head);
}

#[test]
fn a_kill_after_the_commit_counts_as_finished() {
    let target = repository(&[]);
    // The hook's parent is git, and git's parent is the flip.
    hook(&target, "post-commit", "kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat)");
    let mut command = target.command(&["flip-default", "--yes", "--commit"]);
    assert!(!command.status().unwrap().success());
    let ran = flip(&target, &["--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("nothing to do"), "{}", ran.stdout);
    let ran = flip(&target, &["--rollback"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("git revert"), "{}", ran.stderr);
}

#[test]
fn a_kill_before_the_commit_can_be_undone() {
    let target = repository(&[]);
    fs::remove_file(target.path("bottle-migrate.toml")).unwrap();
    commit_all(&target);
    let before = snapshot(&target.path(""));
    hook(&target, "pre-commit", "kill -KILL $(cut -d' ' -f4 /proc/$PPID/stat); exit 1");
    let mut command = target.command(&["flip-default", "--yes", "--commit"]);
    assert!(!command.status().unwrap().success());
    // Git ends after its hook, and with it its lock.
    while target.path(".git/index.lock").exists() {
        std::thread::yield_now();
    }
    let ran = flip(&target, &["--yes"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains("--rollback"), "{}", ran.stderr);
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    assert_eq!(snapshot(&target.path("")), before);
    assert_eq!(git(&target, &["status", "--porcelain"]), "");
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

/// Starts a flip that is being verified until the pipe that is returned is closed.
fn paused(target: &Target, arguments: &[&str]) -> (std::process::Child, File) {
    assert!(Command::new("mkfifo").arg(target.path("pipe")).status().unwrap().success());
    let mut command = target.command(&[&["flip-default", "--yes"], arguments].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Opening it waits for the command that reads it.
    let pipe = File::options().write(true).open(target.path("pipe")).unwrap();
    (child, pipe)
}

fn pausing() -> Target {
    repository(&[("bottle-migrate.toml", &verifying("[\"cat pipe\"]")), (".gitignore", "pipe\n")])
}

fn signal(child: &std::process::Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn of_two_runs_at_once_one_refuses() {
    let target = pausing();
    let (mut child, pipe) = paused(&target, &[]);
    for arguments in [&["--yes"][..], &["--dry-run"], &["--rollback"]] {
        let ran = flip(&target, arguments);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains("another run is at work"), "{}", ran.stderr);
    }
    drop(pipe);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!target.path("Dockerfile.egress").exists());
}

#[test]
fn an_interrupted_run_is_told_and_can_be_undone() {
    let target = pausing();
    let before = snapshot(&target.path(""));
    let (mut child, _pipe) = paused(&target, &[]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!target.path("Dockerfile.egress").exists());
    for arguments in [&["--yes"][..], &["--dry-run"]] {
        let ran = flip(&target, arguments);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("interrupted: 4 of 4 files") && ran.stderr.contains("--rollback"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(flip(&target, &["--rollback"]).code, 0);
    fs::remove_file(target.path("pipe")).unwrap();
    assert_eq!(snapshot(&target.path("")), before);
}

#[test]
fn a_signal_undoes_everything() {
    for name in ["-TERM", "-INT", "-HUP"] {
        let target = pausing();
        let before = snapshot(&target.path(""));
        let (mut child, _pipe) = paused(&target, &[]);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(5));
        fs::remove_file(target.path("pipe")).unwrap();
        assert_eq!(snapshot(&target.path("")), before);
    }
}

#[test]
fn a_rollback_does_not_touch_what_has_changed_since() {
    let target = repository(&[]);
    flipped(&target, &[]);
    target.write("settings.py", "mine\n");
    let before = snapshot(&target.path(""));
    let ran = flip(&target, &["--rollback"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("settings.py: has changed since"), "{}", ran.stderr);
    assert_eq!(snapshot(&target.path("")), before);
}

#[test]
fn a_damaged_journal_is_left_to_a_person() {
    let target = repository(&[]);
    flipped(&target, &[]);
    let original = target.path(".bottle-migrate/runs/1/originals/0");
    fs::write(&original, "damaged").unwrap();
    let ran = flip(&target, &["--rollback"]);
    assert_eq!(ran.code, 6, "{}", ran.stderr);
    assert!(ran.stderr.contains("original is damaged"), "{}", ran.stderr);
    target.write(".bottle-migrate/runs/1/record.json", "{");
    assert_eq!(flip(&target, &["--rollback"]).code, 6);
    assert_eq!(flip(&target, &["--yes"]).code, 3);
}

#[test]
fn a_journal_does_not_lead_out_of_the_root() {
    let outside = Target::new(&[("file", "mine\n")]);
    let target = repository(&[]);
    flipped(&target, &[]);
    let record = target.path(".bottle-migrate/runs/1/record.json");
    let text = fs::read_to_string(&record).unwrap();
    symlink(outside.path(""), target.path("way")).unwrap();
    for path in ["../file", "/file", "way/file"] {
        fs::write(&record, text.replace("settings.py", path)).unwrap();
        assert_ne!(flip(&target, &["--rollback"]).code, 0);
        assert_eq!(fs::read_to_string(outside.path("file")).unwrap(), "mine\n");
    }
}

#[test]
fn dockerfiles_may_be_kept_and_deleted_later() {
    let target = repository(&[("Makefile", "all:\n\tdocker build -f Dockerfile.egress .\n")]);
    let before = snapshot(&target.path(""));
    let ran = flipped(&target, &["--keep-dockerfiles"]);
    assert!(ran.stdout.contains("the Dockerfiles stay"), "{}", ran.stdout);
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
fn without_a_terminal_somebody_has_to_say_yes() {
    let target = repository(&[]);
    let ran = flip(&target, &[]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert!(target.path("Dockerfile.egress").exists());
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
fn options_that_contradict_each_other_are_usage_errors() {
    let target = repository(&[]);
    for arguments in [
        &["--dry-run", "--yes"][..],
        &["--rollback", "--apply", "x"],
        &["--plan-out", "x", "--yes"],
        &["--apply", "x", "--keep-dockerfiles"],
        &["--rollback", "--commit"],
    ] {
        assert_eq!(flip(&target, arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn a_check_that_found_nothing_to_check_is_no_check() {
    let target = repository(&[]);
    fs::remove_dir_all(target.path("plans")).unwrap();
    commit_all(&target);
    refused(&target, &[], "no plan matches");
    flipped(&target, &["--allow-empty"]);
    let target = repository(&[]);
    fs::remove_dir_all(target.path("tests")).unwrap();
    commit_all(&target);
    refused(&target, &[], "no file matches `[scan] test`");
    flipped(&target, &["--allow-empty"]);
}

#[test]
fn every_plan_has_to_be_equivalent() {
    let expired =
        "[[waiver]]\nrule = \"mount-dropped\"\nsubject = \"/x\"\nreason = \"r\"\nexpires = \"2020-01-01\"\n";
    let target = repository(&[("bottle-migrate.toml", expired)]);
    refused(&target, &[], "not equivalent: waiver-expired");
    let needs = include_str!("../../examples/needs-waiver.plan.json");
    let target = repository(&[("plans/b.json", needs)]);
    refused(&target, &[], "plans/b.json: not equivalent: cap-gained");
    let waiver = "[[waiver]]\nrule = \"cap-gained\"\nsubject = \"NET_ADMIN\"\nreason = \"r\"\n";
    target.write("bottle-migrate.toml", waiver);
    commit_all(&target);
    flipped(&target, &[]);
}

#[test]
fn what_cannot_be_read_is_an_input_error() {
    let target = repository(&[("plans/b.json", "{")]);
    assert_eq!(flip(&target, &["--yes"]).code, 2);
    let target = repository(&[("bottle-migrate.toml", "[flip]\nunknown = 1\n")]);
    assert_eq!(flip(&target, &["--yes"]).code, 2);
    assert!(Path::new(&target.path("Dockerfile.egress")).exists());
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

#[test]
fn a_reference_that_is_left_refuses_in_tests_and_code_and_is_told_in_documents() {
    for file in ["tests/test_b.py", "tool.py"] {
        let target = repository(&[(file, "name = pipelock_container_name(slug)\n")]);
        refused(&target, &[], &format!("{file}:1: still refers to one container per sidecar"));
    }
    let target = repository(&[
        ("docs/a.md", "Call `pipelock_container_name(slug)`.\n"),
        ("flag.py", "on = os.environ.get(\"BOT_BOTTLE_SIDECAR_BUNDLE\")\n"),
    ]);
    let ran = flipped(&target, &[]);
    for line in ["docs/a.md:1  name-helper", "flag.py:1  flag-reference"] {
        assert!(ran.stdout.contains(line), "{line} in {}", ran.stdout);
    }
}
