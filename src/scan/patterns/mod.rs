//! The names that go, as patterns.

mod pattern;

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input};
use bottle_model::daemon::Daemon;

use crate::rule::ScanRule;
use crate::scan::rules;
use pattern::Pattern;

/// What stands for a value that is put in later: `{slug}`, `${SLUG}`, `$SLUG`, `%s`, `%(slug)s`, `<slug>`.
const PLACEHOLDER: &str =
    r"\$?\{\{[^{}\n]*\}\}|[$#]?\{[^{}\n]*\}|\$\([^()\n]*\)|\$\w+|%\(\w+\)s|%s|<[\w-]+>|&lt;[\w-]+&gt;";

/// A daemon's name, as it is written in names of many kinds.
const SERVICE: &str = r"pipelock|egress|git[-_]?gate|supervise";

/// Every pattern for the target's prefixes.
#[derive(Debug)]
pub(in crate::scan) struct Patterns {
    /// `bot-bottle-egress`, or a pattern of it; groups `lead` and `service`.
    pub(in crate::scan) container: Pattern,
    /// A pattern whose service may be put in later, `bot-bottle-{service}`, `"bot-bottle-" + service`,
    /// `"bot-bottle-%s", service`; groups `placeholder`, `glued` and `put`.
    pub(in crate::scan) generic: Pattern,
    /// A helper whose service is put in later, `{service}_container_name`; group `placeholder`.
    pub(in crate::scan) composed: Pattern,
    /// A host that is put in later, `http://{service}`; group `placeholder`.
    pub(in crate::scan) url_placeholder: Pattern,
    /// A value that is put in later, at the start of a text.
    pub(in crate::scan) placeholder: Pattern,
    /// A host name in a URL; group `service`.
    pub(in crate::scan) url: Pattern,
    /// `egress:9099`; group `service`.
    pub(in crate::scan) address: Pattern,
    /// `Dockerfile.egress`; group `service`.
    pub(in crate::scan) dockerfile: Pattern,
    /// `Dockerfile.{egress,supervise}`; groups `lead` and `list`.
    pub(in crate::scan) braces: Pattern,
    /// `bot-bottle-(?:egress|supervise)`; groups `lead` and `list`.
    pub(in crate::scan) group: Pattern,
    /// A function or an alias that begins a docker command; groups `name` with `body`, or `other` with `alias`.
    pub(in crate::scan) wrapper: Pattern,
    /// A loop over words, `for x in …`; groups `variable` and `list`.
    pub(in crate::scan) loop_in: Pattern,
    /// A list whose elements a block or a function gets; groups `list` and, but for pipes, `variable`.
    pub(in crate::scan) loop_each: Pattern,
    /// A variable and its value: `name=value`, `name := value`, `name: value`; groups `name` and `value`.
    pub(in crate::scan) assigned: Pattern,
    /// A key with a list of words; groups `variable` and `list`.
    pub(in crate::scan) matrix: Pattern,
    /// A word that begins with a daemon's name, as slugs may; group `slug`.
    pub(in crate::scan) slug: Pattern,
    /// `services["egress"]`, `.services.egress`; group `service`.
    pub(in crate::scan) subscript: Pattern,
    /// A compose label with its value; group `value`.
    pub(in crate::scan) label: Pattern,
    /// `len(services) == 5` in text; what is counted may stand some lines above.
    pub(in crate::scan) count: Pattern,
    /// A word of an identifier's kind.
    pub(in crate::scan) word: Pattern,
    /// A daemon's name between word boundaries; group `service`.
    pub(in crate::scan) service: Pattern,
    /// The flag.
    pub(in crate::scan) flag: Pattern,
    /// What describes the legacy shape.
    pub(in crate::scan) shape: Pattern,
    /// A container of its own, for what is named before.
    pub(in crate::scan) own: Pattern,
    /// Two containers, which daemons have to be named as.
    pub(in crate::scan) pair: Pattern,
    /// What makes a sentence one about the past, or about the bundle.
    pub(in crate::scan) past: Pattern,
    /// A verb of the past, which a condition may have, too.
    pub(in crate::scan) was: Pattern,
    /// What begins a condition.
    pub(in crate::scan) condition: Pattern,
    /// The containers of sidecars, in prose; groups `more` and `service`.
    pub(in crate::scan) prose: Pattern,
    /// The container of a sidecar, in prose; group `service`.
    pub(in crate::scan) container_of: Pattern,
    /// A box of a diagram; group `service`.
    pub(in crate::scan) boxed: Pattern,
    /// A file of tests; group `file`.
    pub(in crate::scan) test: Pattern,
    /// What every text with a reference holds, in any letter case.
    telling: AhoCorasick,
    /// What every line of code or prose with one holds, unless a name from elsewhere makes it one.
    line: AhoCorasick,
    helper: Pattern,
    camel: Pattern,
    address_helper: Pattern,
    constant: Pattern,
    builder: Pattern,
    class: Pattern,
    renderer: Pattern,
    place: Pattern,
    prefixes: Vec<String>,
}

impl Patterns {
    /// The patterns for container names that begin with one of `prefixes`, and for the `flag`.
    pub(in crate::scan) fn new(prefixes: &[String], flag: &str) -> Self {
        let lead = prefixes.iter().map(|prefix| regex::escape(prefix)).collect::<Vec<_>>().join("|");
        let lead = if lead.is_empty() { "bot-bottle".to_owned() } else { lead };
        let named = r"\$?\{[^{}\n]*(?i:prefix|project|bottle)[^{}\n]*\}|\$(?i:\w*(?:prefix|project|bottle)\w*)|\$\((?i:\w*(?:prefix|project|bottle)\w*)\)|\{\{[^{}\n]*(?i:prefix|project|bottle)[^{}\n]*\}\}";
        let placeholder =
            r"(?P<placeholder>\$?\{\{[^{}\n]*\}\}|(?:\$\$?|#)?\{[^{}\n]*\}|\$\(\w+\)|\\?\$?\$\w+)";
        let mut flags = vec![regex::escape(flag)];
        for prefix in prefixes {
            flags.push(regex::escape(&format!("{}_SIDECAR_BUNDLE", prefix.to_uppercase().replace('-', "_"))));
        }
        let mut words =
            vec!["pipelock", "egress", "gate", "supervise", "sidecar", "docker", "container", flag];
        words.extend(prefixes.iter().map(String::as_str));
        let any = |more: &[&str]| {
            #[expect(clippy::expect_used, reason = "some short words are no automaton too large")]
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(words.iter().chain(more))
                .expect("words are few")
        };
        let telling = any(&["services", "podman", "test"]);
        // A service that is put in later goes by one of the names of `role`.
        let line = any(&["service", "svc", "component", "role", "daemon", "depends_on"]);
        Self {
            telling,
            line,
            container: Pattern::new("-", &format!("(?P<lead>{lead}|{named})-(?P<service>{SERVICE})")),
            generic: Pattern::new(
                "-",
                &format!(
                    r#"(?:{lead}|{named})-(?:{placeholder}|["'] ?\+ ?(?P<glued>\w+)|%s[^"'\n%]*["'], ?(?P<put>\w+))"#
                ),
            ),
            composed: Pattern::new("_container_name", &format!("{placeholder}_container_name")),
            url_placeholder: Pattern::new("://", &format!("://{placeholder}(?:[:/\"'`\\s]|$)")),
            placeholder: Pattern::new("", &format!("^(?:{PLACEHOLDER})")),
            url: Pattern::new(
                "://",
                &format!(
                    r#"(?:[A-Za-z][A-Za-z0-9+.-]*|\}})://(?:[^/@\s"'`]*@)?(?:\$\{{\w+:?-)?(?P<service>{SERVICE})"#
                ),
            ),
            address: Pattern::new(
                ":",
                &format!(
                    r"(?P<service>{SERVICE}):(?:[0-9]{{2,5}}|\$?\{{[^{{}}\n]*(?i:port)[^{{}}\n]*\}}|\$\w*(?i:port)\w*)"
                ),
            ),
            dockerfile: Pattern::new(
                "Dockerfile.",
                &format!(r"Dockerfile\.(?:(?P<service>{SERVICE})|{PLACEHOLDER})"),
            ),
            braces: Pattern::new(
                "{",
                &format!(r"(?P<lead>Dockerfile\.|(?:{lead}|{named})-)\{{(?P<list>[\w-]+(?:,[\w-]+)+)\}}"),
            ),
            group: Pattern::new(
                "(",
                &format!(r"(?P<lead>(?:{lead}|{named})-)\((?:\?:|\?P?<\w+>)?(?P<list>[\w-]+(?:\|[\w-]+)*)\)"),
            ),
            wrapper: Pattern::new(
                "",
                r#"(?m)^\s*(?:function\s+)?(?P<name>\w+)\s*(?:\(\))?\s*\{\s*(?P<body>(?:docker|podman|nerdctl)[^"'\n;|&]*)"\$@"|^\s*alias (?P<other>\w+)=["'](?P<alias>(?:docker|podman|nerdctl)[^"'\n;|&]*)["']"#,
            ),
            loop_in: Pattern::new(
                "for",
                r"\bfor(?:each)?\b[ (]*(?:const |let |var |final |auto )?(?:_, ?)?\$?(?P<variable>\w+)(?:, ?\w+)?\s+(?:in|of|:=\s*range|:)\s+(?P<list>(?:[^;\n\\]|\\\r?\n)*)",
            ),
            loop_each: Pattern::new(
                "",
                r#"(?P<list>\[[^\[\]\n]*\]|\b[A-Za-z_]\w*|%w[\[(][^\[\]()\n]*[\])]|["'][\w-]+["'](?:\s*,\s*["'][\w-]+["'])*\)?)\s*(?:(?:\.\w+\(\))?\.(?:each|map|forEach|for_each|filter|flatMap|every|some)\s*(?:\(|do|\{)[ (|&]*(?P<variable>\w+)|\|\s*(?:ForEach-Object|foreach)\s*\{)"#,
            ),
            assigned: Pattern::new(
                "",
                r#"(?x)\b(?P<name>[A-Za-z_]\w*)(?:\s*:?\s*[:?]?=\s*|:\s+)
                    (?P<value>"[^"\n]*"[^;&|\n]{0,40}|'[^'\n]*'[^;&|\n]{0,40}|`[^`\n]*`
                        |[\w.]+\("[^"\n]*"[^\n]{0,40}|[^\s;&|"'`]+)"#,
            ),
            matrix: Pattern::new(
                ":",
                r"(?m)^[ -]*(?P<variable>\w+):[ ]*(?P<list>\[[^\]\n]*\]|\n(?:[ ]+-[ ]+[\w\x22'-]+\n)+)",
            ),
            slug: Pattern::new(
                "-",
                &format!(r#"["'`= ](?P<slug>(?:{SERVICE})-[a-z0-9][a-z0-9-]*)["'`\s,.;:)]"#),
            ),
            subscript: Pattern::new(
                "ervices",
                &format!(r#"[Ss]ervices(?:["']?\])?(?:\.(?:get|pop)\(|\[|\.)\\?["']?(?P<service>{SERVICE})"#),
            ),
            label: Pattern::new("compose", r"com[._]docker[._]compose[._]service(?P<value>[^\n]*)"),
            count: Pattern::new(
                "ervices",
                r"(?:len\(\s*[\w.]*[Ss]ervices[^)\n]{0,20}\)+\s*(?:==|!=|,)\s*[345]\b)|(?:services[\w.()]*\.(?:length|len\(\)|size\(\)|count\(\))\s*(?:===?|!==?|,)\s*[345]\b)|(?:services(?:\)\.keys\([^()\n]*|\.keys\(\))?\)*\s*\.\s*(?:toHaveLength|toHaveCount)\([345]\))|(?:--services[^\n]{0,80}wc -l[^\n]{0,80}\b[345]\b)|(?:--services[^\n]{0,80}\n(?:[^\n]{0,80}\n){0,2}?[^\n]{0,80}#\w+\[[@*]\]\}\x22?\s*(?:-eq|-ne|==?|!=)\s*[345]\b)|(?:--services[^\n]{0,80}wc -l[^\n]{0,80}\n(?:[^\n]{0,80}\n){0,2}?[^\n]{0,80}\$\{?\w+\}?\x22?\s*(?:-eq|-ne|==?|!=)\s*[345]\b)",
            ),
            word: Pattern::new("", r"[A-Za-z_][A-Za-z0-9_]*"),
            service: Pattern::new("", &format!(r"(?P<service>{SERVICE})")),
            flag: Pattern::new("", &format!(r"(?:{})", flags.join("|"))),
            shape: Pattern::new(
                "",
                r"(?i)\b(?:(?:four|five|three|4|5|3)[ -]+(?:[\w`*-]+[ -]+){0,2}?(?:sidecars?|services?|containers?)\b|(?:one|a|its own|own|separate|dedicated|individual)[ -]+(?:\w+[ -]+)?containers?[ -]+(?:for each|per)[ -]+(?:sidecar|daemon|service)|(?:one|a)[ -]+(?:\w+[ -]+)?(?:container|service)[ -]+(?:apiece|each)\b|per[- ]sidecar[ -]+(?:containers?|services?|images?|dockerfiles?)|(?:each|every)[ -]+sidecar['’]s[ -]+(?:own[ -]+)?(?:logs?|containers?|images?|dockerfile)\b|(?:the|all|these|those)[ -]+sidecar[ -]+containers\b|(?:each|every)(?:[ -]+one[ -]+of)?(?:[ -]+the)?[ -]+sidecars?\b[^.\n]{0,40}\b(?:own|separate|dedicated|individual)\b|(?:each|every)[ -]+daemon\b[^.\n]{0,40}\b(?:own|separate|dedicated|individual)[ -]+(?:container|service|image|dockerfile)|(?:one|a)[ -]+(?:\w+[ -]+)?(?:container|service)[ -]+(?:per|for each|for every)[ -]+(?:sidecar|daemon))",
            ),
            own: Pattern::new(
                "",
                r"(?i)\b(?:(?:own|separate|dedicated|individual)[ -](?:docker[ -]|compose[ -])?(?:containers?|compose services?)|containers? of (?:its|their) own|(?:one|a) container (?:for )?each)\b",
            ),
            pair: Pattern::new("", r"(?i)\b(?:two|2)[ -](?:\w+[ -])?(?:containers|sidecars)\b"),
            past: Pattern::new(
                "",
                r"(?i)\b(?:bec(?:ame|omes?|oming)|merged?|merges|consolidat\w*|replac(?:es|ed|ing|ements?)|will replace|collaps\w*|used to|formerly|previously|no longer|originally|historical(?:ly)?|any ?more|gone|(?:has|have) been (?:removed|dropped|deleted|retired)|beforehand|before (?:the |this |that |our )?(?:bundle|migration|merge|switch|change|flip|cut-?over|rewrite|refactor\w*|prd|v?\d)|once (?:there )?(?:was|were|had)|(?:instead of|rather than) (?:the |its |one |a )?(?:four|five|three|[345]|own|separate|container per|service per|each)|(?:into|in|inside|within) (?:one|a single|the same)(?: \w+)?[ -](?:containers?|service|image|bundle|sidecar|process|place)|shar(?:es?|ed|ing) (?:one|a|a single|the same|the|its)(?: \w+)?[ -](?:container|service|image|bundle|sidecar|namespace)|single[ -](?:\w+[ -])?(?:container|service|image|bundle|sidecar))\b",
            ),
            was: Pattern::new("", r"(?i)\b(?:were|was|had|ran)\b"),
            condition: Pattern::new("", r"(?i)\b(?:if|whether|unless|in case|as if)\b"),
            prose: Pattern::new(
                "",
                r"(?i)(?P<more>(?:(?:pipelock|egress|git[- _]?gate|supervise)[`*_]*(?:,? and |,? or |, |/)[`*_]*)*)(?P<service>pipelock|egress|git[- _]?gate|supervise)[`*_]*(?:'s)?[ -]+(?:sidecar[ -]+)?(?:containers?\b|sidecar[ -]+containers?)",
            ),
            container_of: Pattern::new(
                "",
                r"(?xi)\bcontainers?\x20(?:of|for|named|called)\x20(?:the\x20)?[`*_]*
                    (?P<service>pipelock|egress|git[-_]?gate|supervise)\b",
            ),
            boxed: Pattern::new(
                "",
                r"(?xi)[|│\[]\x20*(?P<service>pipelock|egress|git[-_]?gate|supervise)
                    (?:\x20(?:container|sidecar|service|proxy))?\x20*(?:[(:][^|│\]\n]{0,40})?[|│\]]",
            ),
            test: Pattern::new(
                "",
                r"(?m)(?:(?P<file>[A-Za-z0-9_./-]*(?:test_[A-Za-z0-9_-]+|[A-Za-z0-9_-]+_test|[A-Za-z0-9_-]+\.(?:test|spec))\.(?:py|sh|bats|go|rs|js|ts|tsx|rb))\b|(?:unittest|pytest|-m)[ ](?:-\w+[ ])*(?P<module>(?:\w+\.)*test_\w+)\b|`(?P<dotted>(?:\w+\.)+test_\w+)`|^[ ]*[-*|][ ]*`(?P<bare>test_\w+)`)",
            ),
            helper: Pattern::new(
                "",
                &format!(
                    "^_*(?:(?P<first>[a-z0-9]+)_(?:[a-z0-9]+_)*?)?(?P<service>{SERVICE})_(?:sidecar_)?(?:container_names?|sidecar_names?)(?:_for)?$"
                ),
            ),
            camel: Pattern::new(
                "",
                "^(?:get|make|build)?(?P<service>[Pp]ipelock|[Ee]gress|[Gg]itGate|[Ss]upervise)(?P<kind>(?:Sidecar)?ContainerName|(?:Proxy|Mcp|Base)?(?:Url|URL|Host))$",
            ),
            address_helper: Pattern::new(
                "",
                &format!(
                    "^_*(?:(?:get|make|build)_)?(?P<service>{SERVICE})_(?:(?:proxy|mcp|base|git|http|https|daemon|server|internal|sidecar)_)*(?:url|uri|host|hostname|host_port|endpoint|addr|address)(?:_for)?$"
                ),
            ),
            constant: Pattern::new(
                "",
                "^_*(?:[A-Z0-9]+_)*?(?P<service>PIPELOCK|EGRESS|GIT_?GATE|SUPERVISE)(?:_SIDECAR)?_(?:(?:DEFAULT_|BASE_)?(?P<kind>IMAGE|DOCKERFILE)(?:_(?:NAME|TAG|REF|DEFAULT|PATH))?)$",
            ),
            builder: Pattern::new(
                "",
                &format!(
                    "^_*(?:build|rebuild|ensure|ensure_built|pull|push|tag)_(?P<service>{SERVICE})(?:_sidecar)?_(?:image|dockerfile)$"
                ),
            ),
            // `DockerEgress`, `DockerPipelockProxy`, `GitGateContainer`
            class: Pattern::new(
                "",
                r"(?x)^_*(?:
                    Docker(?P<service>Pipelock|Egress|GitGate|Supervise)
                        (?:Proxy|Server|Daemon|Gate|Backend|Runner|Service)?(?:Sidecar|Container)?
                    | (?P<plain>Pipelock|Egress|GitGate|Supervise)(?:Proxy|Server)?(?:Sidecar|Container)
                )$",
            ),
            // `_egress_service`, `render_git_gate_service`, `start_supervise_container`
            renderer: Pattern::new(
                "",
                &format!(
                    r"(?x)^_*(?:
                        (?:(?:render|build|make|get|add|create|start|stop|launch|remove)_)?
                            (?P<service>{SERVICE})_(?:proxy_|sidecar_|compose_)*service(?:_block|_spec|_dict)?
                        | (?:render|start|stop|launch|restart|remove|run)_
                            (?P<acted>{SERVICE})(?:_proxy)?_(?:sidecar|container)
                    )$"
                ),
            ),
            // `EGRESS_HOSTNAME`, `PIPELOCK_NAME_PREFIX`
            place: Pattern::new(
                "",
                r"(?x)^_*(?:[A-Z0-9]+_)*?(?P<service>PIPELOCK|EGRESS|GIT_?GATE|SUPERVISE)
                    (?:_SIDECAR|_PROXY|_DEFAULT)*_(?P<kind>HOSTNAME|(?:CONTAINER_)?NAME_PREFIX|CONTAINER_PREFIX)$",
            ),
            prefixes: prefixes.to_vec(),
        }
    }

    /// What an identifier is, if it is one of those that go.
    pub(in crate::scan) fn identifier(&self, name: &str) -> Option<(&'static ScanRule, Daemon)> {
        // Most names are none, and are told so by one look.
        if !self.tells(name) {
            return None;
        }
        if let Some(found) = self.constant.captures(name) {
            let service = daemon(&found["service"])?;
            // The image of pipelock is what the bundle copies from.
            let kept = service == Daemon::Pipelock && &found["kind"] == "IMAGE";
            return (!kept).then_some((&rules::IMAGE_CONSTANT, service));
        }
        if let Some(found) = self.helper.captures(name) {
            let tests = found.name("first").is_some_and(|first| first.as_str() == "test");
            return if tests { None } else { Some((&rules::NAME_HELPER, daemon(&found["service"])?)) };
        }
        if let Some(found) = self.address_helper.captures(name) {
            return Some((&rules::URL_HELPER, daemon(&found["service"])?));
        }
        if let Some(found) = self.builder.captures(name) {
            return Some((&rules::IMAGE_CONSTANT, daemon(&found["service"])?));
        }
        if let Some(found) = self.place.captures(name) {
            let host = &found["kind"] == "HOSTNAME";
            let rule = if host { &rules::URL_HELPER } else { &rules::NAME_HELPER };
            return Some((rule, daemon(&found["service"])?));
        }
        if let Some(service) = self.class(name) {
            return Some((&rules::NAME_HELPER, service));
        }
        if let Some(found) = self.renderer.captures(name) {
            let service = found.name("service").or_else(|| found.name("acted"))?;
            return Some((&rules::COMPOSE_SERVICE, daemon(service.as_str())?));
        }
        let found = self.camel.captures(name)?;
        let rule = if found["kind"].ends_with("Name") { &rules::NAME_HELPER } else { &rules::URL_HELPER };
        Some((rule, daemon(&found["service"])?))
    }

    /// The daemon of a class that starts and stops one sidecar's container.
    pub(in crate::scan) fn class(&self, name: &str) -> Option<Daemon> {
        let found = self.class.captures(name)?;
        daemon(found.name("service").or_else(|| found.name("plain"))?.as_str())
    }

    /// A container's name for what is known to be one of `service`.
    pub(in crate::scan) fn example(&self, service: Daemon) -> String {
        format!("{}-{service}-x", self.prefixes.first().map_or("bot-bottle", String::as_str))
    }

    /// Whether a text may hold a reference at all.
    pub(in crate::scan) fn tells(&self, text: &str) -> bool {
        self.telling.is_match(text)
    }

    /// Where, from `at` on, `source` has what makes a line of code or prose worth a look.
    pub(in crate::scan) fn line_told(&self, source: &str, at: usize) -> Option<usize> {
        self.line.find(Input::new(source).range(at..)).map(|found| found.start())
    }

    /// Whether a line of code or prose is worth a look.
    pub(in crate::scan) fn line_tells(&self, line: &str) -> bool {
        self.line.is_match(line)
    }

    /// The first prefix in a text.
    pub(in crate::scan) fn prefix_in(&self, text: &str) -> Option<&str> {
        let place = |prefix: &&String| text.find(prefix.as_str());
        let found = self.prefixes.iter().filter_map(|prefix| Some((place(&prefix)?, prefix)));
        found
            .min_by_key(|(at, prefix)| (*at, std::cmp::Reverse(prefix.len())))
            .map(|(_, prefix)| prefix.as_str())
    }

    /// The prefix that is in most places of the texts.
    pub(in crate::scan) fn commonest<'t>(
        &self,
        texts: &(impl Iterator<Item = &'t str> + Clone),
    ) -> Option<String> {
        let count =
            |prefix: &String| texts.clone().map(|text| text.matches(prefix.as_str()).count()).sum::<usize>();
        // Of equals the first one.
        let counted = self.prefixes.iter().rev().map(|prefix| (count(prefix), prefix));
        counted
            .max_by_key(|(count, _)| *count)
            .filter(|(count, _)| *count > 0)
            .map(|(_, prefix)| prefix.clone())
    }

    /// Whether a text is a prefix of container names.
    pub(in crate::scan) fn is_prefix(&self, text: &str) -> bool {
        self.prefixes.iter().any(|prefix| prefix == text.trim_end_matches('-'))
    }

    /// Whether the rest of an address leads to a project whose name is no prefix.
    pub(in crate::scan) fn foreign(&self, address: &str) -> bool {
        !self.prefixes.iter().any(|prefix| address.contains(prefix.as_str()))
    }

    /// Length of the value at the start of `text` that is put in later.
    pub(in crate::scan) fn placeholder_at(&self, text: &str) -> Option<usize> {
        self.placeholder.find(text).map(|found| found.end())
    }
}

/// The words of a text.
pub(in crate::scan) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The daemon of a name in any of its spellings.
pub(in crate::scan) fn daemon(name: &str) -> Option<Daemon> {
    let plain = name.to_ascii_lowercase().replace(['-', '_', ' '], "");
    Daemon::ALL.into_iter().find(|daemon| daemon.name().replace('-', "") == plain)
}

/// The daemon whose compose service `word` is, exactly.
pub(in crate::scan) fn service(word: &str) -> Option<Daemon> {
    Daemon::from_name(word)
}

/// Whether the bytes around `span` make it a word of its own; `joins` are bytes that make longer words.
pub(in crate::scan) fn alone(text: &str, span: &Range<usize>, joins: &[u8]) -> bool {
    let joined =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || joins.contains(&byte) || byte >= 0x80;
    let bytes = text.as_bytes();
    let before = span.start.checked_sub(1).is_some_and(|at| joined(bytes[at]));
    let after = bytes.get(span.end).is_some_and(|byte| joined(*byte));
    !before && !after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns() -> Patterns {
        Patterns::new(&["bot-bottle".to_owned(), "claude-bottle".to_owned()], "BOT_BOTTLE_SIDECAR_BUNDLE")
    }

    #[test]
    fn every_pattern_compiles_for_any_prefix() {
        let patterns = Patterns::new(&["a.b(c".to_owned(), "ü".to_owned()], "FLAG");
        let text = "for - :// : Dockerfile. { ( services _container_name com.docker.compose.service";
        for pattern in [
            &patterns.container,
            &patterns.generic,
            &patterns.composed,
            &patterns.url_placeholder,
            &patterns.placeholder,
            &patterns.url,
            &patterns.address,
            &patterns.dockerfile,
            &patterns.braces,
            &patterns.group,
            &patterns.wrapper,
            &patterns.loop_in,
            &patterns.loop_each,
            &patterns.assigned,
            &patterns.matrix,
            &patterns.slug,
            &patterns.subscript,
            &patterns.label,
            &patterns.count,
            &patterns.word,
            &patterns.service,
            &patterns.flag,
            &patterns.shape,
            &patterns.own,
            &patterns.pair,
            &patterns.past,
            &patterns.was,
            &patterns.condition,
            &patterns.prose,
            &patterns.container_of,
            &patterns.boxed,
            &patterns.test,
            &patterns.helper,
            &patterns.camel,
            &patterns.address_helper,
            &patterns.constant,
            &patterns.builder,
            &patterns.class,
            &patterns.renderer,
            &patterns.place,
        ] {
            assert!(pattern.compiles(text), "{pattern:?}");
        }
    }

    #[test]
    fn identifiers_that_go_are_told_from_those_that_stay() {
        let patterns = patterns();
        for (name, rule, service) in [
            ("pipelock_container_name", "name-helper", Daemon::Pipelock),
            ("_git_gate_container_name", "name-helper", Daemon::GitGate),
            ("get_egress_container_name", "name-helper", Daemon::Egress),
            ("superviseContainerName", "name-helper", Daemon::Supervise),
            ("pipelock_proxy_url", "url-helper", Daemon::Pipelock),
            ("git_gate_host", "url-helper", Daemon::GitGate),
            ("EGRESS_IMAGE", "image-constant", Daemon::Egress),
            ("BOT_BOTTLE_GIT_GATE_IMAGE", "image-constant", Daemon::GitGate),
            ("PIPELOCK_DOCKERFILE", "image-constant", Daemon::Pipelock),
            ("build_supervise_image", "image-constant", Daemon::Supervise),
            ("pipelock_proxy_host_port", "url-helper", Daemon::Pipelock),
            ("EGRESS_HOSTNAME", "url-helper", Daemon::Egress),
            ("PIPELOCK_NAME_PREFIX", "name-helper", Daemon::Pipelock),
            ("GIT_GATE_CONTAINER_NAME_PREFIX", "name-helper", Daemon::GitGate),
            ("DockerPipelockProxy", "name-helper", Daemon::Pipelock),
            ("DockerGitGate", "name-helper", Daemon::GitGate),
            ("SuperviseContainer", "name-helper", Daemon::Supervise),
            ("_egress_service", "compose-service", Daemon::Egress),
            ("render_git_gate_sidecar_service", "compose-service", Daemon::GitGate),
            ("start_supervise_container", "compose-service", Daemon::Supervise),
        ] {
            let found = patterns.identifier(name);
            assert_eq!(
                found.map(|(rule, service)| (rule.id.as_str(), service)),
                Some((rule, service)),
                "{name}"
            );
        }
        for name in [
            "PIPELOCK_IMAGE",
            "sidecar_bundle_container_name",
            "agent_container_name",
            "egress_network_name",
            "egress_rules",
            "supervised_url",
            "test_egress_container_name",
            "egress_container_names_seen",
            "supervise",
            "PipelockProxy",
            "DockerEgressNetwork",
            "DockerSupervisedTask",
            "EGRESS_PORT",
            "EGRESS_NETWORK_NAME_PREFIX",
            "egress_services",
            "test_egress_service",
        ] {
            assert!(patterns.identifier(name).is_none(), "{name}");
        }
    }

    #[test]
    fn holes_are_values_that_come_later() {
        let patterns = patterns();
        for (text, length) in
            [("{slug}-x", 6), ("${SLUG:-a}", 10), ("$SLUG.", 5), ("%s", 2), ("%(slug)s", 8), ("<slug>", 6)]
        {
            assert_eq!(patterns.placeholder_at(text), Some(length), "{text}");
        }
        assert_eq!(patterns.placeholder_at("demo"), None);
    }
}
