//! Comparisons: texts in, [`Comparison`] out.
//!
//! Each comparison takes four passes: compare (`outcome`), accept by waivers (`accept`), locate (`locate`) and
//! redact (`redact`). None of them reads a file or asks an engine.

mod accept;
mod error;
mod locate;
mod outcome;
pub mod plans;
mod pointer;
mod redact;
pub mod source;
mod text_diff;

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bottle_model::compose::Compose;
use bottle_model::daemon::Isolation;
use bottle_model::images::Images;
use bottle_model::plan::Plan;

use crate::compose::{Document, Surroundings, Switches};
use crate::diagnostic::{Diagnostic, input_name};
use crate::files;
use crate::flag::Shape;
use crate::images::{self, Tree};
use crate::report::{Comparison, Entry};
use crate::running::Scene;
use crate::text::Redactor;
use crate::view::Roles;
use crate::waiver::{self, Date, Waiver};
use accept::{Judged, accept};
use outcome::Outcome;

pub use error::CompareError;
pub use outcome::PlanText;
pub(crate) use outcome::{merge_compose, read_compose};

/// What all comparisons of a run share.
#[derive(Debug)]
pub struct Comparer<'a> {
    /// Image references in force.
    pub images: Images,
    /// How far the daemons of a compose file that is merged are kept apart.
    pub isolation: Isolation,
    /// Compose's own switches, for a compose file that is compared with the bundle that is made of it.
    pub switches: Switches,
    /// Which service is which principal.
    pub roles: Roles,
    /// Accepted findings.
    pub waivers: &'a [Waiver],
    /// The current day.
    pub today: Date,
    /// Hides credentials.
    pub redactor: &'a Redactor,
    /// What the report needs.
    pub wants: Wants,
}

/// A compose project as a command line names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The file, then its overrides.
    pub files: Vec<PathBuf>,
    /// Compose's own switches.
    pub switches: Switches,
}

/// What a report needs to know of each comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// For which report.
    pub detail: Detail,
    /// A text diff of both documents.
    pub text: bool,
}

/// How much a report shows of each comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// For programs: every finding and its place in the input.
    Document,
    /// For people: every finding, its lines in the rendered files, and what removes it.
    Screen,
    /// For people, of many plans: the errors that no waiver accepts; other findings are only counted.
    Errors,
}

impl Detail {
    const fn is_for_people(self) -> bool {
        matches!(self, Self::Screen | Self::Errors)
    }
}

impl Comparer<'_> {
    /// Compares both shapes of a plan, rendered `twice` or once.
    ///
    /// # Errors
    ///
    /// The text is not a valid plan, or its daemons cannot share a container.
    pub fn plan(&self, source: PlanText<'_>, twice: bool) -> Result<Comparison, CompareError> {
        let plan = source.read(&self.images)?;
        let mut outcome = outcome::of_plan(source, &plan, &self.images, &self.roles)?;
        if twice && outcome.merged {
            let again = outcome::nondeterministic(source, &plan, &self.images, &outcome)?;
            outcome.findings.extend(again);
        }
        let judged = accept(&outcome.findings, self.waivers, self.today);
        let (shown, counted): (Vec<Judged<'_>>, Vec<Judged<'_>>) = judged
            .into_iter()
            .partition(|judged| self.wants.detail != Detail::Errors || judged.is_open_error());
        let people = self.wants.detail.is_for_people();
        let locations = locate::in_plan(&shown, source.file, source.text, &outcome, people);
        // Costly, and most of many plans need none.
        let redactor = LazyCell::new(|| redact::redactor(self.redactor, &outcome));
        let mut entries =
            if shown.is_empty() { Vec::new() } else { redact::entries(&shown, locations, &redactor) };
        if self.wants.detail == Detail::Screen {
            self.mark_walled(source, &plan, &mut entries);
        }
        let untold = counted.iter().map(Judged::count).collect();
        Ok(Comparison { untold, ..self.comparison(input_name(source.file), &outcome, entries, &redactor) })
    }

    /// Compares a plan with what an engine runs of it, in the shape that runs; `ask` finds out what runs of the legacy
    /// document.
    ///
    /// Also gives the containers whose processes could not be read.
    ///
    /// # Errors
    ///
    /// As [`Self::plan`], or the error of `ask`.
    pub fn running(
        &self,
        source: PlanText<'_>,
        ask: impl FnOnce(&Compose) -> Result<Scene, crate::engine::EngineError>,
    ) -> Result<(Comparison, Vec<String>), CompareError> {
        let plan = source.read(&self.images)?;
        let legacy = source.render(&plan, Shape::Legacy, &self.images)?;
        let scene = ask(&legacy)?;
        let merged = scene.merged(legacy.project.as_deref().unwrap_or_default());
        let planned = if merged { source.render(&plan, Shape::Bundle, &self.images)? } else { legacy };
        let roles = outcome::roles_of(&self.roles, &plan, &self.images);
        let outcome = outcome::of_scene(planned, &plan, &scene, &roles);
        let judged = accept(&outcome.findings, self.waivers, self.today);
        let locations = locate::in_plan(&judged, source.file, source.text, &outcome, false);
        let redactor = LazyCell::new(|| redact::redactor(self.redactor, &outcome));
        let entries = redact::entries(&judged, locations, &redactor);
        let shape = if merged { Shape::Bundle } else { Shape::Legacy };
        let label = format!("{} ({}) → running", input_name(source.file), shape.name());
        let unseen = scene.unseen().map(str::to_owned).collect();
        Ok((self.comparison(label, &outcome, entries, &redactor), unseen))
    }

    /// Compares two compose projects, and the images that they build from the files of `tree`, whose paths are
    /// absolute. The second has to merge daemons, unless it may be `unmerged`.
    ///
    /// # Errors
    ///
    /// A file cannot be read or is not a valid compose file or Dockerfile, or the second merges no daemons.
    pub fn pair(
        &self,
        (legacy, bundle): (&Project, &Project),
        unmerged: bool,
        surroundings: &Surroundings<'_>,
        tree: Tree<'_>,
    ) -> Result<Comparison, CompareError> {
        let (before, sources_before) = outcome::read_compose(legacy, surroundings)?;
        let (after, sources_after) = outcome::read_compose(bundle, surroundings)?;
        let built = |project: &Project, document: &Document| {
            let text = |path: &Path| (surroundings.absolute)(path).to_string_lossy().into_owned();
            let given = project.switches.project_directory.as_deref();
            let folder = given.or_else(|| project.files.first().and_then(|file| file.parent()));
            let folder = folder.map_or_else(String::new, text);
            let shown = text(Path::new(""));
            images::built(&document.compose, &images::Project { folder: &folder, shown: &shown, tree })
                .map_err(|error| {
                    let found = Diagnostic::in_file(Path::new(&error.file), error.error.to_string());
                    CompareError::Dockerfile(found.at(error.error.line, 1))
                })
        };
        let built = (built(legacy, &before)?, built(bundle, &after)?);
        let (legacy, bundle) = (legacy.files.as_slice(), bundle.files.as_slice());
        let outcome = outcome::of_documents(before, after, &self.roles, built);
        if !outcome.merged && !unmerged {
            let file = bundle.first().map_or(Path::new(""), PathBuf::as_path);
            let why = format!("it merges no daemons: it has no service `{}`", self.roles.bundle());
            return Err(CompareError::Unmerged(Diagnostic::in_file(file, why).hint(
                "is it the right file? `bundle = NAME` in a map names the merged service; --allow-unmerged \
                 compares anyway",
            )));
        }
        let judged = accept(&outcome.findings, self.waivers, self.today);
        let sources = (&sources_before, &sources_after);
        let locations = locate::in_files(&judged, (legacy, bundle), sources, &outcome);
        let redactor = LazyCell::new(|| redact::redactor(self.redactor, &outcome));
        let entries = redact::entries(&judged, locations, &redactor);
        let names =
            |paths: &[PathBuf]| paths.iter().map(|path| input_name(path)).collect::<Vec<_>>().join(" + ");
        let label = format!("{} → {}", names(legacy), names(bundle));
        Ok(self.comparison(label, &outcome, entries, &redactor))
    }

    /// Compares a plan or a compose file with the bundle that is made of it; a plan is rendered
    /// `twice` or once.
    ///
    /// # Errors
    ///
    /// As [`Self::plan`] and [`Self::merger`].
    pub fn source(
        &self,
        file: &Path,
        text: &str,
        twice: bool,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Comparison, CompareError> {
        if source::is_plan(file, text) {
            return self.plan(PlanText::new(file, text), twice);
        }
        // What was read already is not read again: stdin cannot be.
        let read = |asked: &Path| if asked == file { Ok(text.to_owned()) } else { files::text_of(asked) };
        let variable = source::with_folder(variable);
        let surroundings = Surroundings { variable: &variable, file: &read, absolute: &files::absolute };
        let project = Project { files: vec![file.to_owned()], switches: self.switches.clone() };
        self.merger(&project, &surroundings)
    }

    /// Compares a compose project with the same whose daemons are merged.
    ///
    /// What its services cannot share is a finding.
    ///
    /// # Errors
    ///
    /// A file cannot be read or is not a valid compose file, or none of its services is a daemon.
    pub fn merger(
        &self,
        project: &Project,
        surroundings: &Surroundings<'_>,
    ) -> Result<Comparison, CompareError> {
        let (before, sources) = outcome::read_compose(project, surroundings)?;
        let files = project.files.as_slice();
        let outcome = outcome::of_merger(before, files, &self.roles, &self.images, self.isolation)?;
        let judged = accept(&outcome.findings, self.waivers, self.today);
        let locations = locate::in_source(&judged, files, &sources, &self.roles);
        let redactor = LazyCell::new(|| redact::redactor(self.redactor, &outcome));
        let entries = redact::entries(&judged, locations, &redactor);
        let names: Vec<String> = files.iter().map(|path| input_name(path)).collect();
        Ok(self.comparison(names.join(" + "), &outcome, entries, &redactor))
    }

    /// Findings about the waivers themselves; `everything`: whether all that they could apply to was compared.
    #[must_use]
    pub fn closing(&self, config: &Path, everything: bool) -> Vec<Entry> {
        let file = input_name(config);
        let entry = |rule, waiver: &Waiver, message: &str| {
            Entry::of_waiver(rule, waiver, message, &file, self.redactor)
        };
        let mut entries: Vec<Entry> = waiver::expired(self.waivers, self.today)
            .map(|waiver| {
                let day = waiver.expires.map(|day| day.to_string()).unwrap_or_default();
                entry(&waiver::EXPIRED, waiver, &format!("this waiver expired on {day}"))
            })
            .collect();
        if everything {
            let unused = waiver::unused(self.waivers, self.today);
            entries
                .extend(unused.map(|waiver| entry(&waiver::UNUSED, waiver, "no finding needs this waiver")));
        }
        entries
    }

    /// Marks the broadenings that are gone when the plan requires walls between its daemons, by comparing that plan.
    fn mark_walled(&self, source: PlanText<'_>, plan: &Plan, entries: &mut [Entry]) {
        if plan.isolation == Isolation::Require || !entries.iter().any(|entry| entry.broadening) {
            return;
        }
        let plan = Plan { isolation: Isolation::Require, ..plan.clone() };
        // A plan that cannot have walls gets no hint about them.
        let Ok(outcome) = outcome::of_plan(source, &plan, &self.images, &self.roles) else { return };
        let left: BTreeSet<String> =
            outcome.findings.iter().map(|finding| finding.identity().fingerprint()).collect();
        for entry in entries.iter_mut().filter(|entry| entry.broadening) {
            entry.walled = !left.contains(&entry.fingerprint);
        }
    }

    fn comparison(
        &self,
        label: String,
        outcome: &Outcome,
        entries: Vec<Entry>,
        redactor: &LazyCell<Redactor, impl FnOnce() -> Redactor>,
    ) -> Comparison {
        // Of many plans, people do not see the expected changes.
        let transitions = outcome.transitions.iter().filter(|_| self.wants.detail != Detail::Errors);
        Comparison {
            label,
            services: (outcome.before.services.len(), outcome.after.services.len()),
            transitions: transitions.map(|(name, detail)| (*name, redactor.scrub(detail))).collect(),
            entries,
            untold: Vec::new(),
            text: self.wants.text.then(|| text_diff::unified(&outcome.before, &outcome.after, redactor)),
        }
    }
}
