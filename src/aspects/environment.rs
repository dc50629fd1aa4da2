//! Environment variables, and which principals receive them.

use bottle_model::compose::EnvValue;
use bottle_model::sorted::Set;

use super::compare::{Difference, differences};
use super::pair::Pair;
use crate::finding::{Finding, Severity, Shown};
use crate::rule::rules;
use crate::view::{Variable, Word};

rules! {
    comparison:
    DROPPED = EnvDropped Conservation Error ["variable"] "a variable does not reach its principal in the bundle"
        "The daemon or the agent runs without a value that it had. In the bundle a variable can be in \
         the file and still not arrive: a list in `BOT_BOTTLE_SIDECAR_ENV_…` hands it to another daemon \
         alone.\n\n\
         Example: `sidecars` has `SUPERVISE_QUEUE`, `BOT_BOTTLE_SIDECAR_ENV_PIPELOCK` lists it, and \
         supervise does not get it.\n\n\
         What to do: put the variable into the environment of `sidecars` and its name into the list of \
         the daemon that had it.";
    CHANGED = EnvChanged Conservation Error ["variable"] "a variable has another value in the bundle"
        "The same name has another value. Host names that moved with the daemons count as the same: \
         `http://pipelock:8888` and `http://sidecars:8888` mean one socket. Ports, paths, schemes and \
         other hosts do not. The value is not printed; a digest of this run shows that two differ.\n\n\
         Example: the agent's `HTTPS_PROXY` names port 9099 in the bundle, which is the proxy behind the \
         first, or `NO_PROXY` gained a host that then goes round every proxy.\n\n\
         What to do: write the legacy value, with the host replaced by `sidecars` where it named a \
         daemon.";
    CONFLICT = EnvConflict Conservation Error ["variable"] "a daemon gets its neighbour's value of a variable"
        "Two daemons had different values under one name. In the common environment of one container a \
         single one is left, and one of the daemons runs with its neighbour's setting.\n\n\
         Example: `LOG_LEVEL` was `debug` for egress and `error` for pipelock, and `sidecars` has \
         `LOG_LEVEL: debug`.\n\n\
         What to do: address the values: `EGRESS__LOG_LEVEL: debug` and `PIPELOCK__LOG_LEVEL: error`. The \
         init hands each to its daemon as `LOG_LEVEL`.";
    STALE = EnvStaleHost Conservation Error ["variable"] "a value names a host of the legacy shape"
        "A value still names a legacy service. It is an error if the name no longer resolves, as that of the \
         hop behind the first proxy, and a note if the merged service keeps the name as an alias: the value \
         then works as long as the alias is there.\n\n\
         Example: `EGRESS_URL: http://egress:9099` in the agent of a bundle in which egress hides on \
         loopback.\n\n\
         What to do: name `sidecars` instead, with the same port.";
    SCOPE = EnvScopeWidened Containment Error ["variable"] "a variable reaches a principal that did not have it"
        "In the common environment of one container every daemon receives what was meant for one. Secrets \
         leak that way, and settings take effect where nobody wanted them: `HTTPS_PROXY` sends the \
         fetches of git-gate through a proxy that does not speak SSH, and a token in the environment of \
         pipelock makes its leak detector block the very requests that carry it. A variable that is new \
         to everybody, `LD_PRELOAD` or `PATH`, is found as well.\n\n\
         Example: `sidecars` has egress's `HTTPS_PROXY` without a list, and git-gate receives it.\n\n\
         What to do: list the variable for its daemon, `BOT_BOTTLE_SIDECAR_ENV_EGRESS: HTTPS_PROXY`, or \
         address it, `EGRESS__HTTPS_PROXY`.";
    NULL = EnvNullVsEmpty Conservation Error ["variable"] "a variable is empty instead of unset, or unset instead of empty"
        "A bare name takes the value that `docker compose` finds in its own environment, and is not \
         passed at all if there is none. An empty value is passed, and is empty. Programs often treat the \
         two differently: an empty proxy variable switches proxies off, a missing one does not.\n\n\
         Example: `NO_PROXY:` became `NO_PROXY: \"\"`.\n\n\
         What to do: write it as the legacy shape does.";
}

fn show(variable: &Variable<'_>) -> Shown {
    let text = match variable.value {
        EnvValue::Literal(text) => text.clone(),
        EnvValue::Inherit => {
            return Shown::plain("(from the environment of docker compose)", variable.place);
        }
    };
    Shown::secret(text, variable.place)
}

fn same(before: &Variable<'_>, after: &Variable<'_>) -> bool {
    match (&before.word, &after.word) {
        (Some(before), Some(after)) => before.means(after),
        _ => before.value == after.value,
    }
}

fn kind(name: &str) -> &'static str {
    let upper = name.to_ascii_uppercase();
    if ["TOKEN", "SECRET", "PASSWORD", "KEY", "CREDENTIAL"].iter().any(|word| upper.contains(word)) {
        "the secret"
    } else if upper.ends_with("_PROXY") || upper.contains("CERT") || upper.contains("CA_BUNDLE") {
        "the proxy or CA setting"
    } else {
        "the variable"
    }
}

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    for difference in differences(&pair.before.environment, &pair.after.environment, same) {
        findings.push(match difference {
            Difference::Lost(name, was) => Finding::lost(&DROPPED, pair.name, *name, show(was))
                .because(format!("{} does not receive {name} any more", pair.name)),
            Difference::Gained(name, is) => {
                let owner = pair.neighbour_had(|principal| principal.environment.contains_key(name));
                let whose = owner.map_or_else(String::new, |owner| format!(", which was {owner}'s"));
                Finding::gained(&SCOPE, pair.name, *name, show(is)).because(format!(
                    "{} receives {} {name}{whose}",
                    pair.name,
                    kind(name)
                ))
            }
            Difference::Changed(name, was, is) => {
                let empty = |variable: &Variable<'_>| matches!(variable.value, EnvValue::Literal(text) if text.is_empty());
                let unset = |variable: &Variable<'_>| *variable.value == EnvValue::Inherit;
                let words = was.word.as_ref().zip(is.word.as_ref());
                let gone = words.is_some_and(|(was, is)| was.means(&Word { gone: Set::new(), ..is.clone() }));
                let neighbour = pair.neighbour_had(|principal| {
                    principal.environment.get(name).is_some_and(|theirs| theirs.value == is.value)
                });
                let (rule, why) = if (empty(was) && unset(is)) || (unset(was) && empty(is)) {
                    (&NULL, "unset and empty differ".to_owned())
                } else if gone {
                    (&STALE, "it names a host that no longer resolves".to_owned())
                } else if let Some(neighbour) = neighbour.filter(|_| was.value != is.value) {
                    (&CONFLICT, format!("it has the value of {neighbour}"))
                } else {
                    (&CHANGED, "its value differs".to_owned())
                };
                // One text that leads elsewhere.
                let (before, after) = match words.filter(|_| was.value == is.value) {
                    Some((before, after)) => {
                        (Shown::plain(before.leads(), was.place), Shown::plain(after.leads(), is.place))
                    }
                    None => (show(was), show(is)),
                };
                Finding::changed(rule, pair.name, *name, before, after).because(why)
            }
        });
    }
    aliases(pair, findings);
}

/// Variables that still name a legacy service by an alias of the merged one: they work as long as the alias is there.
fn aliases(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    for (name, is) in &pair.after.environment {
        let Some(was) = pair.before.environment.get(name) else { continue };
        let Some((before, after)) = was.word.as_ref().zip(is.word.as_ref()) else { continue };
        let fresh: Vec<&str> = after.stale.difference(&before.stale).copied().collect();
        if fresh.is_empty() || !before.means(after) {
            continue;
        }
        let alias = format!("{} by the alias {}", after.leads(), fresh.join(", "));
        let (was, is) = (Shown::plain(before.leads(), was.place), Shown::plain(alias, is.place));
        findings.push(
            Finding::changed(&STALE, pair.name, *name, was, is)
                .because("it works as long as the merged service keeps the alias")
                .weighing(Severity::Note),
        );
    }
}
