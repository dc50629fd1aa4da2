//! What an operator asks of the running init.

use bottle_contract::status::Status;

use super::Supervisor;
use super::daemon::{Next, State};
use crate::control::{Caller, Reply, Request};
use crate::sys;

impl Supervisor {
    pub(super) fn on_request(&mut self, caller: Caller, request: &Request) {
        let name = match request {
            Request::Status => return caller.answer(&Reply::Status(self.status())),
            Request::Signal { daemon, .. }
            | Request::Restart { daemon }
            | Request::Start { daemon }
            | Request::Stop { daemon } => daemon,
        };
        let Some(at) = self.daemons.iter().position(|daemon| daemon.name() == name) else {
            return caller.answer(&Reply::Unknown(format!("there is no daemon {name:?}")));
        };
        if self.stopping.is_some() {
            return caller.answer(&Reply::Failed("the container stops".to_owned()));
        }
        match request {
            Request::Status => {}
            Request::Signal { signal, .. } => caller.answer(&self.signal(at, *signal)),
            Request::Restart { .. } => self.restart_for(caller, at),
            Request::Start { .. } => self.start_for(caller, at),
            Request::Stop { .. } => self.stop_for(caller, at),
        }
    }

    fn status(&self) -> Status {
        let daemons = self.daemons.iter();
        Status {
            isolation: self.isolation.clone(),
            daemons: daemons.map(|daemon| daemon.status(self.now, self.awaited(daemon.name()))).collect(),
        }
    }

    fn signal(&self, at: usize, signal: i32) -> Reply {
        let daemon = &self.daemons[at];
        let name = daemon.name();
        match daemon.pid().map(|pid| (pid, sys::kill(pid, signal))) {
            None => Reply::Failed(format!("{name} is not running")),
            Some((pid, Ok(()))) => Reply::Done(format!("signal {signal} sent to {name}, process {pid}")),
            Some((_, Err(error))) => Reply::Failed(error.to_string()),
        }
    }

    fn restart_for(&mut self, caller: Caller, at: usize) {
        let now = self.now;
        let daemon = &mut self.daemons[at];
        daemon.callers.push(caller);
        daemon.held = false;
        match &daemon.state {
            State::Running { stop: None, .. } => {
                daemon.ask_to_end(now + daemon.launch.stop_timeout, Next::Start);
            }
            State::Running { .. } | State::Clearing { .. } => daemon.then(Next::Start),
            State::Waiting(_) | State::Pending | State::Ended => self.restart(at),
        }
    }

    fn start_for(&mut self, caller: Caller, at: usize) {
        let daemon = &mut self.daemons[at];
        daemon.held = false;
        match &daemon.state {
            State::Running { stop: None, pid, .. } => {
                let reply = Reply::Done(format!("{} runs already, as process {pid}", daemon.name()));
                caller.answer(&reply);
            }
            State::Running { .. } | State::Clearing { .. } => {
                daemon.callers.push(caller);
                daemon.then(Next::Start);
            }
            State::Waiting(_) | State::Pending | State::Ended => {
                daemon.callers.push(caller);
                self.start(at);
            }
        }
    }

    fn stop_for(&mut self, caller: Caller, at: usize) {
        let now = self.now;
        let daemon = &mut self.daemons[at];
        daemon.held = true;
        daemon.callers.push(caller);
        match &daemon.state {
            State::Running { stop: Some(_), .. } => daemon.then(Next::Stay),
            _ => daemon.ask_to_end(now + daemon.launch.stop_timeout, Next::Stay),
        }
        self.answer_waiting(at);
    }

    /// Answers those who wait for a daemon, if it now runs or has ended.
    pub(super) fn answer_waiting(&mut self, at: usize) {
        let daemon = &mut self.daemons[at];
        let name = daemon.launch.row.name.clone();
        let reply = match (&daemon.state, daemon.held) {
            (State::Running { stop: None, pid, .. }, _) => {
                Reply::Done(format!("{name} runs as process {pid}"))
            }
            (State::Ended, true) => Reply::Done(format!("{name} has ended")),
            (State::Ended | State::Waiting(_), false) => Reply::Failed(format!("{name} cannot be started")),
            _ => return,
        };
        for caller in daemon.callers.drain(..) {
            caller.answer(&reply);
        }
    }
}
