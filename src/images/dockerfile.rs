//! Carries out the instructions of a Dockerfile, stage by stage.

use std::collections::BTreeMap;

use parse_dockerfile::{Command, Flag, HealthcheckArguments, Instruction, JsonOrStringArray, Source, Span};

use super::context::{Context, Named};
use super::copy::{CopyOptions, From};
use super::facts::{Fact, Health, ImageFacts, Mode};
use super::stage::{Stage, absolute};
use super::{ImageError, run, words};

/// Reads a Dockerfile.
pub(super) fn facts(
    text: &str,
    context: &Context<'_>,
    arguments: &BTreeMap<String, String>,
    target: Option<&str>,
) -> Result<ImageFacts, ImageError> {
    let parsed = parse_dockerfile::parse(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        ImageError { line: error.line().max(1), message }
    })?;
    let escape = parsed.parser_directives.escape.as_ref().map_or('\\', |directive| directive.value.value);
    let mut reader = Reader {
        text,
        escape,
        given: arguments,
        global: BTreeMap::new(),
        context,
        stages: Vec::new(),
        lines: text.match_indices('\n').map(|(at, _)| at).collect(),
    };
    for instruction in &parsed.instructions {
        reader.instruction(instruction)?;
    }
    let last = match target {
        Some(target) => reader
            .find(target)
            .ok_or_else(|| ImageError { line: 1, message: format!("no stage is called {target:?}") })?,
        None => {
            reader.stages.len().checked_sub(1).ok_or(ImageError { line: 1, message: "no FROM".to_owned() })?
        }
    };
    // A build fails as a whole, whichever stage lacks something.
    let missing: Vec<_> = reader.stages.iter().flat_map(|(_, stage)| stage.facts.missing.clone()).collect();
    let not_understood: Vec<_> =
        reader.stages[..=last].iter().flat_map(|(_, stage)| stage.facts.not_understood.clone()).collect();
    let mut facts = reader.stages.swap_remove(last).1.facts;
    facts.missing.extend(missing);
    facts.not_understood.extend(not_understood);
    Ok(facts)
}

struct Reader<'a, 't> {
    text: &'t str,
    escape: char,
    given: &'a BTreeMap<String, String>,
    global: BTreeMap<String, String>,
    context: &'a Context<'a>,
    stages: Vec<(Option<String>, Stage<'a>)>,
    /// Offsets of line ends.
    lines: Vec<usize>,
}

impl Reader<'_, '_> {
    fn line(&self, span: &Span) -> usize {
        self.lines.partition_point(|end| *end < span.start) + 1
    }

    /// Number of a stage by its name or number.
    fn find(&self, name: &str) -> Option<usize> {
        let by_name = self
            .stages
            .iter()
            .position(|(stage, _)| stage.as_ref().is_some_and(|s| s.eq_ignore_ascii_case(name)));
        by_name.or_else(|| name.parse().ok().filter(|at| *at < self.stages.len()))
    }

    /// Expands with the variables of the stage, or of the ARGs before the first one.
    fn expand(&self, text: &str, line: usize) -> Result<String, ImageError> {
        let lookup = |name: &str| match self.stages.last() {
            Some((_, stage)) => stage.variable(name),
            None => self.global.get(name).cloned(),
        };
        words::expand(text, self.escape, &lookup)
            .map_err(|error| ImageError { line, message: error.to_string() })
    }

    /// A here-document with its variables expanded; quotes are text in it.
    fn document(&self, text: &str, line: usize) -> Result<String, ImageError> {
        let quoted: String = text
            .chars()
            .flat_map(|c| matches!(c, '"' | '\'').then_some(self.escape).into_iter().chain([c]))
            .collect();
        self.expand(&quoted, line)
    }

    fn stage(&mut self) -> Result<usize, ImageError> {
        self.stages.len().checked_sub(1).ok_or(ImageError { line: 1, message: "no FROM".to_owned() })
    }

    fn from(&mut self, image: &str, name: Option<&str>, line: usize) -> Result<(), ImageError> {
        // FROM sees the ARGs before the first stage alone.
        let lookup = |name: &str| self.global.get(name).cloned();
        let image = words::expand(image, self.escape, &lookup)
            .map_err(|error| ImageError { line, message: error.to_string() })?;
        if image.is_empty() {
            return Err(ImageError {
                line,
                message: "FROM names no image: a build argument has no value".to_owned(),
            });
        }
        let stage =
            match (self.find(&image).filter(|_| image.parse::<usize>().is_err()), self.context.named(&image))
            {
                (_, Some(Named::Image(other))) => {
                    Stage::new(self.context, Some(Fact { value: other.clone(), line }))
                }
                (_, Some(Named::Folder(_) | Named::Remote(_))) => {
                    let mut stage = Stage::new(self.context, None);
                    stage.facts.base_known = false;
                    stage.not_understood(line, &format!("FROM {image} starts from a context"));
                    stage
                }
                (Some(at), None) => self.stages[at].1.child(),
                (None, None) if image == "scratch" => Stage::new(self.context, None),
                (None, None) => Stage::new(self.context, Some(Fact { value: image, line })),
            };
        self.stages.push((name.map(ToOwned::to_owned), stage));
        Ok(())
    }

    fn argument(&mut self, text: &str, line: usize) -> Result<(), ImageError> {
        for (name, default) in words::pairs(text, self.escape) {
            let default = default.map(|default| self.expand(default, line)).transpose()?;
            let given = self.given.get(name).cloned();
            match self.stages.last_mut() {
                Some((_, stage)) => {
                    let outside = self.global.get(name).filter(|_| default.is_none()).cloned();
                    stage.argument(name, given.or(outside).or(default));
                }
                None => {
                    if let Some(value) = given.or(default) {
                        self.global.insert(name.to_owned(), value);
                    }
                }
            }
        }
        Ok(())
    }

    /// A command in either form; the shell form is wrapped as the engine does.
    fn command(&self, command: &Command<'_>, at: usize) -> Vec<String> {
        match command {
            Command::Exec(words) => words.value.iter().map(|word| word.value.clone().into_owned()).collect(),
            Command::Shell(text) => {
                let mut words = self.stages[at].1.shell.clone();
                words.push(self.joined(text.value));
                words
            }
            _ => Vec::new(),
        }
    }

    /// A shell line without the continuations and comments of the Dockerfile.
    fn joined(&self, text: &str) -> String {
        let mut joined = String::new();
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            match line.trim_end().strip_suffix(self.escape) {
                Some(line) => joined.push_str(line),
                None => joined.push_str(line),
            }
        }
        joined
    }

    fn copy_options(
        &mut self,
        at: usize,
        flags: &[Flag<'_>],
        line: usize,
    ) -> Result<(CopyOptions, Option<String>), ImageError> {
        let (mut options, mut from) = (CopyOptions::default(), None);
        for flag in flags {
            let value = flag.value.as_ref().map_or("", |value| &value.value);
            let value = self.expand(value, line)?;
            match &*flag.name.value {
                "from" => from = Some(value),
                "chown" => {
                    let group = if value.contains(':') { String::new() } else { format!(":{value}") };
                    options.owner = Some(value + &group);
                }
                "chmod" => match u32::from_str_radix(&value, 8) {
                    Ok(mode) => options.mode = Some(Mode::Octal(mode)),
                    Err(_) => self.stages[at].1.not_understood(line, &format!("--chmod={value}")),
                },
                "parents" => options.parents = value != "false",
                "link" | "keep-git-dir" | "checksum" => {}
                other => {
                    let text = format!("--{other}");
                    self.stages[at].1.not_understood(line, &text);
                }
            }
        }
        Ok((options, from))
    }

    fn copy(
        &mut self,
        flags: &[Flag<'_>],
        sources: &[Source<'_>],
        target: &str,
        add: bool,
        line: usize,
    ) -> Result<(), ImageError> {
        let at = self.stage()?;
        let (options, from) = self.copy_options(at, flags, line)?;
        let target = self.expand(target, line)?;
        let mut paths = Vec::new();
        for source in sources {
            match source {
                Source::Path(path) => {
                    let path = self.expand(&path.value, line)?;
                    let archive = [".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2"]
                        .iter()
                        .any(|end| path.ends_with(end));
                    if add && (path.contains("://") || path.starts_with("git@")) {
                        self.stages[at].1.download(&path, &target, &options, line);
                    } else if add && archive {
                        self.stages[at].1.not_understood(line, &format!("ADD {path} unpacks an archive"));
                    } else {
                        paths.push(path);
                    }
                }
                Source::HereDoc(text) => {
                    let content = if text.expand {
                        self.document(&text.value, line)?
                    } else {
                        text.value.clone().into_owned()
                    };
                    self.stages[at].1.inline(content, &target, &options, line);
                }
                _ => self.stages[at].1.not_understood(line, "COPY"),
            }
        }
        let named = from.as_ref().and_then(|name| self.context.named(name));
        match (from, named) {
            (None, _) => self.stages[at].1.copy(None, &paths, &target, &options, line),
            (Some(name), Some(Named::Folder(_))) => {
                self.stages[at].1.copy(Some(&name), &paths, &target, &options, line);
            }
            (_, Some(Named::Image(image))) => {
                self.stages[at].1.copy_from(&From::Image(image), &paths, &target, &options, line);
            }
            (Some(name), Some(Named::Remote(source))) => {
                let text = format!("the context {name} is {source}");
                self.stages[at].1.not_understood(line, &text);
            }
            (Some(name), None) => match self.find(&name) {
                Some(source) if source < at => {
                    let (before, after) = self.stages.split_at_mut(at);
                    let (_, origin) = &before[source];
                    after[0].1.copy_from(&From::Stage(&name, origin), &paths, &target, &options, line);
                }
                _ => self.stages[at].1.copy_from(&From::Image(&name), &paths, &target, &options, line),
            },
        }
        Ok(())
    }

    fn run(&mut self, at: usize, instruction: &parse_dockerfile::RunInstruction<'_>, line: usize) {
        for option in &instruction.options {
            if !matches!(&*option.name.value, "mount" | "network") {
                let text = format!("--{}", option.name.value);
                self.stages[at].1.not_understood(line, &text);
            }
        }
        let known = |shell: &[String]| {
            shell.first().is_some_and(|program| {
                matches!(program.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash"))
            })
        };
        match &instruction.arguments {
            Command::Exec(words) => {
                let argv: Vec<String> =
                    words.value.iter().map(|word| word.value.clone().into_owned()).collect();
                run::exec(&mut self.stages[at].1, &argv, line);
            }
            Command::Shell(text) if known(&self.stages[at].1.shell) => {
                let start = self.line(&text.span);
                if let Some(document) = instruction.here_docs.first() {
                    // The document is the script only where nothing else reads it.
                    if text.value.trim().is_empty() || text.value.trim_start().starts_with("<<") {
                        let document = document.value.clone().into_owned();
                        run::script(&mut self.stages[at].1, &document, start + 1);
                    } else {
                        self.stages[at].1.not_understood(line, text.value);
                    }
                    return;
                }
                let script = self.script(text.value);
                run::script(&mut self.stages[at].1, &script, start);
            }
            Command::Shell(text) => self.stages[at].1.not_understood(line, text.value),
            _ => self.stages[at].1.not_understood(line, "RUN"),
        }
    }

    /// A shell line as a shell reads it, with as many lines as before.
    fn script(&self, text: &str) -> String {
        let lines = text.lines().map(|line| {
            if line.trim_start().starts_with('#') || line.trim().is_empty() {
                return "\\".to_owned();
            }
            match line.trim_end().strip_suffix(self.escape) {
                Some(rest) => format!("{rest}\\"),
                None => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn instruction(&mut self, instruction: &Instruction<'_>) -> Result<(), ImageError> {
        match instruction {
            Instruction::From(from) => {
                let line = self.line(&from.from.span);
                self.from(&from.image.value, from.as_.as_ref().map(|(_, name)| &*name.value), line)
            }
            Instruction::Arg(arg) => self.argument(&arg.arguments.value, self.line(&arg.arg.span)),
            Instruction::Copy(copy) => {
                self.copy(&copy.options, &copy.src, &copy.dest.value, false, self.line(&copy.copy.span))
            }
            Instruction::Add(add) => {
                self.copy(&add.options, &add.src, &add.dest.value, true, self.line(&add.add.span))
            }
            Instruction::Run(run) => {
                let at = self.stage()?;
                self.run(at, run, self.line(&run.run.span));
                Ok(())
            }
            Instruction::Maintainer(_) => Ok(()),
            Instruction::Onbuild(onbuild) => {
                let (at, line) = (self.stage()?, self.line(&onbuild.onbuild.span));
                self.stages[at].1.not_understood(line, "ONBUILD acts on images that are built from this one");
                Ok(())
            }
            other => self.setting(other),
        }
    }

    /// Instructions that settle the image's configuration.
    fn setting(&mut self, instruction: &Instruction<'_>) -> Result<(), ImageError> {
        let at = self.stage()?;
        match instruction {
            Instruction::Env(env) => {
                let line = self.line(&env.env.span);
                // All values of one ENV see the variables as they were before it.
                for (name, value) in self.named(&env.arguments.value, line)? {
                    self.stages[at].1.facts.environment.insert(name, Fact { value, line });
                }
            }
            Instruction::Label(label) => {
                let line = self.line(&label.label.span);
                for (name, value) in self.named(&label.arguments.value, line)? {
                    self.stages[at].1.facts.labels.insert(name, Fact { value, line });
                }
            }
            Instruction::User(user) => {
                let line = self.line(&user.user.span);
                let value = self.expand(&user.arguments.value, line)?;
                self.stages[at].1.facts.user = Some(Fact { value, line });
            }
            Instruction::Workdir(workdir) => {
                let line = self.line(&workdir.workdir.span);
                let value = self.expand(&workdir.arguments.value, line)?;
                let value = self.stages[at].1.absolute(&value);
                self.stages[at].1.make_folder(&value, Some("root:root"), line);
                self.stages[at].1.facts.workdir = Some(Fact { value, line });
            }
            Instruction::Expose(expose) => {
                let line = self.line(&expose.expose.span);
                for port in &expose.arguments {
                    let port = self.expand(&port.value, line)?.to_ascii_lowercase();
                    let (ports, protocol) = port.split_once('/').unwrap_or((&port, "tcp"));
                    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
                    match (first.parse::<u16>(), last.parse::<u16>()) {
                        (Ok(first), Ok(last)) => {
                            let ports = (first..=last).map(|port| (format!("{port}/{protocol}"), line));
                            self.stages[at].1.facts.exposed.extend(ports);
                        }
                        _ => self.stages[at].1.not_understood(line, &format!("EXPOSE {port}")),
                    }
                }
            }
            Instruction::Volume(volume) => {
                let line = self.line(&volume.volume.span);
                let paths = match &volume.arguments {
                    JsonOrStringArray::Json(paths) => &paths.value,
                    JsonOrStringArray::String(paths) => paths,
                };
                for path in paths {
                    let path = absolute("/", &self.expand(&path.value, line)?);
                    self.stages[at].1.facts.volumes.insert(path, line);
                }
            }
            Instruction::Stopsignal(signal) => {
                let line = self.line(&signal.stopsignal.span);
                let value = self.expand(&signal.arguments.value, line)?;
                self.stages[at].1.facts.stop_signal = Some(Fact { value, line });
            }
            Instruction::Shell(shell) => {
                self.stages[at].1.shell =
                    shell.arguments.iter().map(|word| word.value.clone().into_owned()).collect();
            }
            Instruction::Entrypoint(entrypoint) => {
                let line = self.line(&entrypoint.entrypoint.span);
                let value = self.command(&entrypoint.arguments, at);
                let stage = &mut self.stages[at].1;
                stage.facts.entrypoint = Some(Fact { value, line });
                // The CMD of the base image goes; one of this Dockerfile stays.
                if !stage.own_cmd {
                    stage.facts.cmd = None;
                }
            }
            Instruction::Cmd(cmd) => {
                let line = self.line(&cmd.cmd.span);
                let value = self.command(&cmd.arguments, at);
                let stage = &mut self.stages[at].1;
                stage.facts.cmd = Some(Fact { value, line });
                stage.own_cmd = true;
            }
            Instruction::Healthcheck(health) => {
                let line = self.line(&health.healthcheck.span);
                let mut value = Health::default();
                if let HealthcheckArguments::Cmd { arguments, .. } = &health.arguments {
                    value.command = self.command(arguments, at);
                    for flag in &health.options {
                        let text = flag.value.as_ref().map_or("", |value| &value.value);
                        value.options.insert(flag.name.value.clone().into_owned(), self.expand(text, line)?);
                    }
                }
                self.stages[at].1.facts.health = Some(Fact { value, line });
            }
            _ => {
                let line = self.text.lines().count();
                self.stages[at].1.not_understood(line, "an instruction that is not known");
            }
        }
        Ok(())
    }

    fn named(&self, text: &str, line: usize) -> Result<Vec<(String, String)>, ImageError> {
        let pairs = words::pairs(text, self.escape).into_iter();
        pairs
            .map(|(name, value)| {
                Ok((self.expand(name, line)?, self.expand(value.unwrap_or_default(), line)?))
            })
            .collect()
    }
}
