//! COPY and ADD: files of the build context, of other stages and images, downloads and here-documents.

use std::collections::BTreeSet;

use super::context::{Sources, glob, join};
use super::facts::{Mode, Origin};
use super::stage::{Stage, absolute};
use super::upstream;

/// Where the files of a COPY come from, besides the build context.
pub(super) enum From<'s, 'a> {
    /// An earlier stage, by its name.
    Stage(&'s str, &'s Stage<'a>),
    /// Another image.
    Image(&'s str),
}

impl<'a> Stage<'a> {
    /// Known paths, or folders above them, that a pattern matches.
    fn matching(&self, pattern: &str) -> Vec<String> {
        let Some(glob) = glob(pattern) else { return Vec::new() };
        let above = |path: &'_ String| -> Vec<String> {
            let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
            ends.map(|end| path[..end].to_owned()).collect()
        };
        let paths = self.facts.paths.keys().flat_map(above).filter(|path| glob.is_match(path));
        paths.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// COPY and ADD from the build context, or from the `named` one.
    pub(super) fn copy(
        &mut self,
        named: Option<&str>,
        sources: &[String],
        target: &str,
        options: &CopyOptions,
        line: usize,
    ) {
        let into = target.ends_with('/') || sources.len() > 1 || target == "." || target.ends_with("/.");
        let folder = self.absolute(target);
        for source in sources {
            let found = match named {
                Some(name) => self.context.sources_of(name, source),
                None => self.context.sources(source),
            };
            match found {
                Sources::Missing => {
                    self.facts.missing.insert((line, source.clone()));
                }
                Sources::NotUnderstood => self.not_understood(line, source),
                Sources::Files(files, is_folder) => {
                    let many = files.len() > 1;
                    if is_folder {
                        self.make_folder(
                            &folder,
                            Some(options.owner.as_deref().unwrap_or("root:root")),
                            line,
                        );
                    }
                    for file in files {
                        let path = if options.parents {
                            join(&folder, &file.path)
                        } else if into || is_folder || many || self.is_folder(&folder) {
                            join(&folder, &file.below)
                        } else {
                            folder.clone()
                        };
                        let mode = options.mode.unwrap_or(Mode::Source { executable: file.executable });
                        let path = absolute("/", &path);
                        if let Some(target) = &file.link {
                            self.link(&path, target, line);
                            continue;
                        }
                        self.put(&path, Origin::Context(file.path), options.owner.as_deref(), mode, line);
                    }
                }
            }
        }
    }

    /// COPY from a stage or an image.
    pub(super) fn copy_from(
        &mut self,
        from: &From<'_, 'a>,
        sources: &[String],
        target: &str,
        options: &CopyOptions,
        line: usize,
    ) {
        let folder = self.absolute(target);
        let into = target.ends_with('/') || sources.len() > 1 || self.is_folder(&folder);
        let mut paths = Vec::new();
        for source in sources {
            let source = absolute("/", source);
            if !source.contains(['*', '?', '[']) {
                paths.push(source);
            } else if let From::Stage(_, stage) = from
                && let found = stage.matching(&source)
                && !found.is_empty()
            {
                paths.extend(found);
            } else {
                self.not_understood(line, &format!("which paths {source} matches"));
            }
        }
        let into = into || paths.len() > 1;
        for source in paths {
            let name = source.rsplit('/').next().unwrap_or_default();
            let mut path = if into { join(&folder, name) } else { folder.clone() };
            let found: Vec<(String, Origin, Mode)> = match from {
                From::Image(reference) => self.of_image(reference, &source, line).into_iter().collect(),
                From::Stage(name, stage) => {
                    let below = format!("{}/", source.trim_end_matches('/'));
                    let known = stage.facts.paths.iter().filter_map(|(known, fact)| {
                        let rest = if *known == source { "" } else { known.strip_prefix(&below)? };
                        let origin = match &fact.value.origin {
                            Origin::Built { stage, path } if stage.is_empty() => {
                                Origin::Built { stage: (*name).to_owned(), path: path.clone() }
                            }
                            other => other.clone(),
                        };
                        Some((rest.to_owned(), origin, fact.value.mode))
                    });
                    let known: Vec<_> = known.collect();
                    let built = known.iter().any(|(_, origin, _)| matches!(origin, Origin::Built { .. }));
                    if let Some(base) = stage.facts.base.as_ref().filter(|_| built) {
                        self.facts.sources.insert(base.value.clone(), base.line);
                    }
                    if stage.is_folder(&source) {
                        // The content of a folder goes into the target itself.
                        path.clone_from(&folder);
                    }
                    match (&stage.facts.base, known.is_empty(), stage.facts.not_understood.is_empty()) {
                        (_, false, _) => known,
                        (Some(base), true, true) => {
                            self.of_image(&base.value, &source, line).into_iter().collect()
                        }
                        (_, true, false) => {
                            let origin = Origin::Built { stage: (*name).to_owned(), path: source.clone() };
                            self.not_understood(
                                line,
                                &format!("{source} comes from commands of the stage {name}"),
                            );
                            vec![(String::new(), origin, Mode::Unset)]
                        }
                        (None, true, true) => {
                            self.facts.missing.insert((line, source.clone()));
                            Vec::new()
                        }
                    }
                }
            };
            for (below, origin, mode) in found {
                let mode = options.mode.unwrap_or(mode);
                self.put(&join(&path, &below), origin, options.owner.as_deref(), mode, line);
            }
        }
    }

    fn of_image(&mut self, reference: &str, path: &str, line: usize) -> Option<(String, Origin, Mode)> {
        self.facts.sources.insert(reference.to_owned(), line);
        let known = upstream::find(reference).map_or(&[][..], |upstream| upstream.files);
        if !known.is_empty() && !known.contains(&path) {
            self.facts.missing.insert((line, format!("{path} of {reference}")));
            return None;
        }
        let origin = Origin::Image { reference: reference.to_owned(), path: path.to_owned() };
        Some((String::new(), origin, Mode::Unset))
    }

    /// ADD of a download.
    pub(super) fn download(&mut self, url: &str, target: &str, options: &CopyOptions, line: usize) {
        let whole = url.split('#').next().unwrap_or(url);
        if whole.strip_suffix(".git").is_some() || url.starts_with("git@") {
            // The content of a repository goes into the folder itself.
            let folder = self.absolute(target);
            self.put(&folder, Origin::Url(url.to_owned()), options.owner.as_deref(), Mode::Unset, line);
            return;
        }
        let name = url.split(['?', '#']).next().unwrap_or(url).rsplit('/').next().unwrap_or_default();
        let folder = self.absolute(target);
        let path = if target.ends_with('/') { join(&folder, name) } else { folder };
        let mode = options.mode.unwrap_or(Mode::Octal(0o600));
        self.put(&path, Origin::Url(url.to_owned()), options.owner.as_deref(), mode, line);
    }

    /// COPY of a here-document.
    pub(super) fn inline(&mut self, text: String, target: &str, options: &CopyOptions, line: usize) {
        if target.ends_with('/') {
            self.not_understood(line, &format!("a here-document in the folder {target}"));
            return;
        }
        let path = self.absolute(target);
        self.put(
            &path,
            Origin::Inline(text),
            options.owner.as_deref(),
            options.mode.unwrap_or(Mode::Unset),
            line,
        );
    }
}

/// `--chown`, `--chmod` and `--parents`.
#[derive(Default)]
pub(super) struct CopyOptions {
    pub(super) owner: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) parents: bool,
}
