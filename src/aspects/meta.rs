//! What could not be compared, and who is there at all. Fails closed.

use bottle_model::compose::{Compose, Service};

use crate::finding::{Finding, Shown};
use crate::rule::{Declaration, rules};
use crate::view::View;

rules! {
    comparison:
    UNMAPPED = ServiceUnmapped Conservation Error "a service belongs to no known principal"
        "A service that is neither the agent, nor a daemon, nor the bundle is not compared, and so \
         anything could hide in it: a container with the host's network, or one that publishes what \
         should stay inside.\n\n\
         Example: the bundle's file has a third service, `debug`.\n\n\
         What to do: remove it. In files of another project, name who is who in a map file and pass it \
         with `--map`.";
    UNMODELLED = AttributeUnmodelled Conservation Error "the checker does not know an attribute"
        "What the checker does not understand it cannot compare, and it does not guess. Extensions \
         (`x-…`) are left alone, as Compose leaves them.\n\n\
         Example: `services.sidecars.frobnicate: true`, or `include:` at the top level.\n\n\
         What to do: correct the name; it may be a typo. An attribute of the compose-spec that is \
         reported here is a gap of the checker and worth an issue.";
    DAEMONS = DaemonSetMismatch Conservation Error "the two files run different principals"
        "A principal runs in one shape and not in the other. In the bundle the file may hold everything \
         that a daemon needs and still not run it: `BOT_BOTTLE_SIDECAR_DAEMONS` selects, a profile is \
         off, or a service is scaled to zero.\n\n\
         Example: `BOT_BOTTLE_SIDECAR_DAEMONS: egress,pipelock` where the legacy file has a git-gate as \
         well.\n\n\
         What to do: select every daemon that the legacy shape runs, or leave the variable out, which \
         selects all four.";
    SHAPE = ShapeUnexpected Conservation Error "a file contradicts itself, or sidecar-init would refuse it"
        "The file contradicts itself, or sidecar-init would refuse it: a daemon that runs both alone \
         and in the bundle, a handshake variable that is unknown, malformed or taken from outside the \
         file, a variable that reaches no daemon, an init that is not PID 1 or has arguments that cannot \
         be followed. The file does not show what would run then.\n\n\
         Example: `BOT_BOTTLE_SIDECAR_ISOLATON: require`. The init takes the typo for an error rather \
         than leave a protection off.\n\n\
         What to do: correct what the message names.";
    NONDETERMINISTIC = RenderNondeterministic Conservation Error "two renders of one plan differ"
        "`diff` renders each plan twice; of many plans the first 32, since it is the renderer that is tried. A \
         file that comes out differently from the same plan cannot be reviewed or compared, and Compose \
         recreates containers when it changes.\n\n\
         Example: a renderer iterates over a hash map, and the order of the environment changes from run \
         to run.\n\n\
         What to do: this is a fault of the renderer and not of the plan. Report it, with the plan.";
    UNRESOLVED = EnvUnresolved Conservation Error ["variable"] "an interpolated variable is not set"
        "Compose puts nothing in the place of a `${NAME}` that is not set, and goes on after a warning. \
         What is effective then depends on who runs it, and often it is an empty path or an empty host.\n\n\
         Example: `source: ${BOTTLE_ROOT}/routes.yaml` becomes `/routes.yaml`.\n\n\
         What to do: set the variable or put it into `.env`. `${NAME:-default}` says what holds without \
         it, and `${NAME:?message}` refuses to start.";
}

/// Compares two renders of one plan in one shape; order counts, since it reaches the file.
#[must_use]
pub fn nondeterministic(shape: &str, first: &Compose, second: &Compose) -> Option<Finding> {
    let mut services = first.services.iter().zip(&second.services);
    let odd = services.find(|(one, other)| !deterministic(*one, *other)).map(|((name, _), _)| name);
    let same = first.project == second.project
        && first.services.len() == second.services.len()
        && first.networks.iter().eq(&second.networks)
        && first.volumes.iter().eq(&second.volumes)
        && first.configs.iter().eq(&second.configs)
        && first.secrets.iter().eq(&second.secrets)
        && first.models.iter().eq(&second.models);
    let subject = match odd {
        Some(name) => format!("{shape} {name}"),
        None if same => return None,
        None => shape.to_owned(),
    };
    let shown = Shown::plain("another render", "services");
    Some(Finding::gained(&NONDETERMINISTIC, "", subject, shown).because("two renders of the plan differ"))
}

fn deterministic(one: (&String, &Service), other: (&String, &Service)) -> bool {
    let (a, b) = (one.1, other.1);
    one == other
        && a.environment.keys().eq(b.environment.keys())
        && a.networks.keys().eq(b.networks.keys())
        && a.extra_hosts.keys().eq(b.extra_hosts.keys())
        && a.depends_on.keys().eq(b.depends_on.keys())
        && a.labels.keys().eq(b.labels.keys())
}

pub(super) fn documents(before: &View<'_>, after: &View<'_>, findings: &mut Vec<Finding>) {
    for (view, other, first) in [(before, after, true), (after, before, false)] {
        for odd in &view.anomalies {
            // A rule of another kind would be a mistake of the view, and is reported all the same.
            let rule = match odd.rule.declaration() {
                Declaration::Comparison(rule) => rule,
                Declaration::Scan(_) => &SHAPE,
            };
            if !odd.closed && other.anomalies.contains(odd) {
                continue;
            }
            let shown = Shown::plain(odd.subject.clone(), odd.place.clone());
            let finding = if first {
                Finding::lost(rule, &odd.principal, odd.subject.clone(), shown)
            } else {
                Finding::gained(rule, &odd.principal, odd.subject.clone(), shown)
            };
            findings.push(finding.because(odd.message.clone()));
        }
        for (name, principal) in
            view.principals.iter().filter(|(name, _)| !other.principals.contains_key(*name))
        {
            let place = format!("services.{}", principal.service);
            let shown = Shown::plain(*name, place);
            findings.push(if first {
                Finding::lost(&DAEMONS, name, *name, shown).because(format!("{name} no longer runs"))
            } else {
                Finding::gained(&DAEMONS, name, *name, shown).because(format!("{name} did not run before"))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use bottle_model::compose::EnvValue;

    use super::*;

    fn compose(variables: &[(&str, &str)]) -> Compose {
        let mut service = Service::default();
        for (name, value) in variables {
            service.environment.insert((*name).to_owned(), EnvValue::Literal((*value).to_owned()));
        }
        Compose { services: [("egress".to_owned(), service)].into_iter().collect(), ..Compose::default() }
    }

    #[test]
    fn a_render_is_steady_down_to_its_order() {
        let first = compose(&[("A", "1"), ("B", "2")]);
        let subject =
            |second: &Compose| nondeterministic("legacy", &first, second).map(|finding| finding.subject);
        assert_eq!(subject(&first.clone()), None);
        for other in [compose(&[("B", "2"), ("A", "1")]), compose(&[("A", "1"), ("B", "3")])] {
            assert_eq!(subject(&other).as_deref(), Some("legacy egress"));
        }
        let renamed = Compose { project: Some("other".to_owned()), ..first.clone() };
        assert_eq!(subject(&renamed).as_deref(), Some("legacy"));
        assert_eq!(subject(&Compose::default()).as_deref(), Some("legacy"));
    }
}
