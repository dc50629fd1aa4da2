//! What a flip refuses. It changes nothing then.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::process::Target;

use super::*;

#[test]
fn files_that_are_not_committed_are_left_alone() {
    let target = repository(&[("docs/a.md", "a\n")]);
    target.write("docs/a.md", "unrelated\n");
    target.write("docs/new.md", "unrelated\n");
    target.write("Dockerfile.egress", "FROM scratch\nUSER 1\n");
    refused(&target, &[], "Dockerfile.egress: has uncommitted changes");
    git(&target, &["add", "Dockerfile.egress"]);
    refused(&target, &[], "Dockerfile.egress: has uncommitted changes");
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
    refused(&target, &[], "settings.py: is marked assume-unchanged or skip-worktree in git");
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
fn a_path_does_not_leave_the_root() {
    let outside = Target::new(&[("file", "FROM scratch\n")]);
    let target = repository(&[]);
    fs::remove_file(target.path("Dockerfile.egress")).unwrap();
    symlink(outside.path("file"), target.path("Dockerfile.egress")).unwrap();
    commit_all(&target);
    refused(&target, &[], "Dockerfile.egress: is a symbolic link that leaves the root folder");

    let target = repository(&[("bottle-migrate.toml", "[flip]\ndelete = [\"way/file\"]\n")]);
    symlink(outside.path(""), target.path("way")).unwrap();
    commit_all(&target);
    refused(&target, &[], "way/file: goes through the symbolic link way");
    assert!(outside.path("file").exists());

    target.write("bottle-migrate.toml", "[flip]\ndelete = [\"../file\"]\n");
    assert_eq!(flip(&target, &["--yes"]).code, 2);
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
fn without_a_terminal_somebody_has_to_say_yes() {
    let target = repository(&[]);
    let ran = flip(&target, &[]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert!(target.path("Dockerfile.egress").exists());
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
    let needs = include_str!("../../../examples/needs-waiver.plan.json");
    let target = repository(&[("plans/b.json", needs)]);
    refused(&target, &[], "plans/b.json: not equivalent: cap-gained");
    let copy = "COPY --from=pipelock /pipelock /usr/local/bin/pipelock\n";
    let target = repository(&[("Dockerfile.sidecars", &BUNDLE.replacen(copy, "", 1))]);
    refused(&target, &[], "not equivalent: image-path-lost");
    let waiver =
        "[[waiver]]\nrule = \"image-path-lost\"\nsubject = \"/usr/local/bin/pipelock\"\nreason = \"r\"\n";
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

#[test]
fn what_is_committed_is_looked_at_though_it_is_ignored() {
    let target = repository(&[("build/all.sh", "docker build -f Dockerfile.egress .\n")]);
    target.write(".gitignore", "build\n");
    commit_all(&target);
    refused(&target, &[], "build/all.sh:1: refers to Dockerfile.egress");
}

#[test]
fn what_the_scan_leaves_out_is_told() {
    let config = format!("{CONFIG}\n[scan]\nexclude = [\"vendor/**\"]\n");
    let target = repository(&[
        ("bottle-migrate.toml", &config),
        ("vendor/all.sh", "docker build -f Dockerfile.egress .\ncat Dockerfile.supervise\n"),
    ]);
    let ran = flipped(&target, &[]);
    let told = "vendor/all.sh:1  names Dockerfile.egress, Dockerfile.supervise (2 lines)";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
}

#[test]
fn a_plan_that_cannot_be_shown_is_not_carried_out() {
    for arguments in [&["--dry-run"][..], &["--yes"]] {
        let target = repository(&[]);
        let before = snapshot(&target.path(""));
        let mut command = target.command(&[&["flip-default"], arguments].concat());
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("failed to write the report: no space left on device"), "{stderr}");
        assert_eq!(snapshot(&target.path("")), before);
    }
}

#[test]
fn an_image_that_lacks_something_refuses() {
    let copy = "COPY --from=pipelock /pipelock /usr/local/bin/pipelock\n";
    for (from, to, message) in [
        (copy, "", "not equivalent: image-path-lost (pipelock, /usr/local/bin/pipelock)"),
        ("ENTRYPOINT [", "ENTRYPOINT [\"sh\", ", "not equivalent: image-entrypoint-changed (ENTRYPOINT)"),
        (copy, "COPY absent /app/\n", "not equivalent: image-path-lost (absent)"),
    ] {
        let target = repository(&[("Dockerfile.sidecars", &BUNDLE.replacen(from, to, 1))]);
        refused(&target, &[], message);
        // The same target with the whole image is flipped.
        target.write("Dockerfile.sidecars", BUNDLE);
        commit_all(&target);
        let ran = flip(&target, &["--yes"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
}
