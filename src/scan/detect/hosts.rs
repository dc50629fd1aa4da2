//! Hosts: in URLs, in addresses, as words of programs that connect, in lists that proxies leave out.

use std::ops::Range;

use super::Region;
use crate::scan::detect::command::{self, Command};
use crate::scan::finding::Match;
use crate::scan::patterns;
use crate::scan::rules;

/// Longest name and password before a host, in characters.
const LONGEST: usize = 256;

impl Region<'_> {
    /// Finds the hosts of sidecars.
    pub(in crate::scan) fn hosts(&self, commands: &[Command], matches: &mut Vec<Match>) {
        for found in self.patterns.url.captures_iter(self.text) {
            let Some(name) = found.name("service") else { continue };
            let after = self.text[name.end()..].chars().next();
            if after.is_none_or(|c| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@')))
                || self.ends_sentence(name.end())
            {
                self.host(name.range(), name.as_str(), matches);
            }
        }
        for found in self.patterns.address.captures_iter(self.text) {
            let (Some(whole), Some(name)) = (found.get(0), found.name("service")) else { continue };
            let before = self.text[..name.start()].chars().next_back();
            let joined =
                before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '$' | ':'));
            let after = self.text[whole.end()..].chars().next();
            // `egress:127.0.0.1` is an entry of a hosts table.
            let longer = after.is_some_and(|c| c.is_alphanumeric() || c == '_')
                || after == Some('.') && !self.ends_sentence(whole.end());
            if !joined && !longer {
                self.host(name.range(), name.as_str(), matches);
            }
        }
        for found in self.patterns.url_placeholder.captures_iter(self.text) {
            let Some(placeholder) =
                found.name("placeholder").filter(|placeholder| self.context.goes_over(placeholder.as_str()))
            else {
                continue;
            };
            matches.push(Match::new(self.span(placeholder.range()), &rules::URL_HOST, None));
        }
        self.lookups(commands, matches);
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
        let rest = self.text[at..].chars().take(LONGEST);
        let mut token =
            rest.take_while(|c| !(c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '`' | ',')));
        token.any(|c| c == '@')
    }

    fn host(&self, range: Range<usize>, name: &str, matches: &mut Vec<Match>) {
        if let Some(service) = patterns::service(name).filter(|_| !self.user(range.end)) {
            let span = self.span(range);
            let reference = Match::new(span.clone(), &rules::URL_HOST, Some(service));
            matches.push(reference.rewrite(span, "sidecars"));
        }
    }

    /// Hosts that programs are given as words of their own, and lists of hosts that no proxy is used for.
    fn lookups(&self, commands: &[Command], matches: &mut Vec<Match>) {
        const PROGRAMS: [&str; 10] =
            ["nc", "ncat", "ping", "getent", "dig", "nslookup", "telnet", "nmap", "ssh-keyscan", "netcat"];
        if self.context.prose || !self.patterns.service.is_match(self.text) {
            return;
        }
        for words in command::split(self.text, self.base) {
            if !words.iter().any(|word| PROGRAMS.contains(&word.text.rsplit('/').next().unwrap_or_default()))
            {
                continue;
            }
            for word in words.iter().skip(1) {
                if let Some(service) = patterns::service(&word.text)
                    && !self
                        .command(commands, word.span.start)
                        .is_some_and(|command| command.targets(word.span.start))
                {
                    matches.push(Match::new(word.span.clone(), &rules::URL_HOST, Some(service)));
                }
            }
        }
        let mut done = 0;
        for (start, _) in self.text.match_indices("NO_PROXY").chain(self.text.match_indices("no_proxy")) {
            // What is on the rest of a line is looked at once.
            if start < done {
                continue;
            }
            let Some(rest) = self.text.get(start..) else { continue };
            let value = rest.split('\n').next().unwrap_or_default();
            done = start + value.len();
            for found in self.patterns.service.find_iter(value) {
                let span = found.range();
                if patterns::alone(value, &span, b"-./")
                    && let Some(service) = patterns::service(found.as_str())
                {
                    matches.push(Match::new(
                        self.span(start + span.start..start + span.end),
                        &rules::URL_HOST,
                        Some(service),
                    ));
                }
            }
        }
    }
}
