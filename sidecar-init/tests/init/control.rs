//! What an operator asks: `check`, `status`, `signal`, `restart`; and who may not ask.

use crate::init::{Place, Setup, row, script, stub, stubbed};

const FOREVER: &str = "echo ready; exec sleep 1000";

/// Two free ports of the loopback address; nobody else takes them between here and the daemon, but for chance.
fn ports() -> [u16; 2] {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let (one, two) = (free(), free());
    [&one, &two].map(|listener| listener.local_addr().expect("an address").port())
}

pub(super) fn health_waits_for_the_daemons_own_socket(place: Place) {
    let [port, _] = ports();
    let address = format!("127.0.0.1:{port}");
    let rows = [stubbed("a", &["listen", &address, "wait"], &format!("listen = ['{address}']"))];
    let mut init = Setup::new(place, &rows).start();
    init.line("listening");
    let said = init.until(&["check", "--verbose"], 0);
    assert!(said.contains("a is well"), "{said}");
    assert_eq!(init.verb(&["check"]).stdout, b"");
    assert_eq!(init.stop(), 0);
}

pub(super) fn health_fails_while_nothing_listens(place: Place) {
    let [port, _] = ports();
    let rows = [script("a", FOREVER, &format!("listen = [{port}]"))];
    let mut init = Setup::new(place, &rows).start();
    init.line("ready");
    let said = init.until(&["check"], 1);
    assert!(said.contains(&format!("a does not listen on 0.0.0.0:{port}")), "{said}");
    assert_eq!(init.stop(), 0);
}

pub(super) fn health_is_not_fooled_by_another_process_on_the_port(place: Place) {
    let [port, _] = ports();
    let address = format!("127.0.0.1:{port}");
    let rows = [
        script("a", FOREVER, &format!("listen = ['{address}']")),
        stubbed("b", &["listen", &address, "wait"], &format!("listen = ['{address}']")),
    ];
    let mut init = Setup::new(place, &rows).start();
    init.line("ready");
    init.line("listening");
    let said = init.until(&["check"], 1);
    assert!(said.contains("a does not listen") && said.contains("another process"), "{said}");
    assert!(!said.contains("b does not"), "{said}");
    assert_eq!(init.stop(), 0);
}

pub(super) fn health_sees_a_socket_that_a_child_of_the_daemon_holds(place: Place) {
    let [port, _] = ports();
    let address = format!("127.0.0.1:{port}");
    let text = format!("{} listen {address} wait & wait", stub());
    let mut init = Setup::new(place, &[script("a", &text, &format!("listen = ['{address}']"))]).start();
    init.line("listening");
    init.until(&["check"], 0);
    init.signal("TERM");
    assert_eq!(init.end().0, 0);
}

pub(super) fn health_fails_at_once_when_a_daemon_dies(place: Place) {
    let mut init = Setup::new(place, &[script("a", "exit 5", ""), script("b", FOREVER, "")]).start();
    init.line("[b] ready");
    init.line("a exited");
    let said = init.until(&["check"], 1);
    assert!(said.contains("a is dead: it exited with code 5"), "{said}");
    assert_eq!(init.stop(), 5);
}

pub(super) fn status_is_a_table(place: Place) {
    let mut init = Setup::new(place, &[script("a", FOREVER, ""), script("b", "exit 1", "")]).start();
    init.line("[a] ready");
    init.line("b exited");
    let text = String::from_utf8(init.verb(&["status"]).stdout).expect("text");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "PID", "STATE", "UPTIME", "RESTARTS", "USER", "ISOLATION"]);
    assert_eq!((rows[1][0], rows[1][2]), ("a", "running"));
    assert_eq!((rows[2][0], rows[2][1], rows[2][2]), ("b", "-", "dead"));
    assert_eq!(init.stop(), 1);
}

pub(super) fn restart_leaves_the_others_alone(place: Place) {
    let rows = [script("a", FOREVER, ""), script("b", FOREVER, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[a] ready");
    init.line("[b] ready");
    let pids = |status: serde_json::Value| {
        [0, 1].map(|at| status["daemons"][at]["pid"].as_i64().expect("a running daemon"))
    };
    let before = pids(init.status());
    init.until(&["restart", "a"], 0);
    init.line("[a] ready");
    let after = pids(init.status());
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1], after[1]);
    assert_eq!(init.status()["daemons"][0]["restarts"], 1);
    assert_eq!(init.stop(), 0);
}

pub(super) fn restart_starts_a_dead_daemon_and_forgets_its_code(place: Place) {
    let text = "if [ -e second ]; then echo again; exec sleep 1000; fi; touch second; exit 4";
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [script("a", text, &format!("workdir = {:?}", folder.path())), script("b", FOREVER, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[b] ready");
    init.line("a exited with code 4");
    init.until(&["restart", "a"], 0);
    init.line("[a] again");
    assert_eq!(init.stop(), 0);
}

pub(super) fn restart_kills_who_does_not_end_in_time(place: Place) {
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", stubborn, ""), script("b", FOREVER, "")]).start();
    init.line("[a] ready");
    init.line("[b] ready");
    init.until(&["restart", "a"], 0);
    init.line("a was ended by SIGKILL");
    init.line("[a] ready");
    init.signal("TERM");
    init.line("b was ended");
    init.signal("TERM");
    assert_eq!(init.end().0, 137);
}

pub(super) fn restart_of_a_program_that_is_gone_fails_and_says_so(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("program");
    std::fs::copy(stub(), &program).expect("a copy");
    let rows = [row("a", &[&program.to_string_lossy(), "say", "up", "wait"], ""), script("b", FOREVER, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[a] up");
    std::fs::remove_file(&program).expect("removed");
    let said = init.until(&["restart", "a"], 1);
    assert!(said.contains("a cannot be started"), "{said}");
    assert_eq!(init.stop(), 127);
}

pub(super) fn signal_reaches_one_daemon(place: Place) {
    let hears = |name: &str| {
        script(
            name,
            "trap 'echo heard' HUP; trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done",
            "",
        )
    };
    let mut init = Setup::new(place, &[hears("a"), hears("b")]).start();
    init.line("[a] ready");
    init.line("[b] ready");
    init.until(&["signal", "b", "SIGHUP"], 0);
    init.line("[b] heard");
    init.signal("TERM");
    let (code, lines) = init.end();
    assert_eq!(code, 0);
    assert!(!lines.iter().any(|line| line == "[a] heard"), "{lines:?}");
}

pub(super) fn term_by_signal_is_not_ours(place: Place) {
    let mut init = Setup::new(place, &[script("a", FOREVER, "")]).start();
    init.line("ready");
    // PID 1 ends with its last daemon, and may take the verb with it before that has its answer.
    init.verb(&["signal", "a", "TERM"]);
    assert_eq!(init.end().0, 143);
}

pub(super) fn what_cannot_be_done_is_said(place: Place) {
    let mut init = Setup::new(place, &[script("a", FOREVER, ""), script("b", "exit 0", "")]).start();
    init.line("[a] ready");
    init.line("b exited");
    for (words, code, culprit) in [
        (["signal", "c", "HUP"].as_slice(), 2, "\"c\""),
        (&["signal", "b", "HUP"], 1, "not running"),
        (&["signal", "a", "HUPP"], 2, "HUPP"),
        (&["signal", "a"], 2, "signal"),
        (&["restart", "c"], 2, "\"c\""),
        (&["start", "c"], 2, "\"c\""),
        (&["stop", "c"], 2, "\"c\""),
        (&["stop"], 2, "stop"),
        (&["validate", "x"], 2, "validate"),
        (&["restart"], 2, "restart"),
        (&["dance"], 2, "dance"),
        (&["check", "--json"], 2, "--json"),
        (&["status", "--daemons", "x"], 2, "--daemons"),
    ] {
        let output = init.verb(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(culprit), "{words:?}: {said}");
    }
    assert_eq!(init.stop(), 0);
}

pub(super) fn a_daemon_may_not_ask(place: Place) {
    let init = env!("CARGO_BIN_EXE_sidecar-init");
    // An ordinary init is not process 1; its daemons learn its number from their parent.
    let text = format!(
        "for verb in check status 'restart b' 'signal b KILL'; do {init} $verb --pid $PPID; echo $verb gave $?; done; exec sleep 1000"
    );
    let rows = [script("a", &text, ""), script("b", FOREVER, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[b] ready");
    // Docker knows no other code of a health check than 0 and 1.
    init.line("[a] check gave 1");
    for verb in ["status", "restart b", "signal b KILL"] {
        init.line(&format!("[a] {verb} gave 3"));
    }
    assert_eq!(init.status()["daemons"][1]["restarts"], 0);
    assert_eq!(init.stop(), 0);
}

pub(super) fn nobody_answers_for_an_init_that_is_not_there(_: Place) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sidecar-init"))
        .args(["check", "--pid", "999999999"])
        .output()
        .expect("the verb runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot reach the init"), "{said}");
}

crate::cases! {
    health_waits_for_the_daemons_own_socket
    health_fails_while_nothing_listens
    health_is_not_fooled_by_another_process_on_the_port
    health_sees_a_socket_that_a_child_of_the_daemon_holds
    health_fails_at_once_when_a_daemon_dies
    status_is_a_table
    restart_leaves_the_others_alone
    restart_starts_a_dead_daemon_and_forgets_its_code
    restart_kills_who_does_not_end_in_time
    restart_of_a_program_that_is_gone_fails_and_says_so
    signal_reaches_one_daemon
    term_by_signal_is_not_ours
    what_cannot_be_done_is_said
    a_daemon_may_not_ask
    nobody_answers_for_an_init_that_is_not_there
}
