//! Which daemon waits for which (`after`).

use bottle_contract::proc_net;
use bottle_contract::row::Condition;

use super::Supervisor;
use super::daemon::{Daemon, State};
use crate::outcome::Ending;
use crate::proc;

/// What is true of a condition.
enum Verdict {
    Met,
    NotYet,
    /// It will not be met any more.
    Never(String),
}

impl Supervisor {
    /// Starts the daemons that wait for nothing any more, in the order of the table.
    pub(super) fn start_ready(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        for at in 0..self.daemons.len() {
            if !matches!(self.daemons[at].state, State::Pending) {
                continue;
            }
            match self.verdict_on(at) {
                Verdict::Met => self.start(at),
                Verdict::NotYet => {}
                Verdict::Never(why) => {
                    let daemon = &mut self.daemons[at];
                    let message = format!("{} is not started: {why}", daemon.name());
                    daemon.blocked = Some(format!("was not started: {why}"));
                    daemon.state = State::Ended;
                    self.say(&message);
                    self.on_final_end(at);
                }
            }
        }
    }

    fn verdict_on(&self, at: usize) -> Verdict {
        for (name, condition) in &self.daemons[at].launch.row.after {
            // A daemon that is not selected is not waited for.
            let Some(other) = self.daemons.iter().find(|daemon| daemon.name() == name) else { continue };
            let met = match condition {
                Condition::Started => other.started(),
                Condition::Healthy => other.healthy(),
                Condition::Completed => other.completed(),
            };
            let over = matches!(other.state, State::Ended) && !other.held;
            match (met, over) {
                (true, _) => {}
                (false, true) => return Verdict::Never(format!("{name} {}", other.why())),
                (false, false) => return Verdict::NotYet,
            }
        }
        Verdict::Met
    }

    /// Whether it has to be looked often whether a daemon listens.
    pub(super) fn waits_for_health(&self) -> bool {
        self.daemons.iter().any(|daemon| {
            let healthy = daemon.launch.row.after.values().any(|condition| *condition == Condition::Healthy);
            healthy && matches!(daemon.state, State::Pending)
        })
    }

    /// Whether others wait for a daemon's end.
    pub(super) fn awaited(&self, name: &str) -> bool {
        let ends = |daemon: &Daemon| daemon.launch.row.after.get(name) == Some(&Condition::Completed);
        self.daemons.iter().any(ends)
    }
}

impl Daemon {
    /// Whether it runs, its sockets listen, and its probe succeeds.
    fn healthy(&self) -> bool {
        let running = matches!(self.state, State::Running { stop: None, .. });
        let probed =
            self.probe.status(self.launch.row.health.as_ref()).is_none_or(|status| status == "healthy");
        let listens = || {
            let listening = proc::listening();
            let wanted = &self.launch.row.listen;
            wanted.iter().all(|wanted| listening.iter().any(|(is, _)| proc_net::serves(*is, *wanted)))
        };
        running && probed && listens()
    }

    /// Whether its program runs or has run.
    fn started(&self) -> bool {
        let found = !matches!(self.last, Some((Ending::Code(126 | 127), _)));
        self.pid().is_some() || (self.last.is_some() && found)
    }

    /// Why it does not run.
    fn why(&self) -> String {
        self.blocked.clone().or_else(|| self.last.map(|(ending, _)| ending.to_string())).unwrap_or_default()
    }
}
