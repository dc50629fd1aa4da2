//! Errors of the system at every call that PID 1 makes once it runs: each once, and for as long as it lasts. It does not
//! die of them, does not spin, and hears a stop.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::init::{Place, Setup, script, until};

/// Calls that PID 1 makes while it runs, with an error that each may have. Not close(2): the kernel lets go of the
/// descriptor whatever it returns, and an injected error would not.
const CALLS: &[(&str, &str)] = &[
    ("poll", "ENOMEM"),
    ("read", "EIO"),
    ("write", "ENOSPC"),
    ("waitid", "EINVAL"),
    ("wait4", "EINTR"),
    ("kill", "EPERM"),
    ("accept4", "EMFILE"),
    ("getsockopt", "ENOBUFS"),
    ("recvfrom", "ENOMEM"),
    ("sendto", "ENOBUFS"),
    ("clone", "EAGAIN"),
    ("clone3", "EAGAIN"),
    ("vfork", "EAGAIN"),
    ("pipe2", "EMFILE"),
    ("fcntl", "EINVAL"),
    ("ioctl", "EIO"),
    ("openat", "EMFILE"),
    ("fchown", "EPERM"),
    ("statx", "ENOMEM"),
    ("readlink", "ENOMEM"),
    ("rt_sigtimedwait", "EINVAL"),
    ("mmap", "ENOMEM"),
    ("brk", "ENOMEM"),
    ("munmap", "ENOMEM"),
    ("prctl", "EINVAL"),
    ("clock_nanosleep", "EINTR"),
];

/// Makes a call of a running process fail: from now on, or once.
fn inject(pid: i32, call: &str, error: &str, once: bool) -> Child {
    let when = if once { ":when=1" } else { "" };
    let tracer = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"])
        .args([&format!("inject={call}:error={error}{when}"), "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("strace runs");
    until("it is traced", || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    });
    tracer
}

/// Processor time of a process, in clock ticks (`proc_pid_stat(5)`).
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(11..13).map_or(0, |times| times.iter().filter_map(|time| time.parse::<u64>().ok()).sum())
}

fn survives(call: &str, error: &str, once: bool) {
    let talks = "trap 'exit 0' TERM; echo ready; while :; do echo tick; (exit 0); sleep 0.02; done";
    let dies = "sleep 0.05; exit 1";
    let rows = [script("a", talks, ""), script("b", dies, "restart = 'always'")];
    let mut init = Setup::new(Place::Pid1, &rows).start();
    init.line("[a] ready");
    init.line("[a] tick");
    let pid = init.pid();
    let mut tracer = inject(pid, call, error, once);
    let before = ticks(pid);
    let start = Instant::now();
    // An operator and a daemon that ends are among what PID 1 has to do now.
    let mut asked = Command::new("nsenter");
    asked.args([
        "--target",
        &pid.to_string(),
        "--pid",
        "--mount",
        env!("CARGO_BIN_EXE_sidecar-init"),
        "status",
    ]);
    let mut asked = asked
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the verb runs");
    until("time has passed", || start.elapsed() > Duration::from_millis(300));
    let spent = ticks(pid) - before;
    assert!(crate::init::lives(pid), "{call} {error}: PID 1 has died");
    // 100 ticks are a second: a loop that spins takes all of the time, and a traced call is slow.
    assert!(spent < 20, "{call} {error}: {spent} ticks in 300 ms");
    if once {
        init.until(&["check"], 1);
    }
    crate::init::kill(pid, "TERM");
    let deadline = Instant::now() + Duration::from_secs(15);
    while crate::init::lives(pid) {
        if Instant::now() > deadline {
            let _ = tracer.kill();
            panic!("{call} {error} once={once}: the stop is lost");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let _ = tracer.kill();
    let _ = tracer.wait();
    let _ = asked.kill();
    let _ = asked.wait();
    let (code, lines) = init.end();
    assert_ne!(code, 70, "{call} {error}: {lines:#?}");
}

macro_rules! calls {
    ($($name:ident: $part:expr;)*) => {
        $(#[test]
        fn $name() {
            for (call, error) in CALLS.iter().skip($part).step_by(4) {
                survives(call, error, true);
                survives(call, error, false);
            }
        })*
    };
}

calls! {
    errors_of_the_system_are_survived_1: 0;
    errors_of_the_system_are_survived_2: 1;
    errors_of_the_system_are_survived_3: 2;
    errors_of_the_system_are_survived_4: 3;
}
