//! Hosts: in URLs, in addresses, as words of programs that connect, in lists that proxies leave out.

use std::ops::Range;

use super::Region;
use crate::scan::command::{self, Command};
use crate::scan::finding::Hit;
use crate::scan::{forms, names};

impl Region<'_> {
    /// Finds the hosts of sidecars.
    pub(super) fn hosts(&self, commands: &[Command], hits: &mut Vec<Hit>) {
        for found in self.names.url.captures_iter(self.text) {
            let Some(name) = found.name("service") else { continue };
            let after = self.text[name.end()..].chars().next();
            if after.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@')))
                || self.ends_sentence(name.end())
            {
                self.host(name.range(), name.as_str(), hits);
            }
        }
        for found in self.names.address.captures_iter(self.text) {
            let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
            let before = self.text[..name.start()].chars().next_back();
            let joined =
                before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '$' | ':'));
            let after = self.text[whole.end()..].chars().next();
            // `egress:127.0.0.1` is an entry of a hosts table.
            let longer = after.is_some_and(|c| c.is_alphanumeric() || c == '_')
                || after == Some('.') && !self.ends_sentence(whole.end());
            if !joined && !longer {
                self.host(name.range(), name.as_str(), hits);
            }
        }
        for found in self.names.url_hole.captures_iter(self.text) {
            let Some(hole) = found.name("hole").filter(|hole| self.context.goes_over(hole.as_str())) else {
                continue;
            };
            hits.push(Hit::new(self.span(hole.range()), &forms::URL_HOST, None));
        }
        self.lookups(commands, hits);
    }

    /// Whether the text has the end of a sentence at `at`.
    fn ends_sentence(&self, at: usize) -> bool {
        let rest = &self.text[at..];
        rest.starts_with('.')
            && rest[1..]
                .chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '`' | ')' | '\''))
    }

    /// Whether what begins at `at` goes on to an `@`, and so is a user's name and password.
    fn user(&self, at: usize) -> bool {
        let rest = &self.text[at..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '`' | ','))
            .unwrap_or(rest.len());
        rest[..end].contains('@')
    }

    fn host(&self, range: Range<usize>, name: &str, hits: &mut Vec<Hit>) {
        if let Some(service) = names::service(name).filter(|_| !self.user(range.end)) {
            let span = self.span(range);
            let hit = Hit::new(span.clone(), &forms::URL_HOST, Some(service));
            hits.push(hit.rewrite(span, "sidecars"));
        }
    }

    /// Hosts that programs are given as words of their own, and lists of hosts that no proxy is used for.
    fn lookups(&self, commands: &[Command], hits: &mut Vec<Hit>) {
        const PROGRAMS: [&str; 10] =
            ["nc", "ncat", "ping", "getent", "dig", "nslookup", "telnet", "nmap", "ssh-keyscan", "netcat"];
        if self.context.prose || !self.names.service.is_match(self.text) {
            return;
        }
        for words in command::split(self.text, self.base) {
            if !words.iter().any(|word| PROGRAMS.contains(&word.text.rsplit('/').next().unwrap_or_default()))
            {
                continue;
            }
            for word in words.iter().skip(1) {
                if let Some(service) = names::service(&word.text)
                    && !commands
                        .iter()
                        .any(|command| command.holds(word.span.start) && command.targets(word.span.start))
                {
                    hits.push(Hit::new(word.span.clone(), &forms::URL_HOST, Some(service)));
                }
            }
        }
        for (start, _) in self.text.match_indices("PROXY").chain(self.text.match_indices("proxy")) {
            let line = self.line(start);
            if !(line.contains("NO_PROXY") || line.contains("no_proxy")) {
                continue;
            }
            let Some(rest) = self.text.get(start..) else { continue };
            let value = rest.split('\n').next().unwrap_or_default();
            for found in self.names.service.find_iter(value) {
                let span = found.range();
                if names::alone(value, &span, b"-./")
                    && let Some(service) = names::service(found.as_str())
                {
                    hits.push(Hit::new(
                        self.span(start + span.start..start + span.end),
                        &forms::URL_HOST,
                        Some(service),
                    ));
                }
            }
        }
    }
}
