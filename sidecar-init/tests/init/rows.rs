//! What a row says of a process, and what an operator does with one.

use std::time::{Duration, Instant};

use crate::init::{Place, Setup, script};

const FOREVER: &str = "echo ready; exec sleep 1000";

fn out(place: Place, rows: &[String]) -> String {
    String::from_utf8_lossy(&Setup::new(place, rows).output().stdout).into_owned()
}

/// The log of one daemon that ends.
fn said(place: Place, text: &str, more: &str) -> String {
    out(place, &[script("a", text, more)])
}

pub(super) fn a_row_sets_umask_nice_limits_and_the_killers_preference(place: Place) {
    for (text, more, expect, default) in [
        ("umask", "umask = '077'", "0077", "0022"),
        ("nice", "nice = 17", "17", ""),
        ("ulimit -n", "rlimits = { nofile = 333 }", "333", ""),
        ("ulimit -Sn; ulimit -Hn", "rlimits = { nofile = { soft = 300, hard = 400 } }", "300\n[a] 400", ""),
        ("cat /proc/self/oom_score_adj", "oom_score_adj = 321", "321", ""),
    ] {
        assert_eq!(said(place, text, more), format!("[a] {expect}\n"), "{more}");
        let without = said(place, text, "");
        assert_ne!(without, format!("[a] {expect}\n"), "the control of {more}");
        assert!(default.is_empty() || without == format!("[a] {default}\n"), "{without}");
    }
}

pub(super) fn the_handshake_lays_keys_over_a_row(place: Place) {
    let rows = [script("a", "umask", "umask = '077'"), script("b", "umask; nice", "")];
    let setup = Setup::new(place, &rows).with("BOT_BOTTLE_SIDECAR_ROW_B", "umask = '027'\nnice = 17\n");
    let said = String::from_utf8_lossy(&setup.output().stdout).into_owned();
    for line in ["[a] 0077", "[b] 0027", "[b] 17"] {
        assert!(said.lines().any(|is| is == line), "{line}: {said}");
    }
    let setup = Setup::new(place, &rows).with("BOT_BOTTLE_SIDECAR_ROW_B", "umsk = '027'");
    let output = setup.output();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("umsk"));
}

pub(super) fn listed_variables_are_all_that_arrives(place: Place) {
    let rows = [script("a", "env", ""), script("b", "env", "")];
    let said = |mode: &str| {
        let setup = Setup::new(place, &rows)
            .with("BOT_BOTTLE_SIDECAR_ENV", mode)
            .with("BOT_BOTTLE_SIDECAR_ENV_A", "LISTED")
            .with("LISTED", "1")
            .with("GPG_KEY", "of-the-image");
        String::from_utf8_lossy(&setup.output().stdout).into_owned()
    };
    let listed = said("listed");
    assert!(listed.contains("[a] LISTED=1") && !listed.contains("[b] LISTED") && !listed.contains("GPG_KEY"));
    assert!(listed.contains("[b] PATH="));
    assert!(said("rest").contains("[b] GPG_KEY=of-the-image"), "the control");
}

pub(super) fn restart_policies_are_kept(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let text =
        |code: u8| format!("echo x >>count; [ $(wc -l <count) -lt 3 ] || exec sleep 1000; exit {code}");
    for (policy, code) in [("always", 0), ("unless-stopped", 0), ("on-failure", 1), ("always", 1)] {
        std::fs::write(folder.path().join("count"), "").expect("a file");
        let more = format!("restart = '{policy}'\nworkdir = {:?}", folder.path());
        let mut init =
            Setup::new(place, &[script("a", &text(code), &more), script("b", FOREVER, "")]).start();
        init.line("[b] ready");
        let deadline = Instant::now() + Duration::from_mins(1);
        while init.status()["daemons"][0]["restarts"] != 2 {
            assert!(Instant::now() < deadline, "{policy}: {}", init.status());
        }
        assert_eq!(init.stop(), 0, "{policy}");
    }
    for (policy, code, restarts) in [("no", 1, 0), ("on-failure", 0, 0), ("on-failure:1", 1, 1)] {
        let more = format!("restart = '{policy}'");
        let mut init =
            Setup::new(place, &[script("a", &format!("exit {code}"), &more), script("b", FOREVER, "")])
                .start();
        for _ in 0..=restarts {
            init.line("a exited");
        }
        init.until(&["check"], 1);
        let status = init.status();
        assert_eq!(status["daemons"][0]["state"], "dead", "{policy}");
        assert_eq!(status["daemons"][0]["restarts"], restarts, "{policy}");
        assert_eq!(init.stop(), code, "{policy}");
    }
}

pub(super) fn a_daemon_waits_for_others(place: Place) {
    let rows = [
        script("last", "echo last; exec sleep 1000", "after = { migrate = 'completed', db = 'healthy' }"),
        script(
            "db",
            "echo db; exec sleep 1000",
            "health = { test = ['test', '-e', 'healthy'], interval = 0.02 }",
        ),
        script(
            "migrate",
            "echo migrate; until [ -e done ]; do sleep 0.01; done; exit 0",
            "after = { db = 'started' }",
        ),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let workdir = format!("workdir = {:?}\n", folder.path());
    let rows = rows.map(|row| row.replace("argv =", &format!("{workdir}argv =")));
    let mut init = Setup::new(place, &rows).start();
    init.line("[db] db");
    init.line("[migrate] migrate");
    assert_eq!(init.status()["daemons"][0]["state"], "pending");
    let said = init.until(&["check"], 1);
    assert!(said.contains("last is pending"), "{said}");
    std::fs::write(folder.path().join("done"), "").expect("a file");
    init.line("migrate exited with code 0");
    assert_eq!(init.status()["daemons"][0]["state"], "pending");
    std::fs::write(folder.path().join("healthy"), "").expect("a file");
    init.line("[last] last");
    // A one-shot that others wait for is well when it has ended with 0.
    init.until(&["check"], 0);
    assert_eq!(init.status()["daemons"][2]["state"], "completed");
    assert_eq!(init.stop(), 0);
}

pub(super) fn a_condition_that_will_not_be_met_is_said(place: Place) {
    let rows = [
        script("once", "exit 4", ""),
        script("last", "echo started", "after = { once = 'completed' }"),
        script("more", "echo started", "after = { last = 'started' }"),
    ];
    let output = Setup::new(place, &rows).output();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(4), b"".as_slice()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("last is not started: once exited with code 4"), "{said}");
    assert!(said.contains("more is not started: last was not started"), "{said}");
}

pub(super) fn health_is_asked_of_a_program(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let workdir = format!("workdir = {:?}\n", folder.path());
    let health = "health = { test = ['test', '-e', 'well'], interval = 0.02, retries = 2 }";
    let mut init = Setup::new(place, &[script("a", FOREVER, &(workdir.clone() + health))]).start();
    init.line("ready");
    let until = |init: &crate::init::Init, health: &str| {
        let deadline = Instant::now() + Duration::from_mins(1);
        while init.status()["daemons"][0]["health"] != health {
            assert!(Instant::now() < deadline, "{health}: {}", init.status());
        }
    };
    until(&init, "unhealthy");
    let said = init.until(&["check"], 1);
    assert!(said.contains("a is unhealthy"), "{said}");
    std::fs::write(folder.path().join("well"), "").expect("a file");
    until(&init, "healthy");
    init.until(&["check"], 0);
    std::fs::remove_file(folder.path().join("well")).expect("removed");
    until(&init, "unhealthy");
    assert_eq!(init.stop(), 0);
    // Failures in the start period do not count, and a run that takes too long is one.
    let slow = "health = { test = ['sleep', '1000'], interval = 0.02, timeout = 0.05, retries = 1, start_period = 600 }";
    let mut init = Setup::new(place, &[script("a", FOREVER, &(workdir.clone() + slow))]).start();
    init.line("ready");
    init.until(&["check"], 1);
    assert_eq!(init.status()["daemons"][0]["health"], "starting");
    assert_eq!(init.stop(), 0);
    let slow = slow.replace("600", "0");
    let mut init = Setup::new(place, &[script("a", FOREVER, &(workdir + &slow))]).start();
    init.line("ready");
    until(&init, "unhealthy");
    assert_eq!(init.stop(), 0);
}

pub(super) fn the_end_of_a_critical_daemon_ends_the_container(place: Place) {
    let text = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let rows = [
        script("a", "until [ -e go ]; do sleep 0.01; done; exit 5", "critical = true"),
        script("b", text, ""),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let workdir = format!("workdir = {:?}\n", folder.path());
    let rows = rows.map(|row| row.replace("argv =", &format!("{workdir}argv =")));
    let mut init = Setup::new(place, &rows).start();
    init.line("[b] ready");
    std::fs::write(folder.path().join("go"), "").expect("a file");
    let (code, lines) = init.end();
    assert_eq!(code, 5, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("a is critical")), "{lines:#?}");
}

pub(super) fn an_operator_stops_and_starts_one_daemon(place: Place) {
    let rows = [script("a", FOREVER, "restart = 'always'"), script("b", FOREVER, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[a] ready");
    init.line("[b] ready");
    let said = init.until(&["stop", "a"], 0);
    assert!(said.contains("a has ended"), "{said}");
    assert_eq!(init.status()["daemons"][0]["state"], "stopped");
    let said = init.until(&["check"], 1);
    assert!(said.contains("a is stopped") && !said.contains("b "), "{said}");
    // The container stays, even if nothing runs.
    init.until(&["stop", "b"], 0);
    let said = init.until(&["start", "a"], 0);
    assert!(said.contains("a runs as process"), "{said}");
    init.line("[a] ready");
    let said = init.until(&["start", "a"], 0);
    assert!(said.contains("a runs already"), "{said}");
    init.until(&["start", "b"], 0);
    init.line("[b] ready");
    init.until(&["check"], 0);
    assert_eq!(init.stop(), 0);
}

pub(super) fn status_shows_the_row(place: Place) {
    let more = "nice = 3\nstop_signal = 'INT'\nafter = { b = 'started' }\nrlimits = { nofile = 100 }\ncapabilities = []";
    let mut init = Setup::new(place, &[script("a", FOREVER, more), script("b", FOREVER, "")]).start();
    init.line("[a] ready");
    let row = init.status()["daemons"][0]["row"].clone();
    assert_eq!((&row["nice"], &row["stop_signal"]), (&3.into(), &"INT".into()), "{row}");
    assert_eq!((&row["after"]["b"], &row["rlimits"]["nofile"]), (&"started".into(), &100.into()), "{row}");
    assert_eq!(row["capabilities"], serde_json::json!([]), "{row}");
    init.signal("TERM");
    init.end();
}

pub(super) fn validate_starts_nothing(_: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("daemons.toml");
    let mark = folder.path().join("started");
    let run = |table: &str| {
        std::fs::write(&file, table).expect("a table");
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_sidecar-init"))
            .args(["validate", "--daemons", &file.to_string_lossy()])
            .output()
            .expect("the verb runs");
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!mark.exists(), "{text}");
        (output.status.code(), text)
    };
    let row = script("a", &format!("touch {}", mark.display()), "");
    assert_eq!(run(&row), (Some(0), "valid: a\n".to_owned()));
    for (more, culprit) in [("nise = 1", "nise"), ("user = 'no-such'", "no-such"), ("nice = 99", "99")] {
        let (code, text) = run(&format!("{row}{more}\n"));
        assert!(code == Some(2) && text.contains(culprit), "{more}: {code:?} {text}");
    }
}

crate::cases! {
    a_row_sets_umask_nice_limits_and_the_killers_preference
    the_handshake_lays_keys_over_a_row
    listed_variables_are_all_that_arrives
    restart_policies_are_kept
    a_daemon_waits_for_others
    a_condition_that_will_not_be_met_is_said
    health_is_asked_of_a_program
    the_end_of_a_critical_daemon_ends_the_container
    an_operator_stops_and_starts_one_daemon
    status_shows_the_row
    validate_starts_nothing
}
