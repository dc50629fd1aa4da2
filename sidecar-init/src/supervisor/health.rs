//! Probes: programs that say whether a daemon is healthy.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::time::Instant;

use bottle_contract::row::Health;

use super::daemon::{Daemon, State};
use crate::outcome::Ending;
use crate::sys;

/// Where the probing of a daemon is.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Process of the run that is under way, and when it has taken too long.
    run: Option<(i32, Instant)>,
    /// When the next run begins.
    next: Option<Instant>,
    /// When failures begin to count.
    counts: Option<Instant>,
    failures: u32,
    healthy: Option<bool>,
}

impl Probe {
    /// The probing of a process that has just started.
    pub(super) fn started(health: Option<&Health>, now: Instant) -> Self {
        let Some(health) = health else { return Self::default() };
        let first = if health.start_period.0.is_zero() { health.interval } else { health.start_interval };
        Self {
            next: Some(now + first.0.min(health.interval.0)),
            counts: Some(now + health.start_period.0),
            ..Self::default()
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.run.map(|(_, deadline)| deadline).or(self.next)
    }

    /// Ends the run that is under way; its process is reaped like any child.
    pub(super) fn kill(&mut self) {
        if let Some((pid, _)) = self.run.take() {
            let _ = sys::kill(-pid, libc::SIGKILL);
        }
        self.next = None;
    }

    /// `starting`, `healthy` or `unhealthy`; `None`: the row has no probe.
    pub(super) fn status(&self, health: Option<&Health>) -> Option<&'static str> {
        health?;
        Some(match self.healthy {
            None => "starting",
            Some(true) => "healthy",
            Some(false) => "unhealthy",
        })
    }

    fn failed(&mut self, health: &Health, now: Instant) {
        let young = self.healthy.is_none() && self.counts.is_some_and(|counts| now < counts);
        if !young {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= health.retries {
                self.healthy = Some(false);
            }
        }
    }
}

impl Daemon {
    pub(super) fn probed_by(&self, pid: i32) -> bool {
        self.probe.run.is_some_and(|(run, _)| run == pid)
    }

    /// Takes note of the end of a run.
    pub(super) fn on_probe(&mut self, ending: Ending, now: Instant) {
        let Some(health) = &self.launch.row.health else { return };
        let in_time = self.probe.run.take().is_some_and(|(_, deadline)| now < deadline);
        if ending == Ending::Code(0) && in_time {
            self.probe.failures = 0;
            self.probe.healthy = Some(true);
        } else {
            self.probe.failed(health, now);
        }
        let starting = self.probe.healthy.is_none() && self.probe.counts.is_some_and(|counts| now < counts);
        let interval =
            if starting { health.start_interval.0.min(health.interval.0) } else { health.interval.0 };
        self.probe.next = Some(now + interval);
    }

    /// Begins a run, or ends one that takes too long.
    pub(super) fn run_probe(&mut self, now: Instant) {
        let Some(health) = &self.launch.row.health else { return };
        if let Some((pid, deadline)) = self.probe.run {
            if deadline <= now {
                let _ = sys::kill(-pid, libc::SIGKILL);
                // Its end is noticed when it is reaped; until then there is nothing to wait for but that.
                self.probe.run = Some((pid, now + health.timeout.0));
                self.probe.failed(health, now);
            }
            return;
        }
        if !matches!(self.state, State::Running { .. }) || self.probe.next.is_none_or(|next| now < next) {
            return;
        }
        let sink = || OpenOptions::new().write(true).open("/dev/null").map(OwnedFd::from);
        let started = sink().and_then(|out| sys::start(&self.child(&health.test), out, sink()?));
        if let Ok(pid) = started {
            self.probe.run = Some((pid, now + health.timeout.0));
        } else {
            self.probe.failed(health, now);
            self.probe.next = Some(now + health.interval.0);
        }
    }
}
