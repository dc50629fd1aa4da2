//! One comparison, from its input to what the report shows of it.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bottle_model::compose::{Compose, Layout};
use bottle_model::daemon::Isolation;
use bottle_model::images::Images;

use super::super::failure::Diagnostic;
use super::super::pipeline::{self, Outcome, Plan, Roles, Source};
use super::super::{engine, files};
use super::difference;
use crate::finding::{Finding, Severity, Shown};
use crate::flag::Shape;
use crate::report::pointer::Index;
use crate::report::{Comparison, Count, Entry};
use crate::text::{self, Redactor};
use crate::waiver::{self, Date, Waiver};

/// What every comparison of a run shares.
pub(in crate::cli) struct Examiner<'a> {
    pub(in crate::cli) images: Images,
    pub(in crate::cli) roles: Roles,
    pub(in crate::cli) waivers: &'a [Waiver],
    pub(in crate::cli) today: Date,
    pub(in crate::cli) redactor: &'a Redactor,
    /// Whether lines of the rendered files are wanted.
    pub(in crate::cli) rendered: bool,
    /// Whether a text diff is wanted.
    pub(in crate::cli) text: bool,
    /// Whether it is told of each finding what removes it.
    pub(in crate::cli) told: bool,
}

impl Examiner<'_> {
    /// Compares both shapes of a plan, rendered `twice` or once.
    pub(in crate::cli) fn plan(&self, path: &Path, twice: bool) -> Result<Comparison, Diagnostic> {
        let text = files::read(path)?;
        let source = Source { file: path, text: &text };
        let plan = pipeline::read_plan(source, &self.images)?;
        let mut outcome = pipeline::of_plan(source, &plan, &self.images, &self.roles)?;
        if twice {
            let nondeterministic = pipeline::nondeterministic(source, &plan, &self.images, &outcome)?;
            outcome.findings.extend(nondeterministic);
        }
        let label = name(path);
        // All are costly, and most plans need none.
        let redactor = LazyCell::new(|| self.redactor(&outcome));
        let mut index = None;
        let mut layouts: [Option<Layout<'_>>; 2] = [None, None];
        let mut lines = BTreeMap::new();
        let (mut entries, mut untold) = (Vec::new(), Vec::new());
        for finding in &outcome.findings {
            let waiver = waiver::accept(self.waivers, &finding.identity(), self.today);
            // Of many plans, people are told of errors only.
            let error = finding.severity == Severity::Error && waiver.is_none();
            if !self.whole() && !error {
                let (rule, law, severity) = (finding.rule, finding.law, finding.severity);
                untold.push(Count { rule, law, severity, waived: waiver.is_some() });
                continue;
            }
            let mut entry = Entry::of(finding, waiver, &redactor);
            // People are not told where an accepted finding stands.
            let placed = entry.waived.is_none();
            if placed || !self.rendered {
                let index = index.get_or_insert_with(|| Index::of(&text));
                let (pointer, line) = index.find(&finding.principal, &finding.subject);
                entry.pointer = Some(redactor.scrub(&pointer));
                entry.line = Some(line);
            }
            entry.file = Some(label.clone());
            if self.rendered && placed {
                entry.rendered = sides(finding, &outcome).find_map(|(shape, shown, compose)| {
                    let side = usize::from(shape == Shape::Bundle);
                    let layout = layouts[side].get_or_insert_with(|| compose.layout());
                    let line = lines.entry((side, &shown.place)).or_insert_with(|| layout.line(&shown.place));
                    Some((shape, (*line)?))
                });
            }
            entries.push(entry);
        }
        if self.told {
            self.wall(source, &plan, &mut entries);
        }
        Ok(Comparison { untold, ..self.comparison(label, &outcome, entries, &redactor) })
    }

    /// Compares a plan with what an engine runs of it, in the shape that runs.
    ///
    /// Says as well which containers could not be looked into. The engine may take as long as `limit`.
    pub(super) fn running(
        &self,
        path: &Path,
        limit: Duration,
    ) -> Result<(Comparison, Vec<String>), Diagnostic> {
        let text = files::read(path)?;
        let source = Source { file: path, text: &text };
        let plan = pipeline::read_plan(source, &self.images)?;
        let legacy = pipeline::render(source, &plan, Shape::Legacy, &self.images)?;
        let scene = engine::scene(&legacy, limit)?;
        let merged = scene.merged(legacy.project.as_deref().unwrap_or_default());
        let asked =
            if merged { pipeline::render(source, &plan, Shape::Bundle, &self.images)? } else { legacy };
        let outcome =
            pipeline::of_scene(asked, &plan, &scene, &pipeline::cast(&self.roles, &plan, &self.images));
        let label = name(path);
        let redactor = self.redactor(&outcome);
        let index = Index::of(&text);
        let entry = |finding: &Finding| {
            let waiver = waiver::accept(self.waivers, &finding.identity(), self.today);
            let mut entry = Entry::of(finding, waiver, &redactor);
            let (pointer, line) = index.find(&finding.principal, &finding.subject);
            (entry.pointer, entry.line) = (Some(redactor.scrub(&pointer)), Some(line));
            entry.file = Some(label.clone());
            entry
        };
        let entries = outcome.findings.iter().map(entry).collect();
        let shape = if merged { Shape::Bundle } else { Shape::Legacy };
        let unseen = scene.unseen().map(str::to_owned).collect();
        let label = format!("{label} ({}) → running", shape.name());
        Ok((self.comparison(label, &outcome, entries, &&redactor), unseen))
    }

    /// Marks what would be gone if the plan asked for walls between its daemons, by asking for them.
    fn wall(&self, source: Source<'_>, plan: &Plan, entries: &mut [Entry]) {
        if plan.isolation == Isolation::Require || !entries.iter().any(|entry| entry.broadening) {
            return;
        }
        let plan = Plan { isolation: Isolation::Require, ..plan.clone() };
        // A plan that cannot have walls is told of none.
        let Ok(outcome) = pipeline::of_plan(source, &plan, &self.images, &self.roles) else { return };
        let left: BTreeSet<String> =
            outcome.findings.iter().map(|finding| finding.identity().fingerprint()).collect();
        for entry in entries.iter_mut().filter(|entry| entry.broadening) {
            entry.walled = !left.contains(&entry.fingerprint);
        }
    }

    /// Compares two compose files, each with its overrides; the second has to merge daemons unless it may be `unmerged`.
    pub(in crate::cli) fn pair(
        &self,
        legacy: &[PathBuf],
        bundle: &[PathBuf],
        unmerged: bool,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Comparison, Diagnostic> {
        let (before, sources_before) = pipeline::read_compose(legacy, lookup)?;
        let (after, sources_after) = pipeline::read_compose(bundle, lookup)?;
        let outcome = pipeline::of_documents(before, after, &self.roles);
        if !outcome.merged && !unmerged {
            let file = bundle.first().map_or(Path::new(""), PathBuf::as_path);
            let why =
                format!("no service of it merges daemons: there is no service `{}`", self.roles.bundle());
            return Err(Diagnostic::in_file(file, why)
                .hint("is it the right file? `bundle = NAME` in a map names the merged service; --allow-unmerged compares anyway"));
        }
        let redactor = self.redactor(&outcome);
        let mut entries = Vec::with_capacity(outcome.findings.len());
        for finding in &outcome.findings {
            let waiver = waiver::accept(self.waivers, &finding.identity(), self.today);
            let mut entry = Entry::of(finding, waiver, &redactor);
            let found = sides(finding, &outcome).find_map(|(shape, shown, _)| {
                let sources = if shape == Shape::Legacy { &sources_before } else { &sources_after };
                sources.locate(&shown.place)
            });
            if let Some((file, line)) = found {
                (entry.file, entry.line) = (Some(name(Path::new(file))), Some(line));
            } else {
                let lost = finding.after.is_none() && finding.before.is_some();
                entry.file = if lost { legacy } else { bundle }.first().map(|path| name(path));
            }
            entries.push(entry);
        }
        let names = |paths: &[PathBuf]| paths.iter().map(|path| name(path)).collect::<Vec<_>>().join(" + ");
        Ok(self.comparison(format!("{} → {}", names(legacy), names(bundle)), &outcome, entries, &&redactor))
    }

    /// Findings about the waivers themselves; `everything`: whether all that they could apply to was compared.
    pub(in crate::cli) fn closing(&self, config: &Path, everything: bool) -> Vec<Entry> {
        let file = name(config);
        let entry = |rule, waiver: &Waiver, message: &str| {
            Entry::of_waiver(rule, waiver, message, &file, self.redactor)
        };
        let mut entries: Vec<Entry> = waiver::expired(self.waivers, self.today)
            .map(|waiver| {
                let day = waiver.expires.map(|day| day.to_string()).unwrap_or_default();
                entry(&waiver::EXPIRED, waiver, &format!("this waiver held until {day}"))
            })
            .collect();
        if everything {
            let unused = waiver::unused(self.waivers, self.today);
            entries
                .extend(unused.map(|waiver| entry(&waiver::UNUSED, waiver, "no finding needs this waiver")));
        }
        entries
    }

    /// Whether everything is told, and not only errors.
    const fn whole(&self) -> bool {
        self.told || !self.rendered
    }

    /// The run's redactor, which knows the secrets of one comparison.
    fn redactor(&self, outcome: &Outcome) -> Redactor {
        self.redactor.knowing([&outcome.before, &outcome.after].into_iter().flat_map(difference::secrets))
    }

    fn comparison(
        &self,
        label: String,
        outcome: &Outcome,
        entries: Vec<Entry>,
        redactor: &impl Deref<Target = Redactor>,
    ) -> Comparison {
        // Of many plans, people are told of no intended change.
        let transitions = outcome.transitions.iter().filter(|_| self.whole());
        Comparison {
            label,
            services: (outcome.before.services.len(), outcome.after.services.len()),
            transitions: transitions.map(|(name, detail)| (*name, redactor.scrub(detail))).collect(),
            entries,
            untold: Vec::new(),
            text: self.text.then(|| difference::unified(&outcome.before, &outcome.after, redactor)),
        }
    }
}

/// Name of an input as it may be printed.
fn name(path: &Path) -> String {
    let name = if path.as_os_str() == files::STANDARD { "<stdin>".into() } else { path.to_string_lossy() };
    text::strip(&name).into_owned()
}

/// Where a finding stands: in the bundle if anywhere there, else in the legacy shape.
fn sides<'a>(
    finding: &'a Finding,
    outcome: &'a Outcome,
) -> impl Iterator<Item = (Shape, &'a Shown, &'a Compose)> {
    let after = finding.after.iter().map(|shown| (Shape::Bundle, shown, &outcome.after));
    let before = finding.before.iter().map(|shown| (Shape::Legacy, shown, &outcome.before));
    after.chain(before).filter(|(_, shown, _)| !shown.place.is_empty())
}
