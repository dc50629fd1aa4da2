//! What runs, as which user, where, and how it reloads.

use super::pair::Pair;
use crate::finding::{Finding, Shown};
use crate::rule::rules;
use crate::view::{Principal, Word};

rules! {
    comparison:
    ARGV = ArgvChanged Conservation Error "a principal runs with another command line"
        "The command line that really runs is compared: ENTRYPOINT and CMD of the image, what the compose \
         file overrides, and in the bundle the row of the init's daemon table. The program counts by its \
         file name, and host names that moved with the daemons count as the same.\n\n\
         Example: the legacy pipelock runs with `--config /etc/pipelock/pipelock.yaml`. In the bundle a \
         table without that option starts it with its defaults, and nothing is blocked.\n\n\
         What to do: bring the legacy `command:` in line with the table that sidecar-init has built in, \
         or pass a table of your own and name it in the map file.";
    USER = UserChanged Containment Error "a principal runs as another user"
        "User, group or supplementary groups differ, or the account that a credential specification \
         names. As root, a program that is taken over has the whole container. It also looks elsewhere: \
         mitmproxy finds its CA in the home of its user, and as root it silently mints a new one, which \
         no client trusts.\n\n\
         Example: an init that starts every daemon as root runs egress as root instead of mitmproxy. The \
         CA is mounted at the right path, and every TLS call of the agent fails.\n\n\
         What to do: leave `user:` of `sidecars` unset, so that sidecar-init can give each daemon the \
         user of its row, and keep sidecar-init as the entrypoint.";
    HOOK = HookChanged Containment Error "a lifecycle hook runs another command"
        "`post_start` and `pre_stop` run commands inside the container, as any user, and privileged if \
         they say so. None of what the daemons are held to applies to them.\n\n\
         Example: `sidecars` gained `post_start: [{command: [sh, -c, …], user: root, privileged: true}]`.\n\n\
         What to do: remove the hook, or keep the one that the legacy service had.";
    HOME = HomeChanged Conservation Error "a principal has another home directory"
        "Programs keep their state and their trust below HOME. With another home they start afresh, and \
         often say nothing about it. HOME follows from the user that the principal runs as, unless a \
         variable is addressed to it.\n\n\
         Example: an init of somebody else's starts mitmproxy as root. It looks in `/root/.mitmproxy`, \
         the CA is in `/home/mitmproxy/.mitmproxy`, and a new CA is made.\n\n\
         What to do: restore the user (see `user-changed`), or address the variable: `EGRESS__HOME: \
         /home/mitmproxy`.";
    WORKDIR = WorkdirChanged Conservation Error "a principal has another working directory"
        "Relative paths lead elsewhere: of configuration, of logs, of Python's imports. One container has \
         one `working_dir`, and it applies to each of its daemons whose row names none.\n\n\
         Example: `sidecars` has `working_dir: /git` because the legacy git-gate had it, and now egress \
         starts there too.\n\n\
         What to do: leave `working_dir` of `sidecars` unset, and use absolute paths.";
    LISTEN = ListenAddressChanged Conservation Error "a daemon listens on another address or port"
        "The address or the port that a daemon binds differs. Bound to loopback, it refuses its peers; \
         bound to every address, it lets strangers in. The hop behind the first proxy binds loopback in \
         the bundle on purpose, and that is absorbed.\n\n\
         Example: pipelock without `--listen 0.0.0.0:8888` binds `127.0.0.1:8888`. The next proxy gets \
         connection refused, and the agent a 502.\n\n\
         What to do: say the legacy address in the daemon's row, or in its command line.";
    SIGNAL = SignalPathLost Conservation Error "a reload signal does not reach its daemon"
        "`docker kill --signal HUP` reaches PID 1 of the container. In a container of its own that is the \
         daemon; in the bundle it is the init, and unless that passes the signal on, a reload silently \
         does nothing. The old routes stay in force while everybody believes in the new ones.\n\n\
         Example: the entrypoint of `sidecars` is a script that starts the daemons in the background. HUP \
         ends at the script.\n\n\
         What to do: keep sidecar-init as the entrypoint: it passes HUP to the daemons whose rows name it \
         as `reload`, and `sidecar-init signal DAEMON HUP` reaches one alone.";
    RESTART = RestartScopeWidened Conservation Warning "a daemon can be restarted only with its neighbours"
        "A daemon of its own container could be restarted alone. If only the whole bundle can be, a new \
         configuration for one drops the connections of all, for example the agent's session with \
         supervise.\n\n\
         Example: an init without a control interface leaves `docker restart` as the only way to restart \
         pipelock.\n\n\
         What to do: keep sidecar-init as the entrypoint and use `sidecar-init restart DAEMON`.";
}

/// A word as a shell would need it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("{word:?}") }
}

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (pair.before, pair.after);
    let line = |argv: &[Word<'_>]| argv.iter().map(|word| quoted(&word.raw)).collect::<Vec<_>>().join(" ");
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
        let (mut was, mut is) = (line(&before.argv), line(&after.argv));
        if was == is {
            // One command line that leads elsewhere.
            for (text, side) in [(&mut was, before), (&mut is, after)] {
                let leads = side.argv.iter().filter(|word| !word.targets.is_empty()).map(Word::leads);
                *text = format!("{text} ({})", leads.collect::<Vec<_>>().join(", "));
            }
        }
        changed(&ARGV, "argv", was, is, "command");
    }
    if before.user != after.user {
        changed(&USER, "user", before.user.to_string(), after.user.to_string(), "user");
    }
    if before.home != after.home {
        changed(&HOME, "HOME", before.home.to_string(), after.home.to_string(), "environment.HOME");
    }
    if before.workdir != after.workdir {
        changed(
            &WORKDIR,
            "working directory",
            before.workdir.to_owned(),
            after.workdir.to_owned(),
            "working_dir",
        );
    }
    if before.listen != after.listen {
        let list = |principal: &Principal<'_>| {
            principal.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        changed(&LISTEN, "listen address", list(before), list(after), "command");
    }
    if before.reload != after.reload {
        let signal = |principal: &Principal<'_>| principal.reload.unwrap_or_default().to_owned();
        changed(&SIGNAL, "reload signal", signal(before), signal(after), "entrypoint");
    }
    if before.restarts_alone != after.restarts_alone {
        let text = |alone: bool| if alone { "alone" } else { "with its neighbours" }.to_owned();
        changed(&RESTART, "restart", text(before.restarts_alone), text(after.restarts_alone), "entrypoint");
    }
}
