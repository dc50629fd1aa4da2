//! A flip that is interrupted at any step leaves the target as before or as after, byte for byte, or a rollback makes it
//! so.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use bottle_migrate::flag::Shape;
use bottle_migrate::flip::{
    Abort, Act, Decision, Edit, FOLDER, Facts, Fs, Journal, Options, Outcome, PathState, Plan, Plans,
    Progress, Proof, Scanned, Search, State, Vcs, carry_out, changed_since, decide, undo,
};

use crate::snapshot::{Snapshot, snapshot};

/// A target in which a flip makes, rewrites and deletes files and a link.
struct Case {
    folder: tempfile::TempDir,
    plan: Plan,
    before: Snapshot,
    after: Snapshot,
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/settings.py"), "\u{feff}on = 0\r\n").unwrap();
        fs::set_permissions(root.join("sub/settings.py"), PermissionsExt::from_mode(0o751)).unwrap();
        fs::write(root.join("Dockerfile.egress"), "FROM scratch\n").unwrap();
        fs::set_permissions(root.join("Dockerfile.egress"), PermissionsExt::from_mode(0o600)).unwrap();
        symlink("sub/settings.py", root.join("Docker file ü")).unwrap();
        fs::write(root.join("other"), "stays").unwrap();
        let delete = vec!["Dockerfile.egress".to_owned(), "Docker file ü".to_owned(), "gone".to_owned()];
        let site = Edit { file: "sub/settings.py".to_owned(), find: "0".to_owned(), replace: "1".to_owned() };
        let touched = delete.iter().map(String::as_str).chain(["sub/settings.py", "bottle-migrate.toml"]);
        let facts = Facts {
            config: "bottle-migrate.toml".to_owned(),
            default: Shape::Legacy,
            edits: vec![site],
            entries: touched.map(|path| (path.to_owned(), PathState::at(root, path).unwrap())).collect(),
            delete,
            verify: Vec::new(),
            vcs: Vcs::Git(BTreeMap::new()),
            plans: Plans { files: [("p".to_owned(), State::Absent)].into(), findings: Vec::new() },
            scan: Scanned { files: 1, tests: 1, ..Scanned::default() },
            mentions: Vec::new(),
            search: Search::default(),
            prose: Vec::new(),
        };
        let Decision::Change(plan, _) = decide(&facts, Options::default()) else { panic!("no plan") };
        let before = snapshot(root);
        let mut after = before.clone();
        after.remove("Dockerfile.egress");
        after.remove("Docker file ü");
        after.get_mut("sub/settings.py").unwrap().2 = "\u{feff}on = 1\r\n".into();
        let mode = 0o100_000 | 0o666 & !umask();
        after.insert(
            "bottle-migrate.toml".to_owned(),
            ('f', mode, b"[flag]\ndefault = \"bundle\"\n".to_vec()),
        );
        Self { folder, plan, before, after }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Applies the plan; `fault` may fail any change of the disk.
    fn run(&self, verified: bool, fault: &mut dyn FnMut(Act, &Path) -> io::Result<()>) -> Outcome {
        let verdict = || Abort { why: "no".to_owned(), detail: String::new() };
        let mut verify = || if verified { Ok(()) } else { Err(verdict()) };
        let mut proof = Proof { verify: &mut verify, commit: None, stop: &AtomicBool::new(false) };
        carry_out(self.root(), &self.plan.changes, &mut Fs::new(fault), &mut proof)
    }

    /// Undoes an interrupted run.
    fn recover(&self, place: &str) {
        match Journal::latest(self.root()).unwrap() {
            Some(mut journal) if !matches!(journal.record.progress, Progress::Done { .. }) => {
                assert_eq!(changed_since(self.root(), &journal).unwrap(), [""; 0], "{place}");
                undo(self.root(), &mut journal, &mut Fs::new(&mut |_, _| Ok(()))).unwrap();
                assert_eq!(snapshot(self.root()), self.before, "{place}");
            }
            Some(_) => assert_eq!(snapshot(self.root()), self.after, "{place}"),
            None => assert_eq!(snapshot(self.root()), self.before, "{place}"),
        }
    }
}

fn umask() -> u32 {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f"), "").unwrap();
    0o666 & !fs::metadata(folder.path().join("f")).unwrap().permissions().mode()
}

/// Tries every step number until a run has fewer steps; fails if there are not at least `least` steps.
///
/// Without the minimum, a fault that no run reaches would pass every test.
fn each(least: usize, mut case: impl FnMut(usize) -> bool) {
    let steps = (0..1000).find(|number| !case(*number)).unwrap();
    assert!(steps >= least, "only {steps} of at least {least} steps were tried");
}

/// Control: a test in which no run reaches a step proves nothing.
#[test]
#[should_panic(expected = "only 0 of at least 1 steps were tried")]
fn zero_steps_fail() {
    each(1, |_| false);
}

/// Fails one step; `reached` is set if there was such a step.
fn at(
    number: usize,
    reached: &mut bool,
    fault: impl Fn() -> io::Error,
) -> impl FnMut(Act, &Path) -> io::Result<()> {
    let mut step = 0;
    move |_, _| {
        step += 1;
        if step - 1 == number {
            *reached = true;
            return Err(fault());
        }
        Ok(())
    }
}

/// Ends the run at one step as a kill would: nothing is cleaned up.
fn kill() -> io::Error {
    resume_unwind(Box::new("killed"))
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

#[test]
fn a_whole_run_and_its_rollback() {
    let case = Case::new();
    assert!(matches!(case.run(true, &mut |_, _| Ok(())), Outcome::Done(None)));
    assert_eq!(snapshot(case.root()), case.after);
    let mut journal = Journal::latest(case.root()).unwrap().unwrap();
    undo(case.root(), &mut journal, &mut Fs::new(&mut |_, _| Ok(()))).unwrap();
    assert_eq!(snapshot(case.root()), case.before);
    assert!(!case.root().join(FOLDER).exists());
}

#[test]
fn a_kill_at_any_step_can_be_undone() {
    for verified in [true, false] {
        each(41, |number| {
            let case = Case::new();
            let mut reached = false;
            let mut fault = at(number, &mut reached, kill);
            let _ = catch_unwind(AssertUnwindSafe(|| case.run(verified, &mut fault)));
            drop(fault);
            case.recover(&format!("kill at {number}"));
            reached
        });
    }
}

#[test]
fn a_kill_at_any_step_of_a_rollback_can_be_undone() {
    each(11, |number| {
        let case = Case::new();
        case.run(true, &mut |_, _| Ok(()));
        let mut journal = Journal::latest(case.root()).unwrap().unwrap();
        let mut reached = false;
        let mut fault = at(number, &mut reached, kill);
        let _ = catch_unwind(AssertUnwindSafe(|| undo(case.root(), &mut journal, &mut Fs::new(&mut fault))));
        drop(fault);
        case.recover(&format!("kill at {number}"));
        reached
    });
}

#[test]
fn an_error_at_any_step_undoes_everything() {
    for fault in [full, broken] {
        for verified in [true, false] {
            each(41, |number| {
                let case = Case::new();
                let mut reached = false;
                let outcome = case.run(verified, &mut at(number, &mut reached, fault));
                let now = snapshot(case.root());
                match outcome {
                    Outcome::Done(_) => assert_eq!(now, case.after, "error at {number}"),
                    Outcome::Undone(_) => {
                        assert_eq!(now, case.before, "error at {number}");
                        assert!(Journal::latest(case.root()).unwrap().is_none(), "error at {number}");
                    }
                    // Undoing can fail only through an error while undoing.
                    Outcome::Stuck(..) => assert!(!verified, "error at {number}"),
                }
                case.recover(&format!("error at {number}"));
                reached
            });
        }
    }
}

#[test]
fn a_disk_that_stays_full_keeps_nothing_from_being_undone() {
    each(21, |number| {
        let case = Case::new();
        let (mut step, mut reached) = (0, false);
        let outcome = case.run(true, &mut |act, _| {
            step += 1;
            if step > number && matches!(act, Act::Folder | Act::Create | Act::Write) {
                reached = true;
                return Err(full());
            }
            Ok(())
        });
        let expected = if reached { &case.before } else { &case.after };
        assert!(!matches!(outcome, Outcome::Stuck(..)), "full from {number}");
        assert_eq!(snapshot(case.root()), *expected, "full from {number}");
        reached
    });
}

#[test]
fn a_disk_that_stays_broken_leaves_what_a_later_rollback_needs() {
    each(41, |number| {
        let case = Case::new();
        let (mut step, mut reached) = (0, false);
        let outcome = case.run(true, &mut |_, _| {
            step += 1;
            reached |= step > number;
            if step > number { Err(broken()) } else { Ok(()) }
        });
        if let Outcome::Stuck(_, left) = outcome {
            assert!(!left.is_empty(), "broken from {number}");
        }
        case.recover(&format!("broken from {number}"));
        reached
    });
}

#[test]
fn what_changed_meanwhile_is_not_overwritten() {
    let case = Case::new();
    fs::write(case.root().join("Dockerfile.egress"), "FROM other\n").unwrap();
    let before = snapshot(case.root());
    let Outcome::Undone(stop) = case.run(true, &mut |_, _| Ok(())) else { panic!("not undone") };
    assert_eq!(stop.why, "Dockerfile.egress changed meanwhile");
    assert_eq!(snapshot(case.root()), before);
}
