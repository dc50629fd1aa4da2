//! Host names in free text, recognised so that a text compares across shapes.

use std::collections::BTreeSet;

use super::{Target, Word};

/// What a host name means to the principal whose text is read.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// The name.
    pub(super) name: String,
    /// Principals behind it: one, or all of a merged container.
    pub(super) principals: BTreeSet<String>,
    /// The socket's owner by port, for a merged container.
    pub(super) by_port: Vec<(u16, String)>,
    /// Whether the name is only a left-over of the merger, or no longer resolves.
    pub(super) stale: bool,
}

impl Word {
    /// Recognises `hosts` in a text: in URLs, in `host:port`, and where the text is a host or a list of hosts.
    pub(super) fn recognise(text: &str, hosts: &[Host]) -> Self {
        let mut word =
            Self { raw: text.to_owned(), canonical: String::with_capacity(text.len()), ..Self::default() };
        let mut rest = 0;
        let mut at = 0;
        while at < text.len() {
            let found = if boundary_before(text, at) { longest(text, at, hosts) } else { None };
            let Some((host, context)) = found else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            word.canonical.push_str(&text[rest..at]);
            word.canonical.push_str("{}");
            let principals = match context.port {
                Some(port) => {
                    let owners: BTreeSet<String> = host
                        .by_port
                        .iter()
                        .filter(|(number, _)| *number == port)
                        .map(|(_, owner)| owner.clone())
                        .collect();
                    if owners.is_empty() { host.principals.clone() } else { owners }
                }
                None => host.principals.clone(),
            };
            word.targets.push(Target { principals, port: context.port });
            if host.stale && context.addressed {
                word.stale.insert(host.name.clone());
            }
            at += context.length;
            rest = at;
        }
        word.canonical.push_str(&text[rest..]);
        word
    }

    /// Recognises a list of hosts (`NO_PROXY`): order does not count, and neither does naming a host twice.
    pub(super) fn recognise_list(text: &str, hosts: &[Host]) -> Self {
        let mut plain = BTreeSet::new();
        let mut principals = BTreeSet::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match hosts.iter().find(|host| host.name == item) {
                Some(host) => principals.extend(host.principals.iter().cloned()),
                None => {
                    plain.insert(item);
                }
            }
        }
        let targets =
            if principals.is_empty() { Vec::new() } else { vec![Target { principals, port: None }] };
        Self {
            raw: text.to_owned(),
            canonical: plain.into_iter().collect::<Vec<_>>().join(","),
            targets,
            stale: BTreeSet::new(),
        }
    }
}

struct Context {
    length: usize,
    port: Option<u16>,
    /// Whether the place can only be a host's: a URL or `host:port`.
    addressed: bool,
}

fn boundary_before(text: &str, at: usize) -> bool {
    text[..at]
        .chars()
        .next_back()
        .is_none_or(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
}

fn longest<'h>(text: &str, at: usize, hosts: &'h [Host]) -> Option<(&'h Host, Context)> {
    hosts
        .iter()
        .filter(|host| text[at..].starts_with(host.name.as_str()))
        .filter_map(|host| context(text, at, &host.name).map(|context| (host, context)))
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
    use super::*;

    fn host(name: &str, principals: &[&str], by_port: &[(u16, &str)]) -> Host {
        Host {
            name: name.to_owned(),
            principals: principals.iter().map(|name| (*name).to_owned()).collect(),
            by_port: by_port.iter().map(|(port, name)| (*port, (*name).to_owned())).collect(),
            stale: false,
        }
    }

    fn means(before: &str, after: &str) -> bool {
        let legacy = [host("pipelock", &["pipelock"], &[]), host("git-gate", &["git-gate"], &[])];
        let bundle = [host("sidecars", &["pipelock", "git-gate"], &[(8888, "pipelock"), (9418, "git-gate")])];
        Word::recognise(before, &legacy).means(&Word::recognise(after, &bundle))
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
    fn a_host_list_is_a_set() {
        let hosts = [host("git-gate", &["git-gate"], &[])];
        let list = |text| Word::recognise_list(text, &hosts);
        assert!(list("localhost,git-gate").means(&list("git-gate, localhost")));
        assert!(!list("localhost,git-gate").means(&list("localhost")));
        assert!(!list("localhost").means(&list("localhost,other")));
    }
}
