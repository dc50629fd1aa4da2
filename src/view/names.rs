//! Host names in free text, recognised so that a text compares across shapes.

use std::borrow::Cow;

use bottle_model::sorted::Set;

use super::container::Member;
use super::{Target, Word};

/// How a host name came to be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is a name of the container.
    #[default]
    Own,
    /// It is the merged service's own name, which no legacy text has.
    Merged,
    /// It is a legacy name that the merged service keeps as an alias.
    Alias,
    /// It is a legacy name that no longer resolves.
    Gone,
    /// It is an address of loopback, which means a principal only together with the port of one.
    Loopback,
}

/// What a host name means to the principal whose text is read.
#[derive(Clone, Copy)]
pub(super) struct Host<'h, 'a> {
    /// The name; never empty.
    pub(super) name: &'a str,
    /// Principals behind it: one, or all of a merged container.
    pub(super) members: &'h [Member<'a>],
    /// Ports of the container that its document names without saying who listens there.
    pub(super) ports: &'h Set<u16>,
    /// Whether it is the principal's own network namespace, where sockets on loopback are heard.
    pub(super) near: bool,
    pub(super) origin: Origin,
}

impl<'a> Host<'_, 'a> {
    /// Principals behind the name: those that listen at the port for whoever asks, nobody if there are none; all of
    /// them without a port.
    fn principals(&self, port: Option<u16>) -> Set<&'a str> {
        let names = |wanted: &dyn Fn(&Member<'a>) -> bool| -> Set<&'a str> {
            self.members.iter().filter(|member| wanted(member)).map(|member| member.name).collect()
        };
        let Some(port) = port else { return names(&|_| true) };
        let heard = names(&|member| {
            let mut sockets = member.sockets.iter().filter(|socket| socket.port == port);
            sockets.any(|socket| self.near || !socket.address.is_loopback())
        });
        let bound = |member: &Member<'a>| member.sockets.iter().any(|socket| socket.port == port);
        if !heard.is_empty() || self.members.iter().any(bound) {
            return heard;
        }
        // Of some programs it is not known where they listen.
        match names(&|member| member.sockets.is_empty()) {
            unknown if unknown.is_empty() && self.ports.contains(&port) => names(&|_| true),
            unknown => unknown,
        }
    }
}

impl<'a> Word<'a> {
    /// Recognises `hosts` in a text: in URLs, in `host:port`, and where the text is a host or a list of hosts.
    pub(super) fn recognise(raw: Cow<'a, str>, hosts: &[Host<'_, 'a>]) -> Self {
        let text = &*raw;
        let mut targets = Vec::new();
        let (mut stale, mut gone) = (Set::new(), Set::new());
        let mut canonical = String::new();
        let mut rest = 0;
        let mut at = 0;
        let mut begins = [false; 256];
        for first in hosts.iter().filter_map(|host| host.name.bytes().next()) {
            begins[usize::from(first)] = true;
        }
        let next = |at: usize| text.as_bytes()[at..].iter().position(|byte| begins[usize::from(*byte)]);
        while let Some(distance) = next(at) {
            at += distance;
            let found = if boundary_before(text, at) { longest(text, at, hosts) } else { None };
            let Some((host, context)) = found else {
                at += 1;
                continue;
            };
            let principals = host.principals(context.port);
            if host.origin == Origin::Loopback && (context.port.is_none() || principals.is_empty()) {
                at += host.name.len();
                continue;
            }
            canonical.push_str(&text[rest..at]);
            canonical.push_str("{}");
            targets.push(Target { name: host.name, principals, port: context.port });
            match host.origin {
                Origin::Alias if context.addressed => stale.insert(host.name),
                Origin::Gone if context.addressed => gone.insert(host.name),
                _ => false,
            };
            at += context.length;
            rest = at;
        }
        let canonical = if targets.is_empty() { raw.clone() } else { (canonical + &text[rest..]).into() };
        Self { raw, canonical, targets, stale, gone }
    }

    /// Recognises a list of hosts (`NO_PROXY`): order does not count, and neither does naming a host twice.
    ///
    /// Programs compare its items with the host of a URL, so each means itself; only the merged service's own
    /// name means the principals behind it.
    pub(super) fn recognise_list(text: &'a str, hosts: &[Host<'_, 'a>]) -> Self {
        let mut plain = Vec::new();
        let (mut principals, mut name) = (Set::new(), "");
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let host = hosts.iter().find(|host| host.name == item);
            if let Some(host) = host.filter(|host| matches!(host.origin, Origin::Own | Origin::Merged)) {
                principals.extend(host.principals(None));
                if name.is_empty() || host.origin == Origin::Merged {
                    name = host.name;
                }
            }
            if host.is_none_or(|host| host.origin != Origin::Merged) {
                plain.push(item);
            }
        }
        let targets =
            if principals.is_empty() { Vec::new() } else { vec![Target { name, principals, port: None }] };
        Self {
            raw: text.into(),
            canonical: Set::from_iter(plain).into_iter().collect::<Vec<_>>().join(",").into(),
            targets,
            stale: Set::new(),
            gone: Set::new(),
        }
    }
}

struct Context {
    length: usize,
    port: Option<u16>,
    /// Whether the place can only be a host's: a URL or `host:port`.
    addressed: bool,
}

/// Whether no name goes on before a byte.
fn boundary_before(text: &str, at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| text.as_bytes()[before]);
    before.is_none_or(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')))
}

fn longest<'t, 'h, 'a>(
    text: &str,
    at: usize,
    hosts: &'t [Host<'h, 'a>],
) -> Option<(&'t Host<'h, 'a>, Context)> {
    hosts
        .iter()
        .filter(|host| text.as_bytes()[at..].starts_with(host.name.as_bytes()))
        .filter_map(|host| context(text, at, host.name).map(|context| (host, context)))
        .max_by_key(|(host, _)| host.name.len())
}

fn context(text: &str, at: usize, name: &str) -> Option<Context> {
    let end = at + name.len();
    let after = &text[end..];
    let next = after.chars().next();
    if next.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return None;
    }
    let before = &text[..at];
    let scheme = url_scheme(before);
    let digits =
        after.strip_prefix(':').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let port = (1..=5).contains(&digits).then(|| after[1..=digits].parse::<u16>().ok()).flatten();
    let ends = after[if port.is_some() { digits + 1 } else { 0 }..].chars().next();
    let ended = ends.is_none_or(|c| {
        matches!(c, '/' | '?' | '#' | ',' | ';' | '"' | '\'' | ')' | ']') || c.is_whitespace()
    });
    if let Some(scheme) = scheme {
        let length = name.len() + if port.is_some() { digits + 1 } else { 0 };
        let port = port.or(match scheme {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            "git" => Some(9418),
            "ssh" => Some(22),
            _ => None,
        });
        return Some(Context { length, port, addressed: true });
    }
    let starts = before
        .chars()
        .next_back()
        .is_none_or(|c| matches!(c, ',' | ';' | '=' | '"' | '\'' | '@' | '(' | '[') || c.is_whitespace());
    if port.is_some() && starts && ended {
        return Some(Context { length: name.len() + digits + 1, port, addressed: true });
    }
    (before.is_empty() && after.is_empty()).then_some(Context {
        length: name.len(),
        port: None,
        addressed: false,
    })
}

/// The scheme of a URL whose host begins where `before` ends.
fn url_scheme(before: &str) -> Option<&str> {
    let authority = before.rfind("://")?;
    let user = &before[authority + 3..];
    if !(user.is_empty() || (user.ends_with('@') && !user.contains(['/', ' ', ',']))) {
        return None;
    }
    let scheme = &before[..authority];
    let start = scheme
        .rfind(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'))
        .map_or(0, |at| at + 1);
    Some(&scheme[start..])
}

#[cfg(test)]
mod tests {
    use bottle_model::daemon::Listen;

    use super::*;

    fn members(names: &[(&'static str, u16)]) -> Vec<Member<'static>> {
        names
            .iter()
            .map(|(name, port)| Member { name, sockets: [Listen::any(*port)].into(), ..Member::default() })
            .collect()
    }

    fn means(before: &str, after: &str) -> bool {
        let members = members(&[("pipelock", 8888), ("git-gate", 9418)]);
        let ports = Set::new();
        let host = |name, members| Host { name, members, ports: &ports, near: false, origin: Origin::Own };
        let legacy = [host("pipelock", &members[..1]), host("git-gate", &members[1..])];
        let bundle = [host("sidecars", &members[..])];
        Word::recognise(before.into(), &legacy).means(&Word::recognise(after.into(), &bundle))
    }

    #[test]
    fn a_moved_host_means_the_same() {
        for (before, after) in [
            ("http://pipelock:8888", "http://sidecars:8888"),
            ("http://u:p@pipelock:8888/x", "http://u:p@sidecars:8888/x"),
            ("git://git-gate/repo", "git://sidecars/repo"),
            ("git://git-gate:9418/repo", "git://sidecars/repo"),
            ("git-gate:9418", "sidecars:9418"),
            ("git-gate", "sidecars"),
            ("--mode=upstream:http://pipelock:8888", "--mode=upstream:http://sidecars:8888"),
            ("nothing here", "nothing here"),
        ] {
            assert!(means(before, after), "{before} → {after}");
        }
    }

    #[test]
    fn another_daemon_does_not() {
        for (before, after) in [
            ("http://pipelock:8888", "http://sidecars:9418"),
            ("http://pipelock:8888", "http://sidecars:8889"),
            ("http://pipelock:8888", "https://sidecars:8888"),
            ("http://pipelock:8888", "http://sidecars:8887"),
            ("http://pipelock:8888", "http://sidecars.example:8888"),
            ("http://pipelock:8888", "http://x-sidecars:8888"),
            ("git://git-gate/repo", "git://sidecars/other"),
            ("run pipelock now", "run sidecars now"),
        ] {
            assert!(!means(before, after), "{before} → {after}");
        }
    }

    #[test]
    fn a_host_list_is_a_set_that_keeps_its_names() {
        let members = members(&[("git-gate", 9418), ("pipelock", 8888)]);
        let ports = Set::new();
        let host = |name, members, origin| Host { name, members, ports: &ports, near: false, origin };
        let legacy = [host("git-gate", &members[..1], Origin::Own)];
        let bundle = [
            host("sidecars", &members[..], Origin::Merged),
            host("git-gate", &members[..], Origin::Alias),
            host("pipelock", &members[..], Origin::Alias),
        ];
        let before = |text| Word::recognise_list(text, &legacy);
        assert!(before("localhost,git-gate").means(&before("git-gate, localhost,git-gate")));
        assert!(!before("localhost,git-gate").means(&before("localhost")));
        assert!(!before("localhost").means(&before("localhost,other")));
        for (after, same) in [
            ("localhost,git-gate,sidecars", true),
            ("localhost,git-gate", false),
            ("localhost,sidecars", false),
            ("localhost,git-gate,sidecars,pipelock", false),
        ] {
            let after = Word::recognise_list(after, &bundle);
            assert_eq!(before("localhost,git-gate").means(&after), same, "{}", after.raw);
        }
    }

    #[test]
    fn a_port_leads_to_whoever_can_be_heard_there() {
        let mut members = members(&[("pipelock", 8888), ("egress", 9099), ("git-gate", 9418)]);
        members[1].sockets = [Listen::loopback(9099)].into();
        let (none, metrics) = (Set::new(), [9090].into());
        for (ports, near, text, expected) in [
            (&none, false, "http://sidecars:8888", "leads to pipelock at port 8888"),
            (&none, false, "http://sidecars:9099", "leads to nobody at port 9099"),
            (&none, true, "http://sidecars:9099", "leads to egress at port 9099"),
            (&none, false, "http://sidecars:9090", "leads to nobody at port 9090"),
            (&metrics, false, "http://sidecars:9090", "leads to pipelock or egress or git-gate at port 9090"),
            (&none, false, "http://sidecars", "leads to nobody at port 80"),
            (&none, false, "sidecars", "leads to egress or git-gate or pipelock"),
        ] {
            let host = Host { name: "sidecars", members: &members, ports, near, origin: Origin::Merged };
            let word = Word::recognise(text.into(), &[host]);
            let sorted = |text: &str| {
                let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
                words.sort();
                words
            };
            assert_eq!(sorted(&word.leads()), sorted(expected), "{text} near={near}");
        }
    }

    #[test]
    fn loopback_means_a_principal_at_its_port_alone() {
        let members = members(&[("pipelock", 8888)]);
        let ports = Set::new();
        let host = |name, origin| Host { name, members: &members, ports: &ports, near: true, origin };
        let legacy = [host("pipelock", Origin::Own)];
        let bundle = [host("127.0.0.1", Origin::Loopback)];
        let means = |before: &'static str, after: &'static str| {
            Word::recognise(before.into(), &legacy).means(&Word::recognise(after.into(), &bundle))
        };
        assert!(means("http://pipelock:8888/x", "http://127.0.0.1:8888/x"));
        assert!(means("127.0.0.1", "127.0.0.1") && means("http://127.0.0.1:1/", "http://127.0.0.1:1/"));
        assert!(!means("http://pipelock:8888", "http://127.0.0.1:8889"));
        assert!(!means("pipelock", "127.0.0.1"));
        // Nobody listened there before.
        assert!(!means("http://127.0.0.1:8888", "http://127.0.0.1:8888"));
    }
}
