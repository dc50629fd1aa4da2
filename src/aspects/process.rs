//! What runs, as whom, where, and how it is told to reload.

use super::Pair;
use super::compare::rules;
use crate::finding::{Finding, Shown};
use crate::view::Word;

rules! {
    ARGV = "argv-changed" Conservation Error "a daemon runs with another command line"
        "pipelock without --listen binds loopback, and the next hop gets connection refused.";
    USER = "user-changed" Containment Error "a principal runs as another user"
        "As root, mitmproxy looks for its CA in /root, mints a new one, and every TLS call of the agent fails.";
    HOOK = "hook-changed" Containment Error "a lifecycle hook runs another command"
        "post_start and pre_stop run inside the container, as any user, privileged if they say so.";
    HOME = "home-changed" Conservation Error "a principal has another home directory"
        "Programs keep their state and their trust below HOME.";
    WORKDIR = "workdir-changed" Conservation Warning "a principal has another working directory"
        "Relative paths lead elsewhere.";
    LISTEN = "listen-address-changed" Conservation Error "a daemon listens elsewhere"
        "Another address or port: peers are refused, or strangers are let in. The hop that hides on loopback on purpose is absorbed.";
    SIGNAL = "signal-path-lost" Conservation Error "a reload signal no longer arrives"
        "A signal to the container reaches PID 1. Unless the init passes it on, a reload silently does nothing.";
    RESTART = "restart-scope-widened" Conservation Warning "a restart takes the neighbours along"
        "Restarting the container for one daemon drops the others' connections.";
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (pair.before, pair.after);
    let line = |argv: &[Word]| argv.iter().map(|word| word.raw.as_str()).collect::<Vec<_>>().join(" ");
    let mut changed = |rule, subject: &str, was: String, is: String, attribute: &str| {
        let finding = Finding::changed(
            rule,
            pair.name,
            subject,
            Shown::plain(was, pair.was(attribute)),
            Shown::plain(is, pair.is(attribute)),
        );
        findings.push(finding.because(format!("{subject} differs")));
    };
    let argv = before.argv.len() == after.argv.len()
        && before.argv.iter().zip(&after.argv).all(|(was, is)| was.means(is));
    if !argv {
        changed(&ARGV, "argv", line(&before.argv), line(&after.argv), "command");
    }
    if before.user != after.user {
        changed(&USER, "user", before.user.clone(), after.user.clone(), "user");
    }
    if before.home != after.home {
        changed(&HOME, "HOME", before.home.clone(), after.home.clone(), "environment.HOME");
    }
    if before.workdir != after.workdir {
        changed(&WORKDIR, "working directory", before.workdir.clone(), after.workdir.clone(), "working_dir");
    }
    if before.listen != after.listen {
        let list = |party: &crate::view::Party| {
            party.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        changed(&LISTEN, "listen address", list(before), list(after), "command");
    }
    if before.reload != after.reload {
        let list = |party: &crate::view::Party| party.reload.iter().cloned().collect::<Vec<_>>().join(", ");
        changed(&SIGNAL, "reload signal", list(before), list(after), "entrypoint");
    }
    if before.restarts_alone != after.restarts_alone {
        let text = |alone: bool| if alone { "alone" } else { "with its neighbours" }.to_owned();
        changed(&RESTART, "restart", text(before.restarts_alone), text(after.restarts_alone), "entrypoint");
    }
}
