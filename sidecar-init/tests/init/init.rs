//! Starts an init with a daemon table and watches it, without a fixed wait anywhere.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where the init runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A child of the test, which adopts orphans as a subreaper.
    Ordinary,
    /// PID 1 of a process namespace of its own.
    #[cfg(feature = "pid1")]
    Pid1,
}

/// An init to be started.
pub(crate) struct Setup {
    place: Place,
    table: String,
    environment: Vec<(String, String)>,
    folder: TempDir,
    wrapper: Vec<String>,
}

/// What one daemon writes in a table: `argv` as shell words, and further lines of TOML.
pub(crate) fn row(name: &str, argv: &[&str], more: &str) -> String {
    let argv: Vec<String> = argv.iter().map(|word| format!("{word:?}")).collect();
    format!("[[daemon]]\nname = {name:?}\nargv = [{}]\n{more}\n", argv.join(", "))
}

/// A row that runs a shell script.
pub(crate) fn script(name: &str, script: &str, more: &str) -> String {
    row(name, &["sh", "-c", script], more)
}

/// Program of the stub daemon.
pub(crate) fn stub() -> String {
    let mut path = std::env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    path.push("examples/stub");
    assert!(path.is_file(), "the stub is missing: cargo build --examples");
    path.to_string_lossy().into_owned()
}

/// A row that runs the stub.
pub(crate) fn stubbed(name: &str, words: &[&str], more: &str) -> String {
    let program = stub();
    let argv: Vec<&str> = std::iter::once(program.as_str()).chain(words.iter().copied()).collect();
    row(name, &argv, more)
}

impl Setup {
    pub(crate) fn new(place: Place, rows: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { place, table: rows.concat(), environment: Vec::new(), folder, wrapper: Vec::new() }
            .with("BOT_BOTTLE_SIDECAR_ISOLATION", "off")
    }

    /// Sets a variable of the container.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the init through another program.
    pub(crate) fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    fn command(&self) -> Command {
        let table = self.folder.path().join("daemons.toml");
        std::fs::write(&table, &self.table).expect("the table");
        let init = env!("CARGO_BIN_EXE_sidecar-init");
        let mut words: Vec<String> = Vec::new();
        if self.place != Place::Ordinary {
            words.extend(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"].map(str::to_owned));
        }
        words.extend(self.wrapper.iter().cloned());
        words.extend([init.to_owned(), "--daemons".to_owned(), table.to_string_lossy().into_owned()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(crate) fn output(self) -> Output {
        self.command().output().expect("the init runs")
    }

    /// Starts it; its log is read as it comes.
    pub(crate) fn start(self) -> Init {
        let mut child = self.command().spawn().expect("the init starts");
        let (sender, lines) = channel();
        for stream in [
            Box::new(child.stdout.take().expect("piped")) as Box<dyn Read + Send>,
            Box::new(child.stderr.take().expect("piped")),
        ] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut line = Vec::new();
                while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                    if sender.send(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()).is_err()
                    {
                        return;
                    }
                    line.clear();
                }
            });
        }
        Init { setup: self, child, lines, seen: VecDeque::new() }
    }

    /// Starts it with its streams left to the test.
    pub(crate) fn start_raw(self, stdout: Stdio, stderr: Stdio) -> (Child, TempDir) {
        let child = self.command().stdout(stdout).stderr(stderr).spawn().expect("the init starts");
        (child, self.folder)
    }
}

/// A running init.
pub(crate) struct Init {
    setup: Setup,
    child: Child,
    lines: Receiver<String>,
    seen: VecDeque<String>,
}

impl Init {
    /// Process id of the init, seen from the test.
    pub(crate) fn pid(&self) -> i32 {
        let own = i32::try_from(self.child.id()).expect("a process id");
        if self.setup.place == Place::Ordinary { own } else { only_child(own) }
    }

    /// Waits for a line that contains a text, and returns it.
    pub(crate) fn line(&mut self, text: &str) -> String {
        let start = Instant::now();
        if let Some(at) = self.seen.iter().position(|line| line.contains(text)) {
            return self.seen.remove(at).expect("a line that was found");
        }
        while let Some(left) = PATIENCE.checked_sub(start.elapsed()) {
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => self.seen.push_back(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("no line has {text:?}: {:#?}", self.seen);
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(self.pid(), signal);
    }

    /// Runs a verb of the init, inside its namespace.
    pub(crate) fn verb(&self, words: &[&str]) -> Output {
        let init = env!("CARGO_BIN_EXE_sidecar-init");
        let pid = self.pid().to_string();
        let mut command = if self.setup.place == Place::Ordinary {
            let mut command = Command::new(init);
            command.args(words).args(["--pid", &pid]);
            command
        } else {
            let mut command = Command::new("nsenter");
            command.args(["--target", &pid, "--pid", "--mount", init]).args(words);
            command
        };
        command.stdin(Stdio::null()).output().expect("the verb runs")
    }

    /// Runs a verb until its exit code is the one that is waited for.
    pub(crate) fn until(&self, words: &[&str], code: i32) -> String {
        let start = Instant::now();
        loop {
            let output = self.verb(words);
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            if output.status.code() == Some(code) {
                return text;
            }
            assert!(start.elapsed() < PATIENCE, "{words:?} never gives {code}: {text}");
        }
    }

    /// Status as the init reports it.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.verb(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).expect("status as JSON")
    }

    /// Waits for its end; returns the exit code and every line that was not asked for.
    pub(crate) fn end(mut self) -> (i32, Vec<String>) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the init is ours") {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the init does not end: {:#?}", self.seen);
            if let Ok(line) = self.lines.recv_timeout(Duration::from_millis(20)) {
                self.seen.push_back(line);
            }
        };
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push_back(line);
        }
        (code(status), self.seen.into_iter().collect())
    }

    /// Stops it and returns its exit code.
    pub(crate) fn stop(self) -> i32 {
        self.signal("TERM");
        self.end().0
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().expect("ended by code or signal"))
}

/// Sends a signal by name.
pub(crate) fn kill(pid: i32, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), "--", &pid.to_string()]).status();
    assert!(status.expect("kill runs").success(), "cannot send {signal} to {pid}");
}

/// The child of a process, once it is there.
fn only_child(parent: i32) -> i32 {
    let start = Instant::now();
    loop {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        if let Some(child) = children.ok().and_then(|text| text.split_whitespace().next()?.parse().ok()) {
            return child;
        }
        assert!(start.elapsed() < PATIENCE, "process {parent} has no child");
    }
}

/// Waits until a condition is true.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Whether a process exists and is no zombie.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}
