//! Facts about an image that its Dockerfile shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A fact and the line, from 1, of the instruction that settles it; 0: the base image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact<T> {
    /// The facts that apply.
    pub value: T,
    /// Line of the Dockerfile.
    pub line: usize,
}

/// Everything that one image is known to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The image that the final stage starts from; `None`: `scratch`.
    pub base: Option<Fact<String>>,
    /// Images that files are copied from.
    pub sources: BTreeMap<String, usize>,
    /// Whether the content of the base image is known ([`super::upstream`]), or the image has no base.
    pub base_known: bool,
    /// Packages by manager and name, with the version where one is pinned.
    pub packages: BTreeMap<(Manager, String), Fact<Option<String>>>,
    /// Files, folders and links that instructions put there, by absolute path.
    pub paths: BTreeMap<String, Fact<PathFact>>,
    /// Paths of the base image or of a package that an instruction removes.
    pub removed: BTreeMap<String, usize>,
    /// Users and groups that instructions add.
    pub users: BTreeMap<String, Fact<UserFact>>,
    /// ENV, that of a known base included.
    pub environment: BTreeMap<String, Fact<String>>,
    /// LABEL.
    pub labels: BTreeMap<String, Fact<String>>,
    /// EXPOSE, as `port/protocol`.
    pub exposed: BTreeMap<String, usize>,
    /// VOLUME.
    pub volumes: BTreeMap<String, usize>,
    /// USER.
    pub user: Option<Fact<String>>,
    /// WORKDIR.
    pub workdir: Option<Fact<String>>,
    /// ENTRYPOINT, shell form wrapped as the engine does.
    pub entrypoint: Option<Fact<Vec<String>>>,
    /// CMD, likewise.
    pub cmd: Option<Fact<Vec<String>>>,
    /// STOPSIGNAL.
    pub stop_signal: Option<Fact<String>>,
    /// HEALTHCHECK; an empty command is `NONE`.
    pub health: Option<Fact<Health>>,
    /// Sources of COPY and ADD that do not exist, so that the build fails.
    pub missing: BTreeSet<(usize, String)>,
    /// What instructions do that is not understood.
    pub not_understood: BTreeSet<(usize, String)>,
}

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// Debian's.
    Apt,
    /// Alpine's.
    Apk,
    /// Python's.
    Pip,
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apt => "apt",
            Self::Apk => "apk",
            Self::Pip => "pip",
        })
    }
}

/// A path of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathFact {
    /// Where its content comes from.
    pub origin: Origin,
    /// `user:group`, by name where the name is known.
    pub owner: String,
    /// Permissions, where an instruction sets them.
    pub mode: Mode,
}

/// Where the content of a path comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file of the build context.
    Context(String),
    /// A path of another image.
    Image {
        /// Reference of the image.
        reference: String,
        /// Path there.
        path: String,
    },
    /// Results of commands in a build stage, which the checker cannot know.
    Built {
        /// Name of the stage.
        stage: String,
        /// Path there.
        path: String,
    },
    /// A download.
    Url(String),
    /// Text from the Dockerfile.
    Inline(String),
    /// A folder that an instruction made.
    Folder,
    /// A symbolic link.
    Link(String),
    /// The base image or a package; an instruction changed its owner or mode alone.
    Base,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(path) => write!(f, "{path}"),
            Self::Image { reference, path } => write!(f, "{path} of {reference}"),
            Self::Built { stage, path } => write!(f, "{path} of the stage {stage}"),
            Self::Url(url) => write!(f, "{url}"),
            Self::Inline(_) => write!(f, "text of the Dockerfile"),
            Self::Folder => write!(f, "a folder"),
            Self::Link(target) => write!(f, "a link to {target}"),
            Self::Base => write!(f, "the base image"),
        }
    }
}

/// Permissions of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Those of the file in the build context; only whether it is executable is certain.
    Source {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// As a number.
    Octal(u32),
    /// Whatever the other image, the package or the command gives it.
    Unset,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { executable: true } => f.write_str("executable"),
            Self::Source { executable: false } => f.write_str("not executable"),
            Self::Octal(mode) => write!(f, "{mode:04o}"),
            Self::Unset => f.write_str("default mode"),
        }
    }
}

/// A user or a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFact {
    /// `user` or `group`.
    pub kind: &'static str,
    /// Number, where given.
    pub id: Option<String>,
    /// Home folder, where given.
    pub home: Option<String>,
}

/// A health probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Command; empty: `NONE`.
    pub command: Vec<String>,
    /// Options as written, by name.
    pub options: BTreeMap<String, String>,
}
