//! Ends, stops, signals and orphans.

use crate::init::{Place, Setup, kill, lives, row, script, until};

const FOREVER: &str = "echo ready; exec sleep 1000";

fn ends(place: Place, rows: &[String], expect: i32) -> String {
    let output = Setup::new(place, rows).output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(expect), "{said}");
    said
}

pub(super) fn all_dead_with_0_is_0(place: Place) {
    ends(place, &[script("a", "exit 0", ""), script("b", "exit 0", "")], 0);
}

pub(super) fn the_worst_code_wins(place: Place) {
    ends(place, &[script("a", "exit 3", ""), script("b", "exit 7", ""), script("c", "exit 0", "")], 7);
}

pub(super) fn a_death_by_signal_is_128_and_its_number(place: Place) {
    let said = ends(place, &[script("a", "kill -SEGV $$", "")], 139);
    assert!(said.contains("[sidecar-init] a was ended by SIGSEGV"), "{said}");
}

pub(super) fn a_missing_program_is_127_and_the_others_run(place: Place) {
    let rows = [row("a", &["/no/such/program"], ""), script("b", "echo here", "")];
    let output = Setup::new(place, &rows).output();
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(output.stdout, b"[b] here\n");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("a cannot be started: /no/such/program"), "{said}");
}

pub(super) fn a_program_that_cannot_be_run_is_126(place: Place) {
    ends(place, &[row("a", &["/etc/passwd"], "")], 126);
}

pub(super) fn a_death_is_logged_once_and_the_survivors_stay(place: Place) {
    let mut init = Setup::new(place, &[script("a", "exit 5", ""), script("b", FOREVER, "")]).start();
    init.line("[b] ready");
    init.line("a exited with code 5");
    let pid = init.status()["daemons"][1]["pid"].as_i64();
    assert!(pid.is_some());
    init.signal("TERM");
    let (code, lines) = init.end();
    assert_eq!(code, 5);
    assert_eq!(lines.iter().filter(|line| line.contains("a exited")).count(), 0, "{lines:?}");
}

fn stops(place: Place, signal: &str) {
    let text = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", text, ""), script("b", FOREVER, "")]).start();
    init.line("[a] ready");
    init.line("[b] ready");
    init.signal(signal);
    init.line("[a] bye");
    assert_eq!(init.end().0, 0);
}

pub(super) fn term_stops_all(place: Place) {
    stops(place, "TERM");
}

pub(super) fn int_stops_all(place: Place) {
    stops(place, "INT");
}

pub(super) fn quit_stops_all(place: Place) {
    stops(place, "QUIT");
}

pub(super) fn a_shells_143_on_our_term_is_graceful(place: Place) {
    let text = "trap 'exit 143' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", text, "")]).start();
    init.line("ready");
    assert_eq!(init.stop(), 0);
}

pub(super) fn a_code_of_its_own_on_our_term_counts(place: Place) {
    let text = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", text, "")]).start();
    init.line("ready");
    assert_eq!(init.stop(), 9);
}

pub(super) fn who_ignores_term_is_killed_at_the_deadline(place: Place) {
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", stubborn, ""), script("b", FOREVER, "")]).start();
    init.line("[a] ready");
    init.line("[b] ready");
    init.signal("TERM");
    init.line("b was ended by SIGTERM");
    init.line("a did not end in time");
    assert_eq!(init.end().0, 137);
}

pub(super) fn a_second_term_kills_at_once(place: Place) {
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", stubborn, "")]).start();
    init.line("ready");
    let pid = init.pid();
    kill(pid, "TERM");
    // The first has to be taken before the second: two pending signals of one kind are one.
    until("the first TERM is taken", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pending = status.lines().find(|line| line.starts_with("ShdPnd:")).unwrap_or_default().to_owned();
        pending.ends_with("0000000000000000")
    });
    kill(pid, "TERM");
    init.line("killing what is left");
    let (code, lines) = init.end();
    assert_eq!(code, 137);
    assert!(!lines.iter().any(|line| line.contains("in time")), "{lines:?}");
}

pub(super) fn a_stopped_daemon_is_stopped_too(place: Place) {
    let mut init =
        Setup::new(place, &[script("a", "echo ready; kill -STOP $$; exec sleep 1000", "")]).start();
    init.line("ready");
    assert_eq!(init.stop(), 0);
}

pub(super) fn a_stop_right_after_the_start_works(place: Place) {
    let init =
        Setup::new(place, &[script("a", "exec sleep 1000", ""), script("b", "exec sleep 1000", "")]).start();
    let mut init = init;
    init.line("isolation");
    assert_eq!(init.stop(), 0);
}

pub(super) fn what_a_daemon_leaves_in_its_group_is_killed(place: Place) {
    let rows = [script("a", "sleep 1000 & echo child $!; exit 0", ""), script("b", FOREVER, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[b] ready");
    init.line("[a] child");
    init.line("a exited with code 0");
    let own = init.pid();
    until("the child is gone", || descendants(own) == 1);
    assert_eq!(init.stop(), 0);
}

pub(super) fn who_escapes_into_a_session_of_its_own_ends_with_the_container(place: Place) {
    let text = "setsid sh -c 'echo $$ >escaped; exec sleep 1000' & \
                while ! [ -s escaped ]; do sleep 0.01; done; echo ready; exec sleep 1000";
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [script("a", text, &format!("workdir = {:?}", folder.path()))];
    let mut init = Setup::new(place, &rows).start();
    init.line("ready");
    let own = init.pid();
    let before = all_descendants(own);
    assert!(before.len() >= 2, "{before:?}");
    assert_eq!(init.stop(), 0);
    until("nobody is left", || !before.iter().any(|pid| lives(*pid)));
}

pub(super) fn orphans_in_bursts_are_reaped(place: Place) {
    let burst =
        "i=0; while [ $i -lt 200 ]; do (setsid true &) ; i=$((i+1)); done; echo ready; exec sleep 1000";
    let mut init = Setup::new(place, &[script("a", burst, "")]).start();
    init.line("ready");
    let own = init.pid();
    until("no zombie is left", || descendants(own) == 1);
    assert_eq!(init.stop(), 0);
}

pub(super) fn hup_reaches_those_who_reload_and_no_other(place: Place) {
    let reloads = "trap 'echo reloaded' HUP; trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let other = "trap 'echo wrongly' HUP USR1; trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let custom = "trap 'echo custom' USR1; trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let rows = [
        script("a", reloads, "reload = 'HUP'"),
        script("b", other, ""),
        script("c", custom, "reload = 'SIGUSR1'"),
    ];
    let mut init = Setup::new(place, &rows).start();
    for name in ["a", "b", "c"] {
        init.line(&format!("[{name}] ready"));
    }
    init.signal("HUP");
    init.line("[a] reloaded");
    init.line("[c] custom");
    init.signal("TERM");
    let (code, lines) = init.end();
    assert_eq!(code, 0);
    assert!(!lines.iter().any(|line| line.contains("wrongly")), "{lines:?}");
}

pub(super) fn other_signals_do_nothing(place: Place) {
    let mut init = Setup::new(place, &[script("a", FOREVER, "")]).start();
    init.line("ready");
    for signal in ["USR1", "USR2", "ALRM", "PIPE", "WINCH", "TSTP", "URG"] {
        init.signal(signal);
    }
    assert_eq!(init.status()["daemons"][0]["state"], "running");
    assert_eq!(init.stop(), 0);
}

pub(super) fn an_opted_in_daemon_comes_back_after_a_failure(place: Place) {
    let text = "if [ -e second ]; then echo again; exec sleep 1000; fi; touch second; exit 4";
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!("restart = 'on-failure'\nworkdir = {:?}", folder.path());
    let mut init = Setup::new(place, &[script("a", text, &more)]).start();
    init.line("a exited with code 4");
    init.line("[a] again");
    assert_eq!(init.status()["daemons"][0]["restarts"], 1);
    assert_eq!(init.stop(), 0, "the last life counts");
}

pub(super) fn an_opted_in_daemon_that_ends_well_stays_away(place: Place) {
    ends(place, &[script("a", "exit 0", "restart = 'on-failure'")], 0);
}

pub(super) fn a_stop_during_the_wait_for_a_restart_works(place: Place) {
    let mut init = Setup::new(place, &[script("a", "exit 4", "restart = 'on-failure'")]).start();
    init.line("a exited with code 4");
    assert_eq!(init.stop(), 4);
}

/// Children of a process, zombies included.
fn descendants(pid: i32) -> usize {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .count()
}

/// Every process below one.
fn all_descendants(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<i32> = text.split_whitespace().filter_map(|child| child.parse().ok()).collect();
    let below: Vec<i32> = children.iter().flat_map(|child| all_descendants(*child)).collect();
    children.into_iter().chain(below).collect()
}

crate::cases! {
    all_dead_with_0_is_0
    the_worst_code_wins
    a_death_by_signal_is_128_and_its_number
    a_missing_program_is_127_and_the_others_run
    a_program_that_cannot_be_run_is_126
    a_death_is_logged_once_and_the_survivors_stay
    term_stops_all
    int_stops_all
    quit_stops_all
    a_shells_143_on_our_term_is_graceful
    a_code_of_its_own_on_our_term_counts
    who_ignores_term_is_killed_at_the_deadline
    a_second_term_kills_at_once
    a_stopped_daemon_is_stopped_too
    a_stop_right_after_the_start_works
    what_a_daemon_leaves_in_its_group_is_killed
    who_escapes_into_a_session_of_its_own_ends_with_the_container
    orphans_in_bursts_are_reaped
    hup_reaches_those_who_reload_and_no_other
    other_signals_do_nothing
    an_opted_in_daemon_comes_back_after_a_failure
    an_opted_in_daemon_that_ends_well_stays_away
    a_stop_during_the_wait_for_a_restart_works
}
