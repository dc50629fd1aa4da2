//! `scan-tests`: references to one container per sidecar, and their safe rewrites.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use similar::TextDiff;

use super::exit;
use super::failure::Failure;
use super::session::Session;
use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::files;
use crate::report::scan::{self as report, Format as Shown, RenderOptions};
use crate::rule::RuleId;
use crate::scan::{self, Certainty, Finding, Report, Zone, fix};
use crate::text::{self, Redactor};
use crate::waiver::{self, Waiver};

/// Lists references to one container per sidecar in tests, code and documents
///
/// Searches each PATH, or the whole root folder. A `bottle-migrate: keep — reason` comment suppresses findings on the
/// same line or the next one.
#[derive(Debug, Args)]
pub(super) struct ScanTests {
    /// Files and folders to search
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Report only this zone; repeat it for several zones
    #[arg(long, value_name = "ZONE", value_enum)]
    zone: Vec<Only>,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Write the report to this file, once it is complete, instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rewrite references where that is safe
    #[arg(long, conflicts_with = "diff")]
    fix: bool,
    /// Print the safe rewrites as a diff and change nothing
    #[arg(long, conflicts_with = "output")]
    diff: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Tests
    Test,
    /// Files that are neither tests nor documents
    Code,
    /// Documents
    Doc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Human,
    /// bottle-migrate/scan/1
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// GitHub workflow commands
    #[value(name = "github")]
    GitHub,
}

impl ScanTests {
    pub(super) fn run(self, session: &mut Session<'_>) -> Result<u8, Failure> {
        let config = session.config()?;
        let mut report = self.scan(session, &config)?;
        if self.diff {
            let (changes, refused) = rewrites(session, &report)?;
            note_refused(session, &refused);
            for change in &changes {
                show(session, change)?;
            }
            return Ok(verdict(&report));
        }
        if self.fix {
            let (changes, refused) = rewrites(session, &report)?;
            note_refused(session, &refused);
            for change in &changes {
                let mut output = files::Output::create(&change.path)?;
                output.write_all(change.after.as_bytes()).map_err(|error| failed(&change.path, &error))?;
                output.finish()?;
            }
            session.note(&match changes.len() {
                0 => "nothing to rewrite".to_owned(),
                1 => "1 file rewritten".to_owned(),
                more => format!("{more} files rewritten"),
            });
            report = self.scan(session, &config)?;
        }
        self.write(session, &report)?;
        Ok(verdict(&report))
    }

    fn scan(&self, session: &Session<'_>, config: &Config) -> Result<Report, Failure> {
        let found = scan::scan(&session.root, config, &self.paths, session.today)
            .map_err(|error| Diagnostic::in_file(&error.path, error.reason))?;
        let mut report = found;
        let everything = self.paths.is_empty();
        report.findings.extend(about_waivers(session, config, everything));
        if !self.zone.is_empty() {
            let wanted = |finding: &Finding| self.zone.iter().any(|zone| zone.zone() == finding.zone);
            report.findings.retain(|finding| wanted(finding));
        }
        Ok(report)
    }

    fn write(&self, session: &mut Session<'_>, found: &Report) -> Result<(), Failure> {
        let output = files::Output::asked(self.output.as_deref())?;
        let manner = RenderOptions {
            color: session.colored(output.is_none()),
            verbosity: session.verbosity,
            width: session.width(output.is_none()),
        };
        let redactor = Redactor::new(false);
        match output {
            Some(mut file) => {
                report::write(found, self.format.shown(), manner, &redactor, &mut file)?;
                Ok(file.finish()?)
            }
            None => Ok(report::write(found, self.format.shown(), manner, &redactor, &mut session.out)?),
        }
    }
}

impl Only {
    const fn zone(self) -> Zone {
        match self {
            Self::Test => Zone::Test,
            Self::Code => Zone::Code,
            Self::Doc => Zone::Doc,
        }
    }
}

impl Format {
    const fn shown(self) -> Shown {
        match self {
            Self::Human => Shown::Human,
            Self::Json => Shown::Json,
            Self::Sarif => Shown::Sarif,
            Self::GitHub => Shown::GitHub,
        }
    }
}

fn verdict(report: &Report) -> u8 {
    let standing = report.findings.iter().any(|finding| finding.waived.is_none());
    if standing { exit::FINDINGS } else { exit::CLEAN }
}

fn failed(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::in_file(path, format!("failed to write: {}", files::reason(error)))
}

fn rewrites(
    session: &Session<'_>,
    report: &Report,
) -> Result<(Vec<fix::Change>, Vec<fix::Refused>), Failure> {
    fix::changes(&session.root, report).map_err(|error| {
        Diagnostic::new(format!("failed to read a file again: {}", files::reason(&error))).into()
    })
}

fn note_refused(session: &Session<'_>, refused: &[fix::Refused]) {
    for refused in refused {
        session.note(&format!("{}: not rewritten: {}", refused.file, refused.reason));
    }
}

/// Shows a rewrite as a unified diff.
fn show(session: &mut Session<'_>, change: &fix::Change) -> Result<(), Failure> {
    let name = text::strip(&change.file).into_owned();
    let diff = TextDiff::from_lines(&change.before, &change.after);
    let shown = diff.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string();
    session.out.write_all(text::strip_lines(&shown).as_bytes())?;
    Ok(())
}

/// What is wrong with the waivers of forms; `everything`: whether all that they could apply to was searched.
fn about_waivers(session: &Session<'_>, config: &Config, everything: bool) -> Vec<Finding> {
    let finding = |form: RuleId, waiver: &Waiver, message: String| Finding {
        file: crate::config::FILE.to_owned(),
        line: waiver.line,
        column: 1,
        width: 1,
        form,
        service: None,
        zone: Zone::Code,
        text: waiver.subject(),
        suggestion: message,
        edits: Vec::new(),
        certainty: Certainty::Sure,
        waived: None,
    };
    let ours = |waiver: &&Waiver| waiver.rule.is_some_and(RuleId::is_of_scan);
    let expired = waiver::expired(&config.waivers, session.today).filter(ours).map(|waiver| {
        let day = waiver.expires.map(|day| day.to_string()).unwrap_or_default();
        finding(RuleId::WaiverExpired, waiver, format!("it expired on {day}: renew or remove it"))
    });
    let unused = waiver::unused(&config.waivers, session.today)
        .filter(|waiver| everything && ours(waiver))
        .map(|waiver| finding(RuleId::WaiverUnused, waiver, "remove it: no finding needs it".to_owned()));
    expired.chain(unused).collect()
}
