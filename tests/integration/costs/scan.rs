//! Files that are large, or small and ask for much of the scan.

use super::Family;
use crate::process::Target;

/// Writes one file that is scanned.
fn file(target: &Target, name: &str, text: &str) -> Vec<&'static str> {
    target.write(name, text);
    vec!["scan-tests", "--format", "json"]
}

/// A file that repeats a piece of text.
fn repeated(target: &Target, name: &str, head: &str, piece: &str, n: usize) -> Vec<&'static str> {
    file(target, name, &(head.to_owned() + &piece.repeat(n)))
}

/// A file with a line for each number below n.
fn numbered(
    target: &Target,
    name: &str,
    head: &str,
    n: usize,
    line: impl Fn(usize) -> String,
) -> Vec<&'static str> {
    file(target, name, &(0..n).fold(head.to_owned(), |text, at| text + &line(at)))
}

macro_rules! families {
    ($($name:literal, $most:literal: |$target:ident, $n:ident| $input:expr;)*) => {
        &[$(Family { name: $name, input: |$target, $n| $input, most: $most }),*]
    };
}

pub(super) const FAMILIES: &[Family] = families! {
    "scan: dashes of YAML", 20_000: |t, n| file(t, "a.yaml", &("- ".repeat(n) + "egress"));
    "scan: blocks of YAML", 1_000: |t, n| numbered(t, "a.yaml", "", n, |at| format!("{}egress:\n", " ".repeat(at)));
    "scan: blocks of Python", 1_000: |t, n| numbered(t, "a.py", "A = 'bot-bottle-egress-x'\n", n, |at| format!("{}if 1:\n", " ".repeat(at)));
    "scan: brackets of Python", 32_000: |t, n| file(t, "a.py", &format!("A = 'bot-bottle-egress-x'\nB = {}", "(".repeat(n)));
    "scan: a sum of strings", 32_000: |t, n| repeated(t, "a.py", "A = 'bot-bottle-egress-x'", " + 'egress'", n);
    "scan: joined lines", 65_000: |t, n| repeated(t, "a.py", "A = 'bot-bottle-egress-x'\n", "x = 1 + \\\n", n);
    "scan: lists that double", 200: |t, n| numbered(t, "a.py", "c0 = ['docker', 'rm', 'bot-bottle-egress-x']\n", n, |at| format!("c{} = [*c{at}, *c{at}]\nrun(c{at})\n", at + 1));
    "scan: hosts without a proxy", 60_000: |t, n| repeated(t, "a.env", "NO_PROXY=", "proxy,egress,", n);
    "scan: loops over one list", 2_000: |t, n| {
        let names = "'egress', ".repeat(n);
        numbered(t, "a.py", &format!("L = [{names}]\n"), n, |at| format!("for x{at} in L: f(f'bot-bottle-{{x{at}}}-y')\n"))
    };
    "scan: users on one line", 60_000: |t, n| repeated(t, "a.txt", "egress ", "http://a@", n);
    "scan: passwords on one line", 60_000: |t, n| repeated(t, "a.txt", "egress ", "password=abc ", n);
    "scan: a paragraph", 20_000: |t, n| repeated(t, "a.md", "", "The egress container starts before supervise. ", n);
    "scan: minified JSON", 20_000: |t, n| repeated(t, "a.json", "{\"a\":[", "{\"name\":\"bot-bottle-egress-x\"},", n);
    "scan: commands on one line", 30_000: |t, n| repeated(t, "a.sh", "", "docker rm bot-bottle-egress-x; ", n);
    "scan: names in one command", 40_000: |t, n| repeated(t, "a.sh", "docker rm", " bot-bottle-egress-x", n);
    "scan: fields of a format", 60_000: |t, n| file(t, "a.py", &format!("A = 'bot-bottle-egress-{}' % ({})", "%s ".repeat(n), "x, ".repeat(n)));
    "scan: braces of a template", 60_000: |t, n| repeated(t, "a.py", "A = 'egress'\nB = f'", "{A}-", n);
    "scan: strings in one list", 40_000: |t, n| file(t, "a.py", &format!("docker = [{}]", "'bot-bottle-egress-x', ".repeat(n)));
    "scan: strings in one assertion", 20_000: |t, n| file(t, "a.py", &format!("docker.assert_x({})", "'bot-bottle-egress-x', ".repeat(n)));
    "scan: statements on one line", 100_000: |t, n| repeated(t, "a.py", "A = 'bot-bottle-egress-x';", "x=1;", n);
    "scan: lines of a script", 20_000: |t, n| repeated(t, "a.sh", "", "docker rm bot-bottle-egress-x\n", n);
    "scan: lines of a Makefile", 20_000: |t, n| repeated(t, "Makefile", "x:\n", "\tdocker rm bot-bottle-egress-x\n", n);
    "scan: lines in a string", 20_000: |t, n| file(t, "a.py", &format!("A = '''\n{}'''\n", "docker rm bot-bottle-egress-x\n".repeat(n)));
    "scan: signals that are rewritten", 10_000: |t, n| numbered(t, "a.py", "import subprocess\n", n, |_| "subprocess.run(['docker', 'restart', 'bot-bottle-egress-x'])\n".to_owned());
    "scan: cases", 20_000: |t, n| file(t, "a.sh", &format!("case $1 in\n{}esac\n", "egress) docker rm bot-bottle-egress-x ;;\n".repeat(n)));
    "scan: pipelines", 20_000: |t, n| repeated(t, "a.sh", "docker rm bot-bottle-egress-x", " | grep egress", n);
    "scan: assignments", 20_000: |t, n| numbered(t, "a.sh", "", n, |at| format!("network{at}=bot-bottle-egress-x\n"));
    "scan: functions", 10_000: |t, n| numbered(t, "a.sh", "", n, |at| format!("d{at}() {{ docker \"$@\"; }}\nd{at} rm bot-bottle-egress-x\n"));
    "scan: loops without an end", 10_000: |t, n| numbered(t, "a.sh", "", n, |at| format!("for x{at} in egress supervise; docker rm bot-bottle-$x{at}-y\n"));
    "scan: loops", 10_000: |t, n| numbered(t, "a.sh", "", n, |at| format!("for x{at} in egress supervise; do docker rm bot-bottle-$x{at}-y; done\n"));
    "scan: commands of YAML", 10_000: |t, n| repeated(t, "a.yaml", "", "- [docker, rm, bot-bottle-egress-x]\n", n);
    "scan: blank lines", 500_000: |t, n| repeated(t, "a.txt", "docker rm bot-bottle-egress-x", "\n", n);
    "scan: open variables", 300_000: |t, n| repeated(t, "a.mk", "docker rm bot-bottle-egress-x ", "$(", n);
    "scan: suppressions", 10_000: |t, n| repeated(t, "a.sh", "", "docker rm bot-bottle-egress-x # bottle-migrate: keep — old\n", n);
    "scan: modules that pass on a name", 1_000: |t, n| {
        for at in 0..n {
            let import = if at == 0 { "from x import egress_container_name as n0".to_owned() } else { format!("from m{} import n0", at - 1) };
            t.write(&format!("m{at}.py"), format!("{import}\nn0(1)\n"));
        }
        vec!["scan-tests", "--format", "json"]
    };
    "scan: helpers that call each other", 5_000: |t, n| numbered(t, "a.py", "", n, |at| format!("def f{at}(slug):\n    return g(egress_container_name(slug), f{}(slug))\n", at + 1));
    "scan: bytes of Latin-1", 200_000: |t, n| {
        t.write("a.py", [b"# egress ".as_slice(), &b"\xe9\xe8a ".repeat(n)].concat());
        vec!["scan-tests", "--format", "json"]
    };
    "scan: filters on one line", 30_000: |t, n| repeated(t, "a.sh", "", "docker ps -f name=egress; ", n);
    "scan: assignments on one line", 30_000: |t, n| repeated(t, "a.sh", "", "name=bot-bottle-egress-x; ", n);
    "scan: names under a key", 40_000: |t, n| repeated(t, "a.json", "\"networks\": [\n", "\"bot-bottle-egress-x\",\n", n);
    "scan: images on one line", 30_000: |t, n| repeated(t, "a.sh", "docker push", " bot-bottle-egress", n);
    "scan: counts on one line", 15_000: |t, n| repeated(t, "a.txt", "egress ", "--services len(services) == 5 ", n);
    "scan: keys that are counted", 15_000: |t, n| repeated(t, "a.txt", "egress ", "services).keys( services.length == 5 ", n);
    "scan: formats on one line", 15_000: |t, n| repeated(t, "a.txt", "egress ", "bot-bottle-%s bot-bottle-{svc}-x ", n);
    "scan: blocks on one line", 15_000: |t, n| repeated(t, "a.rb", "egress ", "[ all.each do |svc| ", n);
    "scan: names of a loop on one line", 15_000: |t, n| repeated(t, "a.sh", "for svc in egress supervise; do ", "docker rm bot-bottle-$svc-x; ", n);
    "scan: names of a loop in one call", 15_000: |t, n| file(t, "a.py", &format!("for svc in ('egress', 'supervise'): f({})", "f'bot-bottle-{svc}-x', ".repeat(n)));
    "scan: strings in one decorator", 20_000: |t, n| file(t, "a.py", &format!("@mark.parametrize('x', [{}])\ndef f(x): pass", "'bot-bottle-egress-x', ".repeat(n)));
    "scan: strings of many targets", 15_000: |t, n| file(t, "a.py", &format!("{} = {{{}}}", "a, ".repeat(n), "'name': 'bot-bottle-egress-x', ".repeat(n)));
    "scan: lines of TypeScript", 15_000: |t, n| repeated(t, "a.ts", "", "run(`docker rm bot-bottle-egress-${slug}`); // egress\n", n);
    "scan: lines of a Dockerfile", 20_000: |t, n| repeated(t, "Dockerfile", "", "RUN docker rm bot-bottle-egress-x\n", n);
    "scan: tests that a document names", 10_000: |t, n| numbered(t, "a.md", "", n, |at| format!("- tests/test_egress_{at}.py\n"));
};
