//! `bottle-migrate.toml`: what a target says about itself. Optional; without it the defaults apply.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use bottle_model::handshake::variable_form;
use bottle_model::images;
use bottle_model::nearest::nearest;
use bottle_model::place::line_and_column;
use bottle_model::plan::Slug;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::files;
use crate::flag::Shape;
use crate::rule::RuleId;
use crate::waiver::{self, Waiver};

/// Name of the file, at the target's root.
pub const FILE: &str = "bottle-migrate.toml";

/// What `bottle-migrate.toml` says, defaults filled in.
#[derive(Debug, Default)]
pub struct Config {
    /// `[names]`.
    pub names: Names,
    /// `[flag]`.
    pub flag: Flag,
    /// `[plans]`.
    pub plans: Plans,
    /// `[compare]`.
    pub compare: Compare,
    /// `[scan]`.
    pub scan: Scan,
    /// `[flip]`.
    pub flip: Flip,
    /// `[images]`: daemon or service → Dockerfile of its image, below the root.
    pub images: std::collections::BTreeMap<String, String>,
    /// `[[waiver]]`.
    pub waivers: Vec<Waiver>,
}

/// Name of the flag where names have the usual prefix.
const FLAG: &str = "BOT_BOTTLE_SIDECAR_BUNDLE";

/// The file as it is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Config")]
struct Written {
    names: Names,
    flag: Flag,
    plans: Plans,
    compare: Compare,
    scan: Scan,
    flip: Flip,
    /// Daemon or service → Dockerfile of its image, below the root.
    images: std::collections::BTreeMap<String, String>,
    waiver: Vec<WrittenWaiver>,
}

/// Names that differ from one project to another.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// What names of containers, networks, images and variables begin with: `bot-bottle`, and so `BOT_BOTTLE_…`.
    #[schemars(with = "Option<String>")]
    prefix: Option<Spanned<Slug>>,
}

impl Names {
    /// What names begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.prefix.as_ref().map_or(images::PREFIX, |prefix| prefix.get_ref().as_str())
    }
}

/// The flag that decides the shape.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flag {
    /// Name of the environment variable.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Shape while the variable is unset.
    pub default: Shape,
}

impl Flag {
    /// Name of the environment variable.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.get_ref()
    }
}

impl Default for Flag {
    fn default() -> Self {
        Self { name: Spanned::new(0..0, FLAG.to_owned()), default: Shape::Legacy }
    }
}

/// Where the target keeps its plans.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plans {
    /// Globs below the root.
    #[schemars(with = "Vec<String>")]
    pub include: Vec<Spanned<String>>,
}

impl Default for Plans {
    fn default() -> Self {
        Self { include: vec![Spanned::new(0..0, "plans/**/*.json".to_owned())] }
    }
}

/// Compose files that `diff` compares when it is given none, and `flip-default` too.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Compare {
    /// Compose file of the legacy shape, then its overrides.
    #[schemars(with = "Vec<String>")]
    pub legacy: Vec<Spanned<String>>,
    /// Compose file of the bundle, then its overrides; empty: the bundle is made of the legacy shape.
    #[schemars(with = "Vec<String>")]
    pub bundle: Vec<Spanned<String>>,
    /// Map file, for these files and for what `diff` and `render` are given without `--map`.
    #[schemars(with = "Option<String>")]
    pub map: Option<Spanned<String>>,
}

impl Compare {
    /// Files below the root.
    #[must_use]
    pub fn below(root: &Path, named: &[Spanned<String>]) -> Vec<PathBuf> {
        named.iter().map(|file| files::tidy(&root.join(file.get_ref()))).collect()
    }

    /// The map file below the root.
    #[must_use]
    pub fn map(&self, root: &Path) -> Option<PathBuf> {
        self.map.as_ref().map(|file| files::tidy(&root.join(file.get_ref())))
    }
}

/// What `scan-tests` looks at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scan {
    /// Prefixes of container names.
    pub prefixes: Vec<String>,
    /// Globs of tests.
    #[schemars(with = "Vec<String>")]
    pub test: Vec<Spanned<String>>,
    /// Globs of documents; what is neither is code.
    #[schemars(with = "Vec<String>")]
    pub doc: Vec<Spanned<String>>,
    /// Globs of what is not scanned.
    #[schemars(with = "Vec<String>")]
    pub exclude: Vec<Spanned<String>>,
}

impl Default for Scan {
    fn default() -> Self {
        let glob = |text: &str| Spanned::new(0..0, text.to_owned());
        Self {
            prefixes: vec!["bot-bottle".to_owned(), "claude-bottle".to_owned()],
            test: vec![glob("tests/**")],
            doc: vec![glob("**/*.md")],
            exclude: Vec::new(),
        }
    }
}

/// What `flip-default` changes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flip {
    /// Files to delete.
    #[schemars(with = "Vec<String>")]
    pub delete: Vec<Spanned<String>>,
    /// Commands that must succeed after the change.
    pub verify: Vec<String>,
    /// Seconds that all of `verify` may take together.
    pub verify_timeout: u64,
    /// Other places that set the default.
    pub edit: Vec<Edit>,
}

impl Default for Flip {
    fn default() -> Self {
        Self {
            delete: ["Dockerfile.egress", "Dockerfile.git-gate", "Dockerfile.supervise"]
                .map(|file| Spanned::new(0..0, file.to_owned()))
                .into(),
            verify: Vec::new(),
            verify_timeout: 600,
            edit: Vec::new(),
        }
    }
}

/// A replacement of one text by another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// File below the root.
    #[schemars(with = "String")]
    pub file: Spanned<String>,
    /// Text that occurs exactly once.
    #[schemars(with = "String")]
    pub find: Spanned<String>,
    /// What takes its place.
    pub replace: String,
}

/// A finding that the target accepts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Waiver")]
struct WrittenWaiver {
    /// Id of the rule; with `subject`, or else `fingerprint` is needed.
    #[schemars(with = "Option<String>")]
    rule: Option<Spanned<String>>,
    /// Subject of the finding; `*` matches any text, `?` any character, `\*` and `\?` match themselves.
    #[schemars(with = "Option<String>")]
    subject: Option<Spanned<String>>,
    /// Fingerprint of the finding, over rule, principal and subject.
    #[schemars(with = "Option<String>")]
    fingerprint: Option<Spanned<String>>,
    /// Principal of the finding; any if absent.
    principal: Option<String>,
    /// Why it is accepted.
    #[schemars(with = "String")]
    reason: Spanned<String>,
    /// Last day, `YYYY-MM-DD`.
    #[schemars(with = "Option<String>")]
    expires: Option<Spanned<String>>,
}

impl WrittenWaiver {
    /// Its place in the file.
    fn place(&self) -> Range<usize> {
        self.rule.as_ref().or(self.fingerprint.as_ref()).unwrap_or(&self.reason).span()
    }
}

/// Why a configuration is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    fn at(text: &str, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) -> Self {
        let (line, column) = line_and_column(text, span.start);
        Self { line, column, message: message.into(), hint }
    }
}

/// JSON Schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Written).to_value()
}

/// Reads a configuration.
///
/// # Errors
///
/// Syntax, unknown keys, wrong types, paths that leave the root, bad globs and bad waivers, each with its place.
pub fn parse(text: &str) -> Result<Config, ConfigError> {
    let written: Written = toml::from_str(text).map_err(|error| from_toml(text, &error))?;
    let name = written.flag.name();
    if name.is_empty() || name.contains(['=', '\0']) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(ConfigError::at(
            text,
            &written.flag.name.span(),
            "flag.name is not the name of an environment variable",
            None,
        ));
    }
    let globs = [&written.plans.include, &written.scan.test, &written.scan.doc, &written.scan.exclude];
    for glob in globs.into_iter().flatten() {
        inside(text, glob)?;
        globset::Glob::new(glob.get_ref()).map_err(|error| {
            ConfigError::at(
                text,
                &glob.span(),
                format!("`{}` is no glob: {}", glob.get_ref(), error.kind()),
                None,
            )
        })?;
    }
    let compare = &written.compare;
    for file in compare.legacy.iter().chain(&compare.bundle).chain(&compare.map) {
        inside(text, file)?;
    }
    if let Some(file) = compare.bundle.first().filter(|_| compare.legacy.is_empty()) {
        let why = "compare.bundle without compare.legacy: there is nothing to compare it with";
        return Err(ConfigError::at(text, &file.span(), why, None));
    }
    for file in written.flip.delete.iter().chain(written.flip.edit.iter().map(|edit| &edit.file)) {
        inside(text, file)?;
    }
    for edit in &written.flip.edit {
        if edit.find.get_ref().is_empty() {
            return Err(ConfigError::at(text, &edit.find.span(), "flip.edit.find is empty", None));
        }
    }
    let mut lines = BTreeMap::new();
    let mut waivers: Vec<Waiver> = Vec::with_capacity(written.waiver.len());
    for waiver in written.waiver {
        let place = waiver.place();
        let waiver = check_waiver(text, waiver)?;
        if let Some(line) = lines.insert(waiver.key(), waiver.line) {
            let message = format!("repeats the waiver of line {line}");
            return Err(ConfigError::at(text, &place, message, None));
        }
        waivers.push(waiver);
    }
    let mut flag = written.flag;
    if flag.name.get_ref() == FLAG {
        let form = variable_form(written.names.prefix());
        flag.name = Spanned::new(flag.name.span(), format!("{form}_SIDECAR_BUNDLE"));
    }
    Ok(Config {
        names: written.names,
        flag,
        plans: written.plans,
        compare: written.compare,
        scan: written.scan,
        flip: written.flip,
        images: written.images,
        waivers,
    })
}

/// Refuses a path that leaves the root.
fn inside(text: &str, path: &Spanned<String>) -> Result<(), ConfigError> {
    let name = path.get_ref();
    let inner = !name.is_empty()
        && !name.contains('\0')
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inner {
        return Ok(());
    }
    let message = if name.is_empty() { "empty path".to_owned() } else { format!("`{name}` leaves the root") };
    let hint = "paths are relative to the folder of bottle-migrate.toml, without `..`".to_owned();
    Err(ConfigError::at(text, &path.span(), message, Some(hint)))
}

fn check_waiver(text: &str, waiver: WrittenWaiver) -> Result<Waiver, ConfigError> {
    let fail = |span: &Range<usize>, message: String, hint: Option<String>| {
        Err(ConfigError::at(text, span, message, hint))
    };
    let place = waiver.place();
    let rule = match &waiver.rule {
        None => None,
        Some(id) => {
            let id = id.get_ref();
            let Some(rule) = RuleId::of(id) else {
                let near = nearest(id, RuleId::ALL.iter().map(|rule| rule.as_str()));
                let hint = near.map(|name| format!("did you mean `{name}`?"));
                return fail(&place, format!("unknown rule `{id}`"), hint);
            };
            if matches!(rule, RuleId::WaiverExpired | RuleId::WaiverUnused) {
                return fail(&place, format!("`{id}` cannot be waived"), None);
            }
            Some(rule)
        }
    };
    if waiver.fingerprint.is_none() && (rule.is_none() || waiver.subject.is_none()) {
        let hint = "take either from `diff --format json`".to_owned();
        return fail(&place, "a waiver needs a rule and a subject, or a fingerprint".to_owned(), Some(hint));
    }
    if let Some(subject) = waiver.subject.as_ref().filter(|subject| subject.get_ref().is_empty()) {
        let hint = "`subject = \"*\"` accepts every subject".to_owned();
        return fail(&subject.span(), "an empty subject matches no finding".to_owned(), Some(hint));
    }
    if let Some(fingerprint) = &waiver.fingerprint {
        let digits = fingerprint.get_ref();
        if digits.len() != 16 || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            let message = format!("fingerprint `{digits}` is not 16 lower-case hexadecimal digits");
            return fail(&fingerprint.span(), message, None);
        }
    }
    if waiver.reason.get_ref().trim().is_empty() {
        return fail(&waiver.reason.span(), "a waiver needs a reason".to_owned(), None);
    }
    let expires = match &waiver.expires {
        None => None,
        Some(day) => {
            let Some(date) = waiver::parse_day(day.get_ref()) else {
                let message = format!("expires `{}` is not a day", day.get_ref());
                return fail(&day.span(), message, Some("write YYYY-MM-DD".to_owned()));
            };
            Some(date)
        }
    };
    let line = ConfigError::at(text, &place, "", None).line;
    let fingerprint_place = waiver.fingerprint.as_ref().map(Spanned::span);
    let waiver = Waiver::new(
        rule,
        waiver.subject.map(Spanned::into_inner),
        waiver.fingerprint.map(Spanned::into_inner),
        waiver.principal,
        waiver.reason.into_inner(),
        expires,
        line,
    );
    if waiver.contradicts_itself() {
        let message =
            "no finding has this fingerprint together with this rule, principal and subject".to_owned();
        let hint = "leave out one of them".to_owned();
        return fail(&fingerprint_place.unwrap_or(place), message, Some(hint));
    }
    Ok(waiver)
}

/// What a parser of TOML says, with the name that was probably meant.
pub(crate) fn from_toml(text: &str, error: &toml::de::Error) -> ConfigError {
    let message = error.message();
    let span = error.span().unwrap_or(0..0);
    // TOML has days of its own, which serde takes for a map.
    if message.contains("map") && text[span.start..].starts_with(|c: char| c.is_ascii_digit()) {
        let hint = Some("write \"YYYY-MM-DD\"".to_owned());
        return ConfigError::at(text, &span, "a day without quotes", hint);
    }
    // serde names the key that it does not know, then those that it does, all in backquotes.
    let hint = message.starts_with("unknown ").then(|| {
        let mut quoted = message.split('`').skip(1).step_by(2);
        let wanted = quoted.next().unwrap_or_default();
        nearest(wanted, quoted).map(|name| format!("did you mean `{name}`?"))
    });
    ConfigError::at(text, &span, message, hint.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks place, message and hint of the error that `text` gives.
    fn refused(text: &str, place: (usize, usize), message: &str, hint: Option<&str>) {
        let error = parse(text).unwrap_err();
        assert_eq!((error.line, error.column), place, "{error:?}");
        assert!(error.message.contains(message), "{error:?}");
        assert_eq!(error.hint.as_deref(), hint, "{error:?}");
    }

    #[test]
    fn an_empty_file_leaves_the_names_of_the_prd() {
        let config = parse("").unwrap();
        assert_eq!(config.flag.name(), "BOT_BOTTLE_SIDECAR_BUNDLE");
        assert_eq!(config.flag.default, Shape::Legacy);
        assert_eq!(config.plans.include[0].get_ref(), "plans/**/*.json");
        assert_eq!(config.flip.delete.len(), 3);
        assert_eq!(config.flip.verify_timeout, 600);
        assert_eq!(config.scan.prefixes, ["bot-bottle", "claude-bottle"]);
    }

    #[test]
    fn every_section_is_read() {
        let config = parse(
            r#"
            [flag]
            name = "F"
            default = "bundle"
            [plans]
            include = ["a/*.json"]
            [scan]
            prefixes = ["p"]
            test = ["t/**"]
            doc = ["*.rst"]
            exclude = ["x"]
            [flip]
            delete = ["D"]
            verify = ["true"]
            verify_timeout = 5
            [[flip.edit]]
            file = "s.py"
            find = "a"
            replace = ""
            [[waiver]]
            rule = "mount-secret-shared"
            subject = "/x"
            principal = "git-gate"
            reason = "r"
            expires = "2027-01-31"
            [[waiver]]
            rule = "mount-secret-shared"
            fingerprint = "0123456789abcdef"
            reason = "r"
            "#,
        )
        .unwrap();
        assert_eq!(config.flag.default, Shape::Bundle);
        assert_eq!(config.waivers.len(), 2);
        assert_eq!(config.waivers[0].line, 21);
        assert_eq!(config.waivers[0].expires.unwrap().to_string(), "2027-01-31");
        assert_eq!(config.flip.edit[0].file.get_ref(), "s.py");
    }

    #[test]
    fn errors_name_the_place_and_the_nearest_key() {
        refused("[flag]\nnam = \"x\"\n", (2, 1), "unknown field `nam`", Some("did you mean `name`?"));
        refused("[flagg]\n", (1, 2), "unknown field `flagg`", Some("did you mean `flag`?"));
        refused("[flag]\ndefault = \"bundel\"\n", (2, 11), "unknown variant", Some("did you mean `bundle`?"));
        refused("[flip]\nverify_timeout = \"x\"\n", (2, 18), "invalid type", None);
        refused("[flag\n", (1, 6), "", None);
        let hint = Some("paths are relative to the folder of bottle-migrate.toml, without `..`");
        refused("[flip]\ndelete = [\"a\", \"../b\"]\n", (2, 16), "`../b` leaves the root", hint);
        refused("[plans]\ninclude = [\"/etc/*\"]\n", (2, 12), "leaves the root", hint);
        refused("[[flip.edit]]\nfile=\"a/../../b\"\nfind=\"a\"\nreplace=\"\"\n", (2, 6), "leaves", hint);
        refused("[plans]\ninclude = [\"a[\"]\n", (2, 12), "is no glob", None);
        refused("[flag]\nname = \"\"\n", (2, 8), "not the name", None);
    }

    #[test]
    fn a_prefix_names_the_flag_too() {
        let config = parse("[names]\nprefix = \"claude-bottle\"\n").unwrap();
        assert_eq!(
            (config.names.prefix(), config.flag.name()),
            ("claude-bottle", "CLAUDE_BOTTLE_SIDECAR_BUNDLE")
        );
        let config = parse("[names]\nprefix = \"claude-bottle\"\n[flag]\nname = \"MINE\"\n").unwrap();
        assert_eq!(config.flag.name(), "MINE");
        assert_eq!(parse("").unwrap().names.prefix(), "bot-bottle");
        refused("[names]\nprefix = \"No Slug\"\n", (2, 10), "is not a slug", None);
    }

    #[test]
    fn waivers_are_checked() {
        let waiver = |rest: &str| format!("[[waiver]]\nrule = \"mount-secret-shared\"\n{rest}");
        refused(
            "[[waiver]]\nrule = \"mount-secret-share\"\nsubject = \"x\"\nreason = \"r\"\n",
            (2, 8),
            "unknown rule `mount-secret-share`",
            Some("did you mean `mount-secret-shared`?"),
        );
        refused(
            &waiver("reason = \"r\""),
            (2, 8),
            "needs a rule and a subject",
            Some("take either from `diff --format json`"),
        );
        refused(&waiver("subject = \"x\"\nreason = \"  \""), (4, 10), "needs a reason", None);
        refused(&waiver("subject = \"x\""), (1, 1), "missing field `reason`", None);
        refused(
            &waiver("subject = \"x\"\nreason = \"r\"\nexpires = \"2027-02-30\""),
            (5, 11),
            "is not a day",
            Some("write YYYY-MM-DD"),
        );
        let every = Some("`subject = \"*\"` accepts every subject");
        refused(&waiver("subject = \"\"\nreason = \"r\""), (3, 11), "matches no finding", every);
        refused(&waiver("fingerprint = \"XYZ\"\nreason = \"r\""), (3, 15), "16 lower-case", None);
        let day = waiver("subject = \"x\"\nreason = \"r\"\nexpires = 2027-01-31");
        refused(&day, (5, 11), "a day without quotes", Some("write \"YYYY-MM-DD\""));
        refused("[[waiver]]\nrule = \"waiver-unused\"\nreason = \"r\"", (2, 8), "cannot be waived", None);
        let one = waiver("subject = \"x\"\nreason = \"r\"\n");
        let other = waiver("subject = \"x\"\nreason = \"another\"\n");
        refused(&format!("{one}{other}"), (6, 8), "repeats the waiver of line 2", None);
        let apart = waiver("subject = \"x\"\nprincipal = \"egress\"\nreason = \"r\"\n");
        assert_eq!(parse(&format!("{one}{apart}")).unwrap().waivers.len(), 2);
        let alone = "[[waiver]]\nfingerprint = \"0123456789abcdef\"\nreason = \"r\"\n";
        assert_eq!(parse(alone).unwrap().waivers[0].line, 2);
    }
}
