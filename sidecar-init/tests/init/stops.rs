//! Ends that leave something behind, readers that pause, and daemons that would starve PID 1.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::init::{Init, Place, Setup, kill, script, stub, until};

const FOREVER: &str = "echo ready; exec sleep 1000";

/// Stops an init and returns how long that took, its exit code and its log.
fn timed(init: Init) -> (Duration, i32, Vec<String>) {
    let start = Instant::now();
    init.signal("TERM");
    let (code, lines) = init.end();
    (start.elapsed(), code, lines)
}

/// Far below the 8 s that a stop may take, far above what a busy machine needs for one that waits for nothing.
const SOON: Duration = Duration::from_secs(5);

pub(super) fn a_child_that_outlives_its_daemon_does_not_delay_the_stop(place: Place) {
    for text in [
        "sleep 1000 & echo ready; exec sleep 1000",
        "setsid sleep 1000 & echo ready; exec sleep 1000",
        "(setsid sleep 1000 &); echo ready; exec sleep 1000",
        "(trap '' HUP; sleep 1000) & echo ready; exec sleep 1000",
    ] {
        let mut init = Setup::new(place, &[script("a", text, "")]).start();
        init.line("ready");
        let (took, code, lines) = timed(init);
        assert!(took < SOON && code == 0, "{text}: {took:?} {code} {lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("killed")), "{lines:#?}");
    }
}

pub(super) fn what_a_daemon_leaves_behind_is_asked_before_it_is_killed(place: Place) {
    for start in ["", "setsid "] {
        let child = "trap 'echo tidy; exit 0' TERM; echo waiting; while :; do sleep 0.01; done";
        let text = format!("{start}sh -c \"{child}\" & sleep 1000 & wait $!");
        let mut init = Setup::new(place, &[script("a", &text, "")]).start();
        init.line("[a] waiting");
        let (took, code, lines) = timed(init);
        assert!(took < SOON && code == 0, "{took:?} {code} {lines:#?}");
        assert!(lines.iter().any(|line| line == "[a] tidy"), "{start:?}: {lines:#?}");
    }
}

pub(super) fn what_ignores_the_request_is_killed_at_the_deadline(place: Place) {
    for start in ["", "setsid "] {
        let child = "trap '' TERM; echo $$; while :; do sleep 0.01; done";
        let text = format!("{start}sh -c \"{child}\" & exec sleep 1000");
        let mut init = Setup::new(place, &[script("a", &text, "stop_grace = '300ms'")]).start();
        init.line("[a] ");
        let (took, code, lines) = timed(init);
        assert!(took >= Duration::from_millis(300) && took < SOON && code == 0, "{took:?} {code} {lines:#?}");
        assert!(lines.iter().any(|line| line.contains("is killed")), "{lines:#?}");
    }
}

pub(super) fn a_daemon_that_ends_alone_takes_its_children_along(place: Place) {
    let child = "trap 'echo tidy; exit 0' TERM; echo waiting; while :; do sleep 0.01; done";
    let text =
        format!("sh -c \"{child}\" & read line </dev/null; until [ -e gone ]; do sleep 0.01; done; exit 3");
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!("workdir = {:?}", folder.path());
    let mut init = Setup::new(place, &[script("a", &text, &more), script("b", FOREVER, "")]).start();
    init.line("[a] waiting");
    std::fs::write(folder.path().join("gone"), "").expect("a file");
    init.line("[a] tidy");
    assert_eq!(init.stop(), 3);
}

pub(super) fn the_row_says_how_to_stop(place: Place) {
    let text = "trap 'echo interrupted; exit 0' INT; trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", text, "stop_signal = 'INT'")]).start();
    init.line("ready");
    let (took, code, lines) = timed(init);
    assert!(took < SOON && code == 0 && lines.iter().any(|line| line == "[a] interrupted"), "{lines:#?}");
    // An end by that signal is graceful, as one by TERM is.
    let mut init = Setup::new(place, &[script("a", FOREVER, "stop_signal = 'SIGQUIT'")]).start();
    init.line("ready");
    assert_eq!(init.stop(), 0);
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", stubborn, "stop_grace = 0.2")]).start();
    init.line("ready");
    let (took, code, _) = timed(init);
    assert!(took < SOON && code == 137, "{took:?} {code}");
}

pub(super) fn a_pause_of_the_reader_tears_no_line(place: Place) {
    // The pipe is full in the middle of a line, for longer than a daemon may be silent.
    let text = "exec perl -e '$| = 1; for (1..4000) { syswrite STDOUT, \"x\" x 100; syswrite STDOUT, \"y\" x 100 . \"\\n\" }'";
    let (mut child, _folder) =
        Setup::new(place, &[script("a", text, "")]).start_raw(Stdio::piped(), Stdio::null());
    let mut reader = child.stdout.take().expect("piped");
    let mut said = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    for _ in 0..3 {
        let pause = Instant::now();
        until("the reader has paused", || pause.elapsed() > Duration::from_millis(1200));
        let count = reader.read(&mut chunk).expect("the log");
        said.extend_from_slice(&chunk[..count]);
    }
    reader.read_to_end(&mut said).expect("the log");
    assert!(child.wait().expect("the init ends").success());
    let line = format!("[a] {}{}", "x".repeat(100), "y".repeat(100));
    let said = String::from_utf8(said).expect("text");
    assert_eq!(said.lines().count(), 4000);
    assert!(said.lines().all(|is| is == line), "a line is torn");
}

pub(super) fn a_line_that_grows_slowly_is_not_torn(place: Place) {
    let text =
        "exec perl -e '$| = 1; for (1..6) { print \"x\"; select(undef, undef, undef, 0.3) } print \"\\n\"'";
    let output = Setup::new(place, &[script("a", text, "")]).output();
    assert_eq!(output.stdout, b"[a] xxxxxx\n");
}

fn memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the init runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

pub(super) fn deaths_under_a_blocked_reader_cost_no_memory(place: Place) {
    let text = "head -c 60000 /dev/zero | tr '\\0' 'x' | fold -w 99; exit 1";
    let rows = [script("a", text, "restart = 'on-failure'"), script("b", FOREVER, "")];
    let (mut child, _folder) = Setup::new(place, &rows).start_raw(Stdio::piped(), Stdio::null());
    let mut first = [0; 1];
    child.stdout.as_mut().expect("piped").read_exact(&mut first).expect("the log");
    let pid = pid(&child);
    let restarts = || {
        let mut command = verb(place, pid, &["status", "--json"]);
        let output = command.output().expect("the verb runs");
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["daemons"][0]["restarts"].as_u64().unwrap_or(0)
    };
    let again = || verb(place, pid, &["restart", "a"]).output().expect("the verb runs");
    until("its buffers are full", || {
        again();
        restarts() >= 8
    });
    let before = memory(pid);
    let goal = restarts() + 12;
    until("it has died twelve times more", || {
        again();
        restarts() >= goal
    });
    let grown = memory(pid).saturating_sub(before);
    assert!(grown < 400, "twelve deaths cost {grown} kB");
    drop(child.stdout.take());
    kill(pid, "TERM");
    child.wait().expect("the init ends");
}

/// Process id of the init that a raw child is or holds.
fn pid(child: &std::process::Child) -> i32 {
    let own = i32::try_from(child.id()).expect("a process id");
    let name = std::fs::read_to_string(format!("/proc/{own}/comm")).unwrap_or_default();
    if name.trim() != "unshare" {
        return own;
    }
    let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a child")
}

/// A verb for the init with this process id.
fn verb(place: Place, pid: i32, words: &[&str]) -> std::process::Command {
    let init = env!("CARGO_BIN_EXE_sidecar-init");
    let mut command = if place == Place::Ordinary {
        let mut command = std::process::Command::new(init);
        command.args(words).args(["--pid", &pid.to_string()]);
        command
    } else {
        let mut command = std::process::Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--pid", "--mount", init]).args(words);
        command
    };
    command.stdin(Stdio::null());
    command
}

pub(super) fn a_storm_of_orphans_starves_nobody(place: Place) {
    // Children are handed over to PID 1 as fast as a daemon can make them.
    let storm = "echo storm; exec perl -e 'for (;;) { if (!(my $pid = fork)) { fork and exit; exit } else { waitpid $pid, 0 } }'";
    let talker = "while :; do echo tick; sleep 0.05; done";
    let rows = [script("a", storm, ""), script("b", storm, ""), script("c", talker, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[a] storm");
    init.line("[b] storm");
    for _ in 0..3 {
        init.line("[c] tick");
    }
    assert_eq!(init.verb(&["check"]).status.code(), Some(0));
    let (took, code, lines) = timed(init);
    assert!(took < SOON && code == 0, "{took:?} {code} {lines:#?}");
}

pub(super) fn callers_without_end_starve_nobody(place: Place) {
    let knock = "until [ -S /none ]; do exec perl -e '
use Socket; use POSIX;
my $own = readlink \"/proc/self/ns/pid\";
my $name = \"\\0sidecar-init $own $ARGV[0]\";
print \"knocking\\n\"; $| = 1;
my $n = 0;
for (;;) { socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect($s, pack_sockaddr_un($name)) and $n++; print \"got in\\n\" if $n == 100; }
' $PPID; done";
    let talker = "while :; do echo tick; sleep 0.05; done";
    let user = if place == Place::Ordinary { "" } else { "user = 'nobody'" };
    let rows = [script("a", knock, user), script("c", talker, "")];
    let mut init = Setup::new(place, &rows).start();
    init.line("[a] got in");
    for _ in 0..3 {
        init.line("[c] tick");
    }
    init.until(&["check"], 0);
    let (took, code, lines) = timed(init);
    assert!(took < SOON && code == 0, "{took:?} {code} {lines:#?}");
}

pub(super) fn a_listener_of_a_child_in_a_session_of_its_own_counts(place: Place) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let stub = stub();
    for text in [
        format!("setsid {stub} listen {address} wait & wait"),
        format!("(setsid {stub} listen {address} wait &); exec sleep 1000"),
    ] {
        let more = format!("listen = ['{address}']");
        let mut init = Setup::new(place, &[script("a", &text, &more)]).start();
        init.line("listening");
        init.until(&["check"], 0);
        assert_eq!(init.stop(), 0);
    }
}

pub(super) fn a_port_that_two_share_is_noticed(place: Place) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let listen = format!(
        "exec perl -MSocket -e 'socket(S, 2, 1, 0) or die; setsockopt(S, 1, 15, 1); bind(S, sockaddr_in({port}, INADDR_ANY)) or die $!; listen(S, 5) or die $!; $| = 1; print \"bound\\n\"; sleep 1000'"
    );
    let more = format!("listen = [{port}]");
    let mut init = Setup::new(place, &[script("a", &listen, &more), script("b", &listen, "")]).start();
    init.line("[a] bound");
    init.line("[b] bound");
    let said = init.until(&["check"], 1);
    assert!(said.contains(&format!("a shares 0.0.0.0:{port} with another process")), "{said}");
    init.until(&["stop", "b"], 0);
    let said = init.until(&["check"], 1);
    assert!(!said.contains("shares") && said.contains("b is stopped"), "{said}");
    assert_eq!(init.stop(), 0);
}

pub(super) fn check_names_the_dead_and_their_last_lines(place: Place) {
    let text = "for n in 1 2 3 4 5 6 7; do echo line $n; done; printf 'bad \\033[31mconfig' >&2; exit 2";
    let mut init = Setup::new(place, &[script("a", text, ""), script("b", FOREVER, "")]).start();
    init.line("a exited with code 2");
    let said = init.until(&["check"], 1);
    assert!(said.contains("a is dead: it exited with code 2\n"), "{said}");
    assert!(
        said.contains("bad  [31mconfig") && said.contains("line 7") && !said.contains("line 1"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}'), "{said}");
    assert_eq!(init.stop(), 2);
}

pub(super) fn a_log_on_a_full_disk_recovers(place: Place) {
    // /dev/full refuses every byte; the daemons go on, and the other stream says so.
    let text = "i=0; while [ $i -lt 200 ]; do echo out $i; i=$((i+1)); done; echo err >&2; echo over >&2; exec sleep 1000";
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (mut child, _folder) =
        Setup::new(place, &[script("a", text, "")]).start_raw(Stdio::from(full), Stdio::piped());
    let mut said = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("[a] over") {
        line.clear();
        assert!(
            std::io::BufRead::read_line(&mut said, &mut line).expect("the log") > 0,
            "the init has ended"
        );
    }
    kill(pid(&child), "TERM");
    let end = Instant::now();
    assert!(child.wait().expect("the init ends").success());
    assert!(end.elapsed() < Duration::from_secs(20));
}

crate::cases! {
    a_child_that_outlives_its_daemon_does_not_delay_the_stop
    what_a_daemon_leaves_behind_is_asked_before_it_is_killed
    what_ignores_the_request_is_killed_at_the_deadline
    a_daemon_that_ends_alone_takes_its_children_along
    the_row_says_how_to_stop
    a_pause_of_the_reader_tears_no_line
    a_line_that_grows_slowly_is_not_torn
    deaths_under_a_blocked_reader_cost_no_memory
    a_storm_of_orphans_starves_nobody
    callers_without_end_starve_nobody
    a_listener_of_a_child_in_a_session_of_its_own_counts
    a_port_that_two_share_is_noticed
    check_names_the_dead_and_their_last_lines
    a_log_on_a_full_disk_recovers
}
