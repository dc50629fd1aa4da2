//! The log: whole lines, headed, nothing lost, nothing forged, and nobody who waits for ever.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use crate::init::{Place, Setup, kill, script, until};

/// Both streams of the log, whole.
fn log(place: Place, rows: &[String]) -> (String, String) {
    let output = Setup::new(place, rows).output();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn pid_of(child: &Child) -> i32 {
    let pid = i32::try_from(child.id()).expect("a process id");
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() == "unshare" {
        children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(pid)
    } else {
        pid
    }
}

pub(super) fn each_stream_keeps_its_place(place: Place) {
    let (out, err) = log(place, &[script("a", "echo out; echo err >&2", "")]);
    assert_eq!(out, "[a] out\n");
    assert!(err.contains("[a] err\n") && !err.contains("out\n"), "{err}");
}

pub(super) fn an_unfinished_line_is_flushed_while_the_daemon_lives(place: Place) {
    let mut init = Setup::new(place, &[script("a", "printf waiting; exec sleep 1000", "")]).start();
    init.line("[a] waiting");
    assert_eq!(init.stop(), 0);
}

pub(super) fn an_unfinished_line_is_flushed_at_the_end(place: Place) {
    assert_eq!(log(place, &[script("a", "printf last", "")]).0, "[a] last\n");
}

pub(super) fn bytes_pass_as_they_are(place: Place) {
    let output = Setup::new(place, &[script("a", r"printf 'a\000b\377\376\n'", "")]).output();
    assert_eq!(output.stdout, b"[a] a\0b\xff\xfe\n");
}

pub(super) fn a_carriage_return_forges_nothing(place: Place) {
    let (out, _) = log(place, &[script("a", r"printf 'x\r[b] forged\n'", "")]);
    assert_eq!(out, "[a] x\r[a] [b] forged\n");
}

pub(super) fn lines_of_4096_bytes_are_never_torn(place: Place) {
    let writer = |letter: &str| {
        let line = letter.repeat(4095);
        format!("i=0; while [ $i -lt 60 ]; do echo {line}; i=$((i+1)); done")
    };
    let (out, _) = log(place, &[script("a", &writer("a"), ""), script("b", &writer("b"), "")]);
    assert_eq!(out.lines().count(), 120);
    for line in out.lines() {
        let (head, text) = line.split_once(' ').expect("a head");
        let letter = head.trim_matches(['[', ']']);
        assert_eq!(text, letter.repeat(4095));
    }
}

pub(super) fn both_streams_on_one_pipe_are_never_torn(place: Place) {
    let loud =
        "i=0; while [ $i -lt 2000 ]; do echo 'out out out out'; echo 'err err err err' >&2; i=$((i+1)); done";
    let (read, write) = std::io::pipe().expect("a pipe");
    let both = Stdio::from(write.try_clone().expect("a pipe"));
    let (mut child, _folder) =
        Setup::new(place, &[script("a", loud, "")]).start_raw(both, Stdio::from(write));
    let lines: Vec<String> = BufReader::new(read).lines().map(|line| line.expect("text")).collect();
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    let odd = |line: &&String| {
        !matches!(line.as_str(), "[a] out out out out" | "[a] err err err err")
            && !line.starts_with("[sidecar-init] ")
    };
    assert_eq!(lines.iter().find(odd), None);
    assert_eq!(lines.iter().filter(|line| line.starts_with("[a]")).count(), 4000);
}

pub(super) fn an_endless_line_is_broken_and_nothing_of_it_lost(place: Place) {
    let (out, _) = log(place, &[script("a", "head -c 1000000 /dev/zero | tr '\\0' x", "")]);
    assert!(out.lines().all(|line| line.starts_with("[a] ")), "a piece without its head");
    assert_eq!(out.matches('x').count(), 1_000_000);
}

pub(super) fn a_slow_reader_loses_nothing(place: Place) {
    const LINES: usize = 60_000;
    let counting = format!("seq 1 {LINES}");
    let (read, write) = std::io::pipe().expect("a pipe");
    let (mut child, _folder) =
        Setup::new(place, &[script("a", &counting, "")]).start_raw(Stdio::from(write), Stdio::null());
    // Not a byte is read before the daemon has had to wait: the pipe is full.
    let full = read.try_clone().expect("a pipe");
    until("the pipe fills", || waiting(&full) > 60_000);
    let mut next = 1;
    for line in BufReader::new(read).lines() {
        assert_eq!(line.expect("text"), format!("[a] {next}"));
        next += 1;
    }
    assert_eq!(next, LINES + 1);
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

/// Bytes that wait in a pipe, from what the kernel says of its reader.
fn waiting(pipe: &std::io::PipeReader) -> usize {
    use std::os::fd::AsRawFd;
    let mut count: libc::c_int = 0;
    // FIONREAD through a file that nobody reads from in the meantime.
    let result = ioctl_fionread(pipe.as_raw_fd(), &mut count);
    assert_eq!(result, 0);
    usize::try_from(count).unwrap_or(0)
}

#[expect(unsafe_code, reason = "the standard library cannot query how full a pipe is")]
fn ioctl_fionread(fd: i32, count: &mut libc::c_int) -> i32 {
    // SAFETY: the descriptor is open, and the count is a writable integer.
    unsafe { libc::ioctl(fd, libc::FIONREAD, std::ptr::from_mut(count)) }
}

pub(super) fn a_blocked_reader_does_not_hold_up_a_stop(place: Place) {
    let (read, write) = std::io::pipe().expect("a pipe");
    let rows = [script("a", "while :; do echo flood; done", "")];
    let (mut child, _folder) = Setup::new(place, &rows).start_raw(Stdio::from(write), Stdio::null());
    let full = read.try_clone().expect("a pipe");
    until("the pipe fills", || waiting(&full) > 60_000);
    let pid = pid_of(&child);
    kill(pid, "TERM");
    // A second TERM does not wait for the reader.
    until("the daemon has ended", || children(pid) == 0);
    until("the init ends", || {
        if child.try_wait().expect("ours").is_none() {
            kill_if_there(pid);
        }
        child.try_wait().expect("ours").is_some()
    });
    drop(read);
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

fn kill_if_there(pid: i32) {
    let _ =
        std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).stderr(Stdio::null()).status();
}

fn children(pid: i32) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().count()
}

pub(super) fn a_closed_reader_does_not_end_the_daemons(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let done = folder.path().join("done");
    let text = format!("seq 1 100000; touch {}; exec sleep 1000", done.display());
    let (read, write) = std::io::pipe().expect("a pipe");
    let (mut child, _folder) =
        Setup::new(place, &[script("a", &text, "")]).start_raw(Stdio::from(write), Stdio::null());
    drop(read);
    until("the daemon writes all and goes on", || done.exists());
    kill(pid_of(&child), "TERM");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

pub(super) fn a_file_as_log_is_appended_to_in_order(place: Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let file = File::create(&path).expect("a file");
    let both = || Stdio::from(OwnedFd::from(file.try_clone().expect("a file")));
    let rows = [script("a", "echo one; echo two >&2; echo three", "")];
    let (mut child, _folder) = Setup::new(place, &rows).start_raw(both(), both());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    let mut text = String::new();
    File::open(&path).expect("a file").read_to_string(&mut text).expect("text");
    for line in ["[a] one", "[a] two", "[a] three"] {
        assert!(text.lines().any(|is| is == line), "{text}");
    }
}

pub(super) fn a_grandchild_that_keeps_the_pipe_does_not_hang_the_end(place: Place) {
    let rows = [script("a", "setsid sleep 1000 & echo leaving", "")];
    let (out, _) = log(place, &rows);
    assert_eq!(out, "[a] leaving\n");
}

pub(super) fn last_words_are_not_lost(place: Place) {
    let text = "trap 'seq 1 5000; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut init = Setup::new(place, &[script("a", text, "")]).start();
    init.line("[a] ready");
    init.signal("TERM");
    let (code, lines) = init.end();
    assert_eq!(code, 0);
    assert!(lines.iter().any(|line| line == "[a] 5000"), "{:?}", lines.last());
}

crate::cases! {
    each_stream_keeps_its_place
    an_unfinished_line_is_flushed_while_the_daemon_lives
    an_unfinished_line_is_flushed_at_the_end
    bytes_pass_as_they_are
    a_carriage_return_forges_nothing
    lines_of_4096_bytes_are_never_torn
    both_streams_on_one_pipe_are_never_torn
    an_endless_line_is_broken_and_nothing_of_it_lost
    a_slow_reader_loses_nothing
    a_blocked_reader_does_not_hold_up_a_stop
    a_closed_reader_does_not_end_the_daemons
    a_file_as_log_is_appended_to_in_order
    a_grandchild_that_keeps_the_pipe_does_not_hang_the_end
    last_words_are_not_lost
}
