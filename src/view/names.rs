//! Host names in free text, recognised so that a text compares across shapes.

use std::borrow::Cow;

use bottle_model::sorted::Set;

use super::container::Member;
use super::{Target, Word};

/// What a host name means to the principal whose text is read.
#[derive(Clone, Copy)]
pub(super) struct Host<'h, 'a> {
    /// The name; never empty.
    pub(super) name: &'a str,
    /// Principals behind it: one, or all of a merged container.
    pub(super) members: &'h [Member<'a>],
    /// Whether the name is only a left-over of the merger, or no longer resolves.
    pub(super) stale: bool,
    /// Whether the name came with the merger, so that no legacy text has it.
    pub(super) merged: bool,
}

impl<'a> Host<'_, 'a> {
    /// Principals behind the name: the owners of the port's socket, or all if there is none.
    fn principals(&self, port: Option<u16>) -> Set<&'a str> {
        let listens = |member: &&Member<'a>| member.sockets.iter().any(|socket| Some(socket.port) == port);
        let owners: Set<&'a str> = self.members.iter().filter(listens).map(|member| member.name).collect();
        if owners.is_empty() { self.members.iter().map(|member| member.name).collect() } else { owners }
    }
}

impl<'a> Word<'a> {
    /// Recognises `hosts` in a text: in URLs, in `host:port`, and where the text is a host or a list of hosts.
    pub(super) fn recognise(raw: Cow<'a, str>, hosts: &[Host<'_, 'a>]) -> Self {
        let text = &*raw;
        let (mut targets, mut stale) = (Vec::new(), Set::new());
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
            canonical.push_str(&text[rest..at]);
            canonical.push_str("{}");
            targets.push(Target { principals: host.principals(context.port), port: context.port });
            if host.stale && context.addressed {
                stale.insert(host.name);
            }
            at += context.length;
            rest = at;
        }
        let canonical = if targets.is_empty() { raw.clone() } else { (canonical + &text[rest..]).into() };
        Self { raw, canonical, targets, stale }
    }

    /// Recognises a list of hosts (`NO_PROXY`): order does not count, and neither does naming a host twice.
    ///
    /// Programs compare its items with the host of a URL, so that each stands for itself; only the merger's own
    /// name stands for the principals behind it.
    pub(super) fn recognise_list(text: &'a str, hosts: &[Host<'_, 'a>]) -> Self {
        let mut plain = Vec::new();
        let mut principals = Set::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let host = hosts.iter().find(|host| host.name == item);
            if let Some(host) = host.filter(|host| !host.stale) {
                principals.extend(host.principals(None));
            }
            if !host.is_some_and(|host| host.merged) {
                plain.push(item);
            }
        }
        let targets =
            if principals.is_empty() { Vec::new() } else { vec![Target { principals, port: None }] };
        Self {
            raw: text.into(),
            canonical: Set::from_iter(plain).into_iter().collect::<Vec<_>>().join(",").into(),
            targets,
            stale: Set::new(),
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
        let host = |name, members| Host { name, members, stale: false, merged: false };
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
        let host = |name, members, stale, merged| Host { name, members, stale, merged };
        let legacy = [host("git-gate", &members[..1], false, false)];
        let bundle = [
            host("sidecars", &members[..], false, true),
            host("git-gate", &members[..], true, false),
            host("pipelock", &members[..], true, false),
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
}
