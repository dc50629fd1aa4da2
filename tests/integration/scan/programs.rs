//! `--fix` never changes what a program does to a container: programs are generated, rewritten, and run with a `docker`
//! that records its arguments, before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scan;

const NAME: &str = "bot-bottle-egress-demo";
const BUNDLE: &str = "bot-bottle-sidecars-demo";

/// Docker commands: the words before the container's name, what follows the name in its own word, and the words after.
const COMMANDS: [(&[&str], &str, &[&str]); 32] = [
    (&["restart"], "", &[]),
    (&["restart", "-t", "5"], "", &[]),
    (&["stop"], "", &[]),
    (&["kill"], "", &[]),
    (&["kill", "--signal", "HUP"], "", &[]),
    (&["kill", "-s", "USR1"], "", &[]),
    (&["kill", "--signal=HUP"], "", &[]),
    (&["rm", "-f"], "", &[]),
    (&["pause"], "", &[]),
    (&["unpause"], "", &[]),
    (&["update", "--memory", "1g"], "", &[]),
    (&["rename"], "", &["other"]),
    (&["wait"], "", &[]),
    (&["commit"], "", &[]),
    (&["export"], "", &[]),
    (&["start"], "", &[]),
    (&["logs"], "", &[]),
    (&["inspect"], "", &[]),
    (&["top"], "", &[]),
    (&["exec"], "", &["true"]),
    (&["exec"], "", &["cat", "/etc/egress.yaml"]),
    (&["exec"], "", &["kill", "-HUP", "1"]),
    (&["exec"], "", &["sh", "-c", "kill 1"]),
    (&["exec"], "", &["cat", "/proc/1/status"]),
    (&["exec"], "", &["env"]),
    (&["exec"], "", &["id"]),
    (&["exec"], "", &["whoami"]),
    (&["exec"], "", &["ps"]),
    (&["exec"], "", &["touch", "/etc/x"]),
    (&["exec", "-u", "root"], "", &["ls", "/etc"]),
    (&["cp"], ":/etc/egress.yaml", &["copy"]),
    (&["cp", "copy"], ":/etc/egress.yaml", &[]),
];

/// How a name gets into a command in Python: `B` are the words before it, `N` the name, `A` the words after it, `V`
/// all words as one text with `{}` for the name.
const PYTHON: [&str; 43] = [
    "subprocess.run([B, N, A])",
    "subprocess.check_call([B, N, A], timeout=60)",
    "run([B, N, A], check=False)",
    "def act():\n    if slug:\n        subprocess.run([\n            B,\n            N,\n            A\n        ])\nact()",
    "name = N\nsubprocess.run([B, name, A])",
    "name: str = N\nother = name\nsubprocess.run([B, other, A])",
    "def act(name):\n    subprocess.run([B, name, A])\nact(N)",
    "def act(*, name):\n    subprocess.run([B, name, A])\nact(name=N)",
    "def act(name=N):\n    subprocess.run([B, name, A])\nact()",
    "class T: pass\nt = T()\nt.name = N\nsubprocess.run([B, t.name, A])",
    "class T:\n    name = N\nsubprocess.run([B, T.name, A])",
    "class T:\n    def __init__(self):\n        self.name = N\n    def act(self):\n        subprocess.run([B, self.name, A])\nT().act()",
    "d = {'n': N}\nsubprocess.run([B, d['n'], A])",
    "for name in [N]:\n    subprocess.run([B, name, A])",
    "[subprocess.run([B, name, A]) for name in (N,)]",
    "cmd = [B]\ncmd.append(N)\ncmd += [A]\nsubprocess.run(cmd)",
    "cmd = [B, N, A]\nsubprocess.run(cmd)",
    "cmd = [B, N, A]\nsubprocess.run(cmd)\nsubprocess.run(['docker', 'stop', cmd[-1]])",
    "subprocess.run([B] + [N] + [A])",
    "subprocess.run([B, *[N], A])",
    "def name():\n    return N\nsubprocess.run([B, name(), A])",
    "name = N\nsubprocess.run('V'.format(name), shell=True)",
    "subprocess.run('V'.format(N), shell=True)",
    "os.system('V'.replace('{}', N))",
    "os.system('L')",
    "subprocess.run('L', shell=True)",
    "name = N if slug else 'x'\nsubprocess.run([B, name, A])",
    "name = (lambda: N)()\nsubprocess.run([B, name, A])",
    "name, rest = N, 1\nsubprocess.run([B, name, A])",
    "subprocess.run([B, (name := N), A])\nsubprocess.run(['docker', 'stop', name])",
    "words = ('docker', N)\nsubprocess.run([B, words[1], A])",
    "out = subprocess.run([B, N, A], capture_output=True, text=True).stdout.strip()\nsubprocess.run(['docker', 'restart', out])",
    "out = subprocess.check_output([B, N, A], text=True).strip()\nsubprocess.run(['docker', 'restart', out])",
    "def docker(*words):\n    subprocess.run(['docker', *words])\n    subprocess.run(['docker', 'stop', words[-1]])\ndocker(*[B][1:], N, A)",
    "class Fake:\n    def run(self, words):\n        import subprocess as real\n        real.run(['docker', 'stop', words[-1]])\nsubprocess = Fake()\nsubprocess.run([B, N, A])",
    "def run(words):\n    subprocess.run(['docker', 'stop', words[-1]])\nrun([B, N, A])",
    "real = subprocess.run\nsubprocess.run = lambda words: real(['docker', 'stop', words[-1]])\nsubprocess.run([B, N, A])\nsubprocess.run = real",
    "os.environ['X'] = N\nsubprocess.run('V'.format('$X'), shell=True)",
    "host = urlparse('http://egress:9099/x').hostname\nsubprocess.run([B, f'bot-bottle-{host}-{slug}X', A])",
    "HOST = 'egress'\nsubprocess.run([B, f'bot-bottle-{HOST}-{slug}X', A])",
    "def act(host='egress'):\n    subprocess.run([B, f'bot-bottle-{host}-{slug}X', A])\nact()",
    "name_of = lambda slug: N\nsubprocess.run([B, name_of(slug), A])",
    "global_name = None\ndef first():\n    global global_name\n    global_name = N\nfirst()\nsubprocess.run([B, global_name, A])",
];

/// Expressions for the name in Python; what is behind the name in its word is `X`.
const NAMES: [&str; 4] = [
    "'bot-bottle-egress-demoX'",
    "f'bot-bottle-egress-{slug}X'",
    "egress_container_name(slug)X",
    "'bot-bottle-%s-%sX' % ('egress', slug)",
];

/// Of the ways in Python, those in which the whole command is in sight.
const WHOLE: usize = 4;

/// How a name gets into a command in a shell script: `V` is the whole command with `{}` for the name.
const SHELL: [&str; 26] = [
    "V:bot-bottle-egress-demo",
    "V:\"bot-bottle-egress-$SLUG\"",
    "if true; then V:bot-bottle-egress-demo; fi",
    "act() {\n  V:\"bot-bottle-egress-$1\" >/dev/null 2>&1\n}\nact demo",
    "name=bot-bottle-egress-demo\nV:$name",
    "name=\"bot-bottle-egress-$SLUG\"\nV:\"$name\"",
    "act() {\n  V:\"$1\"\n}\nact bot-bottle-egress-demo",
    "act() {\n  V:\"${1:-bot-bottle-egress-demo}\"\n}\nact; act bot-bottle-pipelock-demo",
    "for name in bot-bottle-egress-demo; do V:$name; done",
    "names=(bot-bottle-egress-demo)\nV:\"${names[0]}\"",
    "V:$(echo bot-bottle-egress-demo)",
    "command=\"V:bot-bottle-egress-demo\"\n$command\ndocker stop ${command##* }",
    "eval \"V:bot-bottle-egress-demo\"",
    "export X=bot-bottle-egress-demo\nsh -c 'V:$X'",
    "echo bot-bottle-egress-demo | while read name; do V:$name; done",
    "docker stop $(V:bot-bottle-egress-demo)",
    "V:bot-bottle-egress-demo | xargs docker restart",
    "V:bot-bottle-egress-demo\ndocker stop $_",
    "url=http://egress:9099\nhost=${url#http://}\nhost=${host%:*}\nV:bot-bottle-$host-demo",
    "host=egress\nV:bot-bottle-$host-demo",
    "d() { docker \"$@\"; docker stop \"${!#}\"; }\nd V2:bot-bottle-egress-demo",
    "docker() { command docker stop \"${!#}\"; }\nV:bot-bottle-egress-demo",
    "alias x=docker\nname=bot-bottle-egress-demo; V:\"$name\" && V:bot-bottle-agent-demo",
    "sh <<EOF\nV:bot-bottle-egress-demo\nEOF",
    "set -- bot-bottle-egress-demo\nV:\"$1\"",
    "V:bot-bottle-egress-demo >out\ndocker stop $(cat out)",
];

/// A program that was generated.
struct Program {
    file: String,
    text: String,
    /// What the name travels by.
    way: usize,
    python: bool,
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ")
}

/// A command as a shell has it.
fn shelled((before, behind, after): (&[&str], &str, &[&str]), lead: &str, name: &str) -> String {
    let word = |word: &&str| if word.contains(' ') { format!("\"{word}\"") } else { (*word).to_owned() };
    let name = match name.strip_suffix('"') {
        Some(name) => format!("{name}{behind}\""),
        None => format!("{name}{behind}"),
    };
    let words = before.iter().map(word).chain([name]).chain(after.iter().map(word));
    lead.split(' ')
        .filter(|lead| !lead.is_empty())
        .map(str::to_owned)
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The header of a Python program in a tree of one of three kinds.
fn header(relative: bool) -> String {
    let module = if relative { ".names" } else { "app.names" };
    format!(
        "import os\nimport subprocess\nfrom subprocess import run\nfrom urllib.parse import urlparse\n\n\
         from {module} import egress_container_name\n\nslug = 'demo'\n"
    )
}

/// Every way of a name into every command.
fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for command in COMMANDS {
        let (before, behind, after) = command;
        let first = [&["docker"], before].concat();
        for (way, template) in PYTHON.iter().enumerate() {
            // The first ways are written with every kind of name, the others with one of them.
            let kinds = if way < WHOLE { NAMES.len() } else { 1 };
            for kind in 0..kinds {
                let name = NAMES[(kind + way + programs.len()) % NAMES.len()];
                let number = programs.len();
                let helper = name.ends_with(")X");
                let name = match (helper, behind.is_empty()) {
                    (true, false) => name.replace('X', &format!(" + '{behind}'")),
                    _ => name.replace('X', behind),
                };
                let after = if after.is_empty() { String::new() } else { quoted(after) };
                let line = shelled(command, "docker", NAME);
                let text = shelled(command, "docker", "{}");
                let mut body = template.replace(", A", if after.is_empty() { "" } else { ", A" });
                for (mark, value) in
                    [("B", quoted(&first)), ("N", name.clone()), ("A", after), ("V", text), ("L", line)]
                {
                    body = replaced(&body, mark, &value);
                }
                let body = body.replace("}X'", &format!("}}{behind}'"));
                // Half of the trees import by a relative name.
                let text = header(number % 2 == 0) + &body + "\n";
                let file = format!("app/p{number}.py");
                programs.push(Program { file, text, way, python: true });
            }
        }
        for (way, template) in SHELL.iter().enumerate() {
            let number = programs.len();
            let mut text = String::from("SLUG=demo\n");
            let mut rest = *template;
            while let Some(at) = rest.find("V:").into_iter().chain(rest.find("V2:")).min() {
                let lead = if rest[at..].starts_with("V2:") { "" } else { "docker" };
                let name = rest[at..].split_once(':').map_or("", |(_, name)| name);
                let end = if name.starts_with("$(") {
                    name.find(')').map_or(name.len(), |end| end + 1)
                } else {
                    name.find(['\n', ';', ' ', ')', '\'']).unwrap_or(name.len())
                };
                let open = rest[..at].ends_with('"') && !name.starts_with('"');
                let end = if open { name[..end].trim_end_matches('"').len() } else { end };
                text += &rest[..at];
                let words = shelled(command, lead, &name[..end]);
                text += &if open { words.replace('"', "'") } else { words };
                rest = &name[end..];
            }
            text = text + rest + "\n";
            programs.push(Program { file: format!("bin/p{number}.sh"), text, way, python: false });
        }
    }
    programs
}

/// Replaces a mark that is a word of its own.
fn replaced(text: &str, mark: &str, value: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(mark) {
        let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let whole =
            !letter(rest[..at].chars().next_back()) && !letter(rest[at + mark.len()..].chars().next());
        out += &rest[..at];
        out += if whole { value } else { mark };
        rest = &rest[at + mark.len()..];
    }
    out + rest
}

/// The kinds of trees: the module of the helpers defines the bundle's too, the one beside it does, none does.
fn modules(kind: usize) -> Vec<(&'static str, String)> {
    let helper = "def egress_container_name(slug):\n    return 'bot-' + f'bottle-egress-{slug}'\n";
    let bundle = "def sidecar_bundle_container_name(slug):\n    return f'bot-bottle-sidecars-{slug}'\n";
    let mut files = vec![("app/__init__.py", String::new())];
    match kind {
        0 => files.push(("app/names.py", format!("{helper}\n\n{bundle}"))),
        1 => files.extend([("app/names.py", helper.to_owned()), ("app/bundle.py", bundle.to_owned())]),
        _ => files.push(("app/names.py", helper.to_owned())),
    }
    files
}

const RECORDER: &str =
    "#!/bin/sh\n{ for word; do printf '%s\\037' \"$word\"; done; echo; } >> \"$DOCKER_LOG\"\necho recorded\n";

const RUNNER: &str = "\
import importlib, os, subprocess, sys
logs = sys.argv[1]
sys.path.insert(0, os.getcwd())
for name in sys.stdin.read().split():
    os.environ['DOCKER_LOG'] = os.path.join(logs, os.path.basename(name))
    try:
        if name.endswith('.py'):
            importlib.import_module(name[:-3].replace('/', '.'))
        else:
            subprocess.run(['bash', name], check=True, stdout=subprocess.DEVNULL)
    except BaseException as error:
        print(name, repr(error))
";

/// What each program has docker do: the words of each command.
type Recorded = BTreeMap<String, Vec<Vec<String>>>;

/// Runs programs of a tree; every one has to end well.
fn recorded(root: &Path, bin: &Path, programs: &BTreeSet<&str>) -> Recorded {
    let logs = tempfile::tempdir().unwrap();
    let list = logs.path().join("list");
    fs::write(&list, programs.iter().copied().collect::<Vec<_>>().join("\n")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("python3")
        .args(["-B", "-c", RUNNER])
        .arg(logs.path())
        .current_dir(root)
        .env("PATH", path)
        .stdin(fs::File::open(&list).unwrap())
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stdout).replace("recorded\n", "");
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read = |program: &&str| {
        let log = logs.path().join(Path::new(program).file_name().unwrap());
        let text = fs::read_to_string(log).unwrap_or_default();
        let words = |line: &str| line.split_terminator('\u{1f}').map(str::to_owned).collect();
        ((*program).to_owned(), text.lines().map(words).collect())
    };
    programs.iter().map(read).collect()
}

/// What does the same to the one daemon in the bundle, if anything does.
fn translated(words: &[String]) -> Option<Vec<String>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let same: Vec<&str> = match words.as_slice() {
        ["restart", NAME] => vec!["exec", BUNDLE, "sidecar-init", "restart", "egress"],
        ["kill", "--signal" | "-s", signal, NAME] => {
            vec!["exec", BUNDLE, "sidecar-init", "signal", "egress", signal]
        }
        ["kill", "--signal=HUP", NAME] => vec!["exec", BUNDLE, "sidecar-init", "signal", "egress", "HUP"],
        ["exec", NAME, "true"] => vec!["exec", BUNDLE, "true"],
        ["exec", NAME, "cat", "/etc/egress.yaml"] => vec!["exec", BUNDLE, "cat", "/etc/egress.yaml"],
        ["cp", "bot-bottle-egress-demo:/etc/egress.yaml", "copy"] => {
            vec!["cp", "bot-bottle-sidecars-demo:/etc/egress.yaml", "copy"]
        }
        _ => return None,
    };
    Some(same.into_iter().map(str::to_owned).collect())
}

/// Whether commands do what they did before, and no more.
fn same(before: &[Vec<String>], after: &[Vec<String>]) -> bool {
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(before, after)| before == after || translated(before).as_ref() == Some(after))
}

/// A tree of programs, and the files in it.
fn planted(kind: usize, programs: &[&Program]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (name, text) in modules(kind) {
        write(name, &text);
    }
    for program in programs {
        write(&program.file, &program.text);
    }
    folder
}

fn recorder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker");
    fs::write(&path, RECORDER).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let bin = folder.path().to_owned();
    (folder, bin)
}

#[test]
fn a_rewritten_program_does_what_it_did() {
    let programs = programs();
    assert!(programs.len() >= 2000, "{} programs", programs.len());
    let (_recorder, bin) = recorder();
    let mut rewritten = BTreeMap::new();
    for kind in 0..3 {
        // What the tree defines matters to the helpers alone.
        let helpers = |program: &&Program| kind == 0 || program.python && program.way < WHOLE;
        let programs: Vec<&Program> = programs.iter().filter(helpers).collect();
        let folder = planted(kind, &programs);
        let root = folder.path();
        let read = |program: &&Program| fs::read_to_string(root.join(&program.file)).unwrap();
        scan(root, &["--fix", "--quiet"]);
        let after: Vec<String> = programs.iter().map(read).collect();
        let changed: Vec<_> =
            programs.iter().zip(&after).filter(|(program, after)| program.text != **after).collect();
        for (name, text) in modules(kind) {
            assert_eq!(fs::read_to_string(root.join(name)).unwrap(), text, "{name} was rewritten");
        }
        let files: BTreeSet<&str> = changed.iter().map(|(program, _)| program.file.as_str()).collect();
        // A program that is not rewritten does what it did.
        let now = recorded(root, &bin, &files);
        let before = recorded(planted(kind, &programs).path(), &bin, &files);
        for (program, after) in &changed {
            let (before, now) = (&before[&program.file], &now[&program.file]);
            assert!(
                !before.is_empty() && same(before, now),
                "{before:?}\n{now:?}\n{}\n{after}",
                program.text
            );
        }
        scan(root, &["--fix", "--quiet"]);
        let again: Vec<String> = programs.iter().map(read).collect();
        assert!(again == after, "a second --fix rewrites more");
        rewritten.insert(
            kind,
            changed.iter().map(|(program, _)| (program.python, program.way)).collect::<Vec<_>>(),
        );
    }
    // Commands that are written out in full are rewritten, by helpers too where the bundle's is defined.
    let direct = |kind: usize, python: bool, way: usize| {
        rewritten[&kind].iter().filter(|found| **found == (python, way)).count()
    };
    assert!(
        direct(0, true, 0) >= 15 && direct(1, true, 0) >= 15 && direct(2, true, 0) >= 10,
        "{rewritten:?}"
    );
    assert!(direct(0, true, 0) > direct(2, true, 0), "no helper was rewritten");
    assert!(direct(0, false, 0) >= 6 && direct(0, false, 1) >= 6, "{rewritten:?}");
}

#[test]
fn every_generated_program_acts_and_a_mechanical_rename_does_not_pass() {
    let programs = programs();
    let all: Vec<&Program> = programs.iter().collect();
    let folder = planted(0, &all);
    let (_recorder, bin) = recorder();
    let ways = PYTHON.len() + WHOLE * (NAMES.len() - 1) + SHELL.len();
    let restarts: BTreeSet<&str> = programs[..ways].iter().map(|program| program.file.as_str()).collect();
    let seen = recorded(folder.path(), &bin, &restarts);
    for (file, commands) in seen {
        let named = commands.iter().flatten().any(|word| word.contains(NAME));
        assert!(named, "{file} names no sidecar: {commands:?}");
        let renamed: Vec<Vec<String>> = commands
            .iter()
            .map(|words| words.iter().map(|word| word.replace("-egress-", "-sidecars-")).collect())
            .collect();
        assert!(!same(&commands, &renamed), "{file}");
        assert!(same(&commands, &commands), "{file}");
    }
}
