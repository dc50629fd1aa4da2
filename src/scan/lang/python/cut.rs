//! The logical lines of a file that can matter: a file with a reference is mostly lines without one.
//!
//! A finding stands on a line that holds a telling word, or a name that such a line gives to something, or more than
//! one text that may make a word together. Such lines are parsed, with the headers around them and where they stand
//! in the file; a parse of the whole file finds the same.

use std::collections::BTreeSet;
use std::ops::Range;

use tree_sitter::Point;

use super::Known;
use super::lines::{self, Line};
use crate::scan::patterns::Patterns;

/// Most ranges that are parsed apart: the parser looks through them at every word.
const MOST: usize = 256;

/// Most names that are followed: the file is looked through for every one.
const NAMES: usize = 64;

/// The bytes that have to be parsed; `None`: all of them.
pub(super) fn ranges(patterns: &Patterns, source: &str, known: &Known) -> Option<Vec<tree_sitter::Range>> {
    let mut cut = Cut::new(source, lines::lines(source)?);
    cut.mark_telling(patterns);
    cut.follow(known)?;
    cut.complete();
    cut.ranges()
}

struct Cut<'a> {
    source: &'a str,
    lines: Vec<Line>,
    /// Whether a line matters, by its number.
    kept: Vec<bool>,
    /// Whether the variables of a line were looked for, by its number.
    searched: Vec<bool>,
    /// Names whose lines matter, and those that are still to be looked for.
    followed: BTreeSet<&'a str>,
    open: Vec<&'a str>,
}

impl<'a> Cut<'a> {
    fn new(source: &'a str, lines: Vec<Line>) -> Self {
        let (kept, searched) = (vec![false; lines.len()], vec![false; lines.len()]);
        Self { source, lines, kept, searched, followed: BTreeSet::new(), open: Vec::new() }
    }

    /// Number of the line that has the byte `at`, unless that is in a comment between lines.
    fn at(&self, at: usize) -> Option<usize> {
        let number = self.lines.partition_point(|line| line.range.end <= at);
        self.lines.get(number).filter(|line| line.range.start <= at).map(|_| number)
    }

    /// Looks for the variables of a loop over what a line names, and for those of a test's parameters.
    fn variables(&mut self, number: usize) {
        // A long line may hold a name many times.
        if std::mem::replace(&mut self.searched[number], true) {
            return;
        }
        let text = &self.source[self.lines[number].range.clone()];
        if text.contains("for ") {
            let mut words = words(text);
            while let Some(word) = words.next() {
                if word == "for" {
                    for name in words.by_ref().take_while(|word| *word != "in") {
                        self.name(name);
                    }
                }
            }
        }
        if let Some((_, rest)) = text.split_once("lambda ") {
            for name in words(rest.split(':').next().unwrap_or_default()) {
                self.name(name);
            }
        }
        if text.trim_start().starts_with('@') {
            let parameters = text.split(['"', '\'']).skip(1).step_by(2);
            let named = text.contains("parametrize");
            for name in parameters.take(if named { 4 } else { 0 }).flat_map(words) {
                self.name(name);
            }
            if text.contains("params") {
                self.name("param");
            }
        }
    }

    fn name(&mut self, name: &'a str) {
        if self.followed.insert(name) {
            self.open.push(name);
        }
    }

    /// Keeps a line, and looks for the names that it gives.
    fn keep(&mut self, number: usize) {
        if std::mem::replace(&mut self.kept[number], true) {
            return;
        }
        let source = self.source;
        for name in std::mem::take(&mut self.lines[number].bound) {
            self.name(&source[name]);
        }
        let text = &source[self.lines[number].range.clone()];
        self.callers(number, text);
        if text.contains("import") || text.contains(" as ") {
            let mut words = words(text);
            while let Some(word) = words.next() {
                if word == "as"
                    && let Some(name) = words.next()
                {
                    self.name(name);
                }
            }
        }
    }

    /// Looks for what gets a value of a line that is kept: parameters with a default, and the callers of a function.
    fn callers(&mut self, number: usize, text: &'a str) {
        let first = words(text).next().unwrap_or_default();
        if matches!(first, "def" | "async") {
            for parameter in text.split(['(', ',']).filter(|part| part.contains('=')) {
                self.names_of(words(parameter).take(1));
            }
        } else if matches!(first, "return" | "yield") || text.contains("yield") {
            let heads = std::iter::successors(self.lines[number].head, |head| self.lines[*head].head);
            let source = self.source;
            let defined = |head: usize| {
                let mut words =
                    words(&source[self.lines[head].range.clone()]).skip_while(|word| *word == "async");
                (words.next() == Some("def")).then(|| words.next()).flatten()
            };
            let name = heads.into_iter().find_map(defined);
            self.names_of(name.into_iter());
        }
    }

    fn names_of(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            self.name(name);
        }
    }

    /// Keeps what may hold a reference by itself.
    fn mark_telling(&mut self, patterns: &Patterns) {
        let mut at = 0;
        while let Some(found) = patterns.line_told(self.source, at) {
            match self.at(found) {
                Some(number) => {
                    self.keep(number);
                    if patterns.service.is_match(&self.source[self.lines[number].range.clone()]) {
                        self.variables(number);
                    }
                    at = self.lines[number].range.end;
                }
                None => at = found + 1,
            }
        }
        for number in 0..self.lines.len() {
            let Line { range, string, joins, bound, .. } = &self.lines[number];
            if !string {
                continue;
            }
            // A constant may be a part of any text.
            let constant = |name: &Range<usize>| {
                let mut bytes = self.source[name.clone()].bytes();
                bytes.all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
            };
            let text = &self.source[range.clone()];
            if *joins || text.contains("join") || text.contains("format") || bound.iter().any(constant) {
                self.keep(number);
            }
        }
    }

    /// Keeps the lines that hold a name which a kept line gives, or another file; `None`: they are too many.
    fn follow(&mut self, known: &'a Known) -> Option<()> {
        for name in known.names() {
            if self.followed.len() > NAMES {
                return None;
            }
            self.name(name);
        }
        self.keep_imports(known);
        let bytes = self.source.as_bytes();
        while let Some(name) = self.open.pop() {
            if self.followed.len() > NAMES {
                return None;
            }
            for (at, _) in self.source.match_indices(name) {
                let longer = |byte: Option<&u8>| byte.is_some_and(|byte| lines::is_word(*byte));
                if !longer(bytes[..at].last())
                    && !longer(bytes.get(at + name.len()))
                    && let Some(number) = self.at(at)
                {
                    self.keep(number);
                    self.variables(number);
                }
            }
        }
        Some(())
    }

    /// Keeps the imports of modules that pass names on.
    fn keep_imports(&mut self, known: &Known) {
        if known.is_empty() {
            return;
        }
        for number in 0..self.lines.len() {
            let text = &self.source[self.lines[number].range.clone()];
            if text.contains("import") && words(text).any(|word| known.has_module(word)) {
                self.keep(number);
            }
        }
    }

    /// Keeps what the kept lines need around them: headers, all clauses of a statement, and a line for every block.
    fn complete(&mut self) {
        let count = self.lines.len();
        let mut leads = vec![false; count];
        let mut filled = vec![false; count];
        for number in (0..count).rev() {
            let Line { lead, head, .. } = self.lines[number];
            leads[lead] |= self.kept[number];
            self.kept[number] = leads[lead];
            if leads[lead]
                && let Some(head) = head
            {
                filled[head] = true;
                leads[self.lines[head].lead] = true;
            }
        }
        for number in 0..count {
            let Line { lead, head, .. } = self.lines[number];
            if let Some(head) = head.filter(|head| self.kept[*head] && !filled[*head]) {
                filled[head] = true;
                leads[lead] = true;
            }
            self.kept[number] = leads[lead];
        }
    }

    /// The kept lines; `None`: they are most of the file, or too many apart.
    fn ranges(&self) -> Option<Vec<tree_sitter::Range>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (line, _) in self.lines.iter().zip(&self.kept).filter(|(_, kept)| **kept) {
            match ranges.last_mut() {
                Some(last) if last.end == line.range.start => last.end = line.range.end,
                _ => ranges.push(line.range.clone()),
            }
        }
        let bytes: usize = ranges.iter().map(Range::len).sum();
        if ranges.len() > MOST || bytes > self.source.len() / 4 * 3 {
            return None;
        }
        let (mut at, mut point) = (0, Point::new(0, 0));
        let mut go = |to: usize| {
            let passed = &self.source[at..to];
            let rows = passed.matches('\n').count();
            let column = passed.len() - passed.rfind('\n').map_or(0, |feed| feed + 1);
            point = Point::new(point.row + rows, if rows == 0 { point.column + column } else { column });
            at = to;
            point
        };
        let ranges = ranges.into_iter().map(|range| tree_sitter::Range {
            start_byte: range.start,
            start_point: go(range.start),
            end_byte: range.end,
            end_point: go(range.end),
        });
        Some(ranges.collect())
    }
}

/// The words of a line.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::LazyLock;

    use bottle_model::daemon::Daemon;
    use proptest::prelude::*;

    use super::super::{Alias, ByRule, Other, found, parse, search};
    use super::*;
    use crate::scan::rules;

    static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
        Patterns::new(&["bot-bottle".to_owned(), "claude-bottle".to_owned()], "BOT_BOTTLE_SIDECAR_BUNDLE")
    });

    /// Names that other modules pass on.
    fn known() -> Known {
        let aliases = [("names", "boss"), ("docker", "wall")].map(|(module, name)| {
            let name = name.to_owned();
            Alias::new(module, Other { name, rule: ByRule(&rules::NAME_HELPER), service: Daemon::Supervise })
        });
        Known::new(&aliases)
    }

    /// What a search tells, of the lines that can matter or of the whole file.
    fn told(source: &str, whole: bool) -> String {
        let mut matches = Vec::new();
        let others = if whole {
            found(&PATTERNS, (source, "bot/x.py"), &parse(source).unwrap(), &known(), &mut matches)
        } else {
            search(&PATTERNS, source, "bot/x.py", &known(), &mut matches).unwrap()
        };
        matches.sort_by_key(|matched| (matched.span.start, matched.span.end));
        format!("{matches:#?} {others:#?}")
    }

    /// The Python files of the labelled corpus.
    fn corpus() -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scan/corpus");
        let files = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
        let python = files.filter(|file| file.path().extension() == Some("py".as_ref()));
        python.map(|file| fs::read_to_string(file.path()).unwrap()).collect()
    }

    #[test]
    fn the_corpus_gives_the_same_in_part_as_in_whole() {
        let (mut cut, mut size) = (0, 0);
        for source in corpus() {
            assert_eq!(told(&source, false), told(&source, true), "{source}");
            size += source.len();
            let ranges = ranges(&PATTERNS, &source, &known());
            let bytes = |range: &tree_sitter::Range| range.end_byte - range.start_byte;
            cut += ranges.map_or(source.len(), |ranges| ranges.iter().map(bytes).sum());
        }
        assert!(cut < size, "{cut} of {size} bytes");
    }

    /// Statements that speak of nothing, that go by names, or that put words together.
    const TOGETHER: [&str; 58] = [
        "z = map(lambda x: f'http://{x}:80', SIDES)",
        "z = [container_name(x, 'a') for x in SIDES]",
        "SIDES = ('egress', 'supervise')",
        "for x in SIDES: print(f'bot-bottle-{x}-y', y)",
        "z = [f'http://{x}:80' for x in sorted(SIDES)]",
        "for x in ('egress', 'pipelock'): print(f'{C}-{x}-y')",
        "for x, y in {'egress': 1}.items(): run(['docker', 'rm', x])",
        "for x in SIDES: print(f'http://{x}:80')",
        "run(DC + ['restart', x])",
        "DC = ['docker', 'compose']",
        "DC = 'docker compose'.split()",
        "run([*DC, 'restart', 'pipelock'])",
        "run(DC + ['restart', 'egress'])",
        "import names as m",
        "from . import docker",
        "m.boss(slug)",
        "docker.wall(slug)",
        "getattr(m, f'{x}_container_name')",
        "x = 1",
        "# egress",
        "",
        "log(x, 'done')",
        "name = boss(slug)",
        "helper = pipelock_container_name",
        "run(['docker', 'restart', helper(slug)])",
        "from names import boss as chief",
        "chief('demo')",
        "HOST = 'egress'",
        "PORT: str = '9099'",
        "url = f'http://{HOST}:{PORT}'",
        "found = sorted(doc['services'])",
        "assert len(found) == 5",
        "assert 'egress' in found",
        "A = 'pipe'",
        "B = 'lock'",
        "C = D = 'bot-'; D = 'bottle-'",
        "both = f'bot-bottle-{A}{B}-x'",
        "both = f'{C}{D}{A}{B}-x'",
        "both = 'bot-' 'bottle-' + 'pipe' 'lock' + '-x'",
        "run(f'podman rm {project}-{svc}-x')",
        "run(f'latest {prefix}-{role}-x')",
        "def test_x(): run('podman rm x')",
        "both = 'bot-bot' 'tle-egr' 'ess-x'",
        "both = 'bot-bo{}egr{}-x'.format('ttle-', 'ess')",
        "both = 'ttle-egr'.join(['bot-bo', 'ess-x'])",
        "both = f\"bot-bo{'ttle'}-eg{'ress'}-x\"",
        "boss = wall = None",
        "x = [\n  1,\n]",
        "y = '''\neach daemon has its own image\n'''",
        "'''Each daemon has its own image.'''",
        "n = 'bot-bottle-egress-x'",
        "self.n = egress_container_name(1)",
        "run(['docker', 'rm', n])",
        "run(['docker', 'rm', self.n])",
        "proxy = DockerEgress()",
        "proxy.stop(url)",
        "url = proxy.start(1)",
        "print(f'{url}/x')",
    ];

    /// The simple statements of the corpus.
    static STATEMENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut statements: BTreeSet<String> = BTreeSet::new();
        for source in corpus() {
            let Some(lines) = lines::lines(&source) else { continue };
            let heads: BTreeSet<usize> = lines.iter().filter_map(|line| line.head).collect();
            for (number, line) in lines.iter().enumerate() {
                let text = source[line.range.clone()].trim();
                if !heads.contains(&number) && line.lead == number && !text.contains('\n') {
                    statements.insert(text.to_owned());
                }
            }
        }
        statements.into_iter().collect()
    });

    const HEADERS: [&str; 21] = [
        "def made(n='bot-bottle-egress-x'):",
        "with DockerEgress() as proxy:",
        "def n(x):\n    return egress_container_name(x)\nif x:",
        "@mark.parametrize('x', ['egress', 'pipelock'])\ndef test_p(x):",
        "@pytest.mark.parametrize(\n    ('x', 'y'),\n    [('egress', 1)],\n)\ndef test_q(x, y):",
        "@fixture(params=['egress'])\ndef made(request):\n    return f'http://{request.param}:80'\nif x:",
        "for x in SIDES:",
        "def f(x, boss=None):",
        "async def egress_url(\n    a,\n):",
        "class Network:",
        "@patch('x.boss')\ndef g():",
        "with open(x) as chief:",
        "for helper in x:",
        "for name in ('egress', 'supervise'):",
        "while x:",
        "if x:\n    pass\nelif y:\n    z = 'egress'\nelse:",
        "if x:\n    pass\nelse:",
        "try:\n    z = boss\nexcept E:",
        "try:\n    pass\nfinally:",
        "def network_name():\n    'bot-bottle-egress-x'\n    return 1\nif x:",
        "@a\n@b\nclass C(D):\n    x = 1\n    def g(self): pass\n@c\ndef test_f():",
    ];

    fn indented(text: &str) -> String {
        // What a string holds stays where it is.
        let inside = |text: &str| text.contains("'''");
        if inside(text) && !text.contains(":\n") {
            return format!("    {text}");
        }
        text.lines().map(|line| ["    ", line].concat()).collect::<Vec<_>>().join("\n")
    }

    /// A block of statements, each with its line feed.
    fn block() -> impl Strategy<Value = Vec<String>> {
        let written = (0..STATEMENTS.len()).prop_map(|number| vec![STATEMENTS[number].clone()]);
        let together = (0..TOGETHER.len()).prop_map(|number| vec![TOGETHER[number].to_owned()]);
        prop_oneof![written, together].prop_recursive(4, 60, 6, |inner| {
            (prop::collection::vec(inner, 1..6), prop::option::of(0..HEADERS.len())).prop_map(
                |(parts, header)| {
                    let body = parts.into_iter().flatten();
                    match header {
                        None => body.collect(),
                        Some(header) => {
                            let body = ["pass".to_owned()].into_iter().chain(body);
                            std::iter::once(HEADERS[header].to_owned())
                                .chain(body.map(|line| indented(&line)))
                                .collect()
                        }
                    }
                },
            )
        })
    }

    proptest! {
        #[test]
        fn a_program_gives_the_same_in_part_as_in_whole(
            lines in block(),
            feed in prop_oneof![Just("\n"), Just("\r\n")],
        ) {
            let source = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
            let source = source.replace('\n', feed);
            let tree = parse(&source).unwrap();
            prop_assume!(!tree.root_node().has_error());
            prop_assert_eq!(told(&source, false), told(&source, true), "{}", source);
        }
    }
}
