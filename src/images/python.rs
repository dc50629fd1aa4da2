//! Imports of the Python modules that an image copies: each must be there.

use std::collections::BTreeSet;

use tree_sitter::{Node, Parser};

use super::context::Context;
use super::facts::{ImageFacts, Manager, Origin};
use super::{packages, upstream};

/// The standard library of Python 3.13 (`sys.stdlib_module_names`), less what is private.
const STANDARD: &str = "__future__ __main__ _thread abc antigravity argparse array ast asyncio atexit base64 bdb binascii bisect \
    builtins bz2 cProfile calendar cmath cmd code codecs codeop collections colorsys compileall concurrent \
    configparser contextlib contextvars copy copyreg csv ctypes curses dataclasses datetime dbm decimal difflib \
    dis doctest email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch fractions ftplib \
    functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http idlelib \
    imaplib importlib inspect io ipaddress itertools json keyword linecache locale logging lzma mailbox marshal \
    math mimetypes mmap modulefinder msvcrt multiprocessing netrc nt ntpath nturl2path numbers opcode operator \
    optparse os pathlib pdb pickle pickletools pkgutil platform plistlib poplib posix posixpath pprint profile \
    pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource \
    rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtplib socket socketserver \
    sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess symtable \
    sys sysconfig syslog tabnanny tarfile tempfile termios textwrap this threading time timeit tkinter token \
    tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib \
    uuid venv warnings wave weakref webbrowser winreg winsound wsgiref xml xmlrpc zipapp zipfile zipimport zlib \
    zoneinfo";

/// Distributions whose module goes by another name (their metadata, `top_level.txt`).
const DISTRIBUTIONS: &[(&str, &str)] = &[
    ("attrs", "attr"),
    ("beautifulsoup4", "bs4"),
    ("brotli", "brotli"),
    ("gitpython", "git"),
    ("msgpack-python", "msgpack"),
    ("opencv-python", "cv2"),
    ("pillow", "PIL"),
    ("protobuf", "google"),
    ("psycopg2-binary", "psycopg2"),
    ("pycryptodome", "Crypto"),
    ("pyjwt", "jwt"),
    ("pyopenssl", "OpenSSL"),
    ("python-dateutil", "dateutil"),
    ("python-dotenv", "dotenv"),
    ("pyyaml", "yaml"),
    ("ruamel-yaml", "ruamel"),
    ("scikit-learn", "sklearn"),
];

/// A module longer than this, in bytes, is not looked into.
const LONG: usize = 4 << 20;
/// A module with lines indented deeper than this, or more brackets open at once, is not looked into: the grammar climbs
/// its own stack.
const DEEP: usize = 200;

/// An import that nothing in the image provides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MissingImport {
    /// The importing module, in the image.
    pub path: String,
    /// Its file in the build context.
    pub source: String,
    /// Line of the import, from 1; 0: the module could not be looked into.
    pub line: usize,
    /// What it imports.
    pub module: String,
}

/// Every import that is missing, in the order of the paths.
pub(super) fn missing(facts: &ImageFacts, context: &Context<'_>) -> Vec<MissingImport> {
    let mut missing = Vec::new();
    let provided = provided(facts);
    for (path, fact) in &facts.paths {
        let Origin::Context(source) = &fact.value.origin else { continue };
        if path.rsplit_once('.').is_none_or(|(_, end)| end != "py") {
            continue;
        }
        let mut report = |line, module: &str| {
            missing.push(MissingImport {
                path: path.clone(),
                source: source.clone(),
                line,
                module: module.to_owned(),
            });
        };
        let Some(imports) = context.text(source).as_deref().and_then(imports) else {
            report(0, "");
            continue;
        };
        for import in imports {
            let found = match import.level {
                0 => absolute(facts, path, &import.module, &provided),
                level => relative(facts, path, level, &import),
            };
            if !found {
                report(import.line, &import.spelled());
            }
        }
    }
    missing
}

/// An import of a module.
#[derive(Debug, PartialEq, Eq)]
struct Import {
    /// Leading dots.
    level: usize,
    module: String,
    /// Names of `from . import a, b`.
    names: Vec<String>,
    line: usize,
}

impl Import {
    fn spelled(&self) -> String {
        let dots = ".".repeat(self.level);
        if self.module.is_empty() {
            format!("{dots}{}", self.names.join(", "))
        } else {
            format!("{dots}{}", self.module)
        }
    }
}

/// Top-level names of packages that are installed or part of the base image.
fn provided(facts: &ImageFacts) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = STANDARD.split_whitespace().map(ToOwned::to_owned).collect();
    if let Some(base) = &facts.base {
        let modules = upstream::layers(&base.value).flat_map(|layer| layer.modules);
        names.extend(modules.map(|module| (*module).to_owned()));
    }
    for (manager, name) in facts.packages.keys() {
        let name = match manager {
            Manager::Pip => name.clone(),
            // Debian and Alpine name a module's package after it.
            Manager::Apt | Manager::Apk => {
                match name.strip_prefix("python3-").or_else(|| name.strip_prefix("py3-")) {
                    Some(name) => packages::normalized(name),
                    None => continue,
                }
            }
        };
        let other = DISTRIBUTIONS.iter().find(|(distribution, _)| *distribution == name);
        names.insert(other.map_or_else(|| name.replace('-', "_"), |(_, module)| (*module).to_owned()));
    }
    names
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether a folder has a module or a package of that name.
fn holds(facts: &ImageFacts, folder: &str, module: &str) -> bool {
    let path = format!("{folder}/{}", module.replace('.', "/"));
    let below = format!("{path}/");
    facts.paths.contains_key(&format!("{path}.py"))
        || facts.paths.range(below.clone()..).next().is_some_and(|(known, _)| known.starts_with(&below))
}

fn absolute(facts: &ImageFacts, path: &str, module: &str, provided: &BTreeSet<String>) -> bool {
    let top = module.split('.').next().unwrap_or(module);
    // The folder of the script that was started: that of this file, or the one above its packages.
    let mut root = folder(path);
    while facts.paths.contains_key(&format!("{root}/__init__.py")) {
        root = folder(root);
    }
    let path_variable = facts.environment.get("PYTHONPATH").map_or("", |fact| &fact.value);
    let workdir = facts.workdir.as_ref().map_or("", |fact| &fact.value);
    let mut roots =
        [folder(path), root, workdir.trim_end_matches('/')].into_iter().chain(path_variable.split(':'));
    if let Some(root) = roots.find(|root| holds(facts, root, top)) {
        // A package that was copied has to hold what is named in it.
        return holds(facts, root, module) || !module.contains('.') || module_file(facts, root, module);
    }
    provided.contains(top)
}

/// Whether all but the last part is a module, which may define the last as a name.
fn module_file(facts: &ImageFacts, root: &str, module: &str) -> bool {
    module.rsplit_once('.').is_some_and(|(parent, _)| {
        facts.paths.contains_key(&format!("{root}/{}.py", parent.replace('.', "/")))
    })
}

fn relative(facts: &ImageFacts, path: &str, level: usize, import: &Import) -> bool {
    let mut root = folder(path);
    for _ in 1..level {
        root = folder(root);
    }
    if import.module.is_empty() {
        // A name of `from . import name` may also be one that the package itself defines.
        return facts.paths.contains_key(&format!("{root}/__init__.py"))
            || import.names.iter().all(|name| holds(facts, root, name));
    }
    holds(facts, root, &import.module) || module_file(facts, root, &import.module)
}

/// The imports that a module needs: not those of type checkers, nor those that it can do without.
fn imports(text: &str) -> Option<Vec<Import>> {
    let deep = text.len() > LONG || too_deep(text);
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).ok()?;
    let tree = if deep { None } else { parser.parse(text, None) }?;
    let mut imports = Vec::new();
    let mut nodes = vec![tree.root_node()];
    while let Some(node) = nodes.pop() {
        match node.kind() {
            "import_statement" | "import_from_statement" => read(node, text, &mut imports),
            "call" => called(node, text, &mut imports),
            "if_statement" if for_types(node, text) => {
                nodes.extend(node.child_by_field_name("alternative"));
                continue;
            }
            "try_statement" if guarded(node, text) => {
                let mut cursor = node.walk();
                let body = node.child_by_field_name("body").map(|body| body.id());
                nodes.extend(node.named_children(&mut cursor).filter(|child| Some(child.id()) != body));
                continue;
            }
            _ => {}
        }
        let mut cursor = node.walk();
        nodes.extend(node.named_children(&mut cursor));
    }
    imports.sort_by_key(|import| import.line);
    Some(imports)
}

fn too_deep(text: &str) -> bool {
    let (mut open, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    let indent = text.lines().map(|line| line.len() - line.trim_start().len()).max().unwrap_or(0);
    deepest > DEEP || indent > DEEP
}

fn source<'t>(node: Node<'_>, text: &'t str) -> &'t str {
    text.get(node.byte_range()).unwrap_or_default()
}

fn read(node: Node<'_>, text: &str, imports: &mut Vec<Import>) {
    let line = node.start_position().row + 1;
    let mut cursor = node.walk();
    let names = node.children_by_field_name("name", &mut cursor).map(|name| {
        let name = name.child_by_field_name("name").unwrap_or(name);
        source(name, text).split_whitespace().collect::<String>()
    });
    let names: Vec<String> = names.collect();
    if node.kind() == "import_statement" {
        imports.extend(names.into_iter().map(|module| Import { level: 0, module, names: Vec::new(), line }));
        return;
    }
    let Some(from) = node.child_by_field_name("module_name") else { return };
    let spelled: String = source(from, text).split_whitespace().collect();
    let module = spelled.trim_start_matches('.');
    imports.push(Import { level: spelled.len() - module.len(), module: module.to_owned(), names, line });
}

/// `importlib.import_module("x")` and `__import__("x")` with a literal.
fn called(node: Node<'_>, text: &str, imports: &mut Vec<Import>) {
    let function = node.child_by_field_name("function").map_or("", |function| source(function, text));
    if !matches!(function, "importlib.import_module" | "import_module" | "__import__") {
        return;
    }
    let argument = node.child_by_field_name("arguments").and_then(|arguments| arguments.named_child(0));
    if let Some(argument) = argument.filter(|argument| argument.kind() == "string") {
        let module = source(argument, text).trim_matches(['"', '\'']).to_owned();
        if !module.is_empty()
            && module.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
            && !module.starts_with('.')
        {
            imports.push(Import { level: 0, module, names: Vec::new(), line: node.start_position().row + 1 });
        }
    }
}

/// `if TYPE_CHECKING:`, which only type checkers enter.
fn for_types(node: Node<'_>, text: &str) -> bool {
    let condition = node.child_by_field_name("condition").map_or("", |condition| source(condition, text));
    matches!(condition.trim_matches(['(', ')']), "TYPE_CHECKING" | "typing.TYPE_CHECKING" | "False")
}

/// `try:` whose handlers expect that an import fails.
fn guarded(node: Node<'_>, text: &str) -> bool {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).filter(|child| child.kind() == "except_clause").any(|clause| {
        let caught = clause.child_by_field_name("value").map_or("", |value| source(value, text));
        let words = caught.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let names = ["ImportError", "ModuleNotFoundError", "Exception", "BaseException"];
        caught.is_empty() && source(clause, text).starts_with("except:")
            || words.into_iter().any(|word| names.contains(&word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(text: &str) -> String {
        imports(text).map_or("(unread)".to_owned(), |imports| {
            imports
                .iter()
                .map(|import| format!("{}@{}", import.spelled(), import.line))
                .collect::<Vec<_>>()
                .join(" ")
        })
    }

    #[test]
    fn imports_are_found_wherever_they_run() {
        for (text, expected) in [
            ("import a, b.c as d\n", "a@1 b.c@1"),
            ("from a.b import c\nfrom . import x, y\nfrom ..p import q\n", "a.b@1 .x, y@2 ..p@3"),
            ("def f():\n    import late\n", "late@2"),
            ("class C:\n  def m(self):\n    from q import *\n", "q@3"),
            ("from __future__ import annotations\nimport a\n", "a@2"),
            ("import importlib\nimportlib.import_module('z.w')\n", "importlib@1 z.w@2"),
            ("if TYPE_CHECKING:\n    import t\nelse:\n    import e\n", "e@4"),
            ("try:\n    import fast\nexcept ImportError:\n    import slow\n", "slow@4"),
            ("try:\n    import fast\nexcept (ModuleNotFoundError, OSError):\n    pass\n", ""),
            ("try:\n    import x\nexcept OSError:\n    pass\n", "x@2"),
            ("try:\n    import x\nfinally:\n    pass\n", "x@2"),
            ("text = 'import no'\n# import no\n", ""),
        ] {
            assert_eq!(modules(text), expected, "{text}");
        }
        assert_eq!(modules(&"(".repeat(100_000)), "(unread)");
    }
}
