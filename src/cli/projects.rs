//! Compose's own switches.

use std::path::PathBuf;

use clap::Args;

use crate::compose::Switches;

/// What `docker compose` is called with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compose's own switches")]
pub(super) struct Common {
    /// Environment file, instead of `COMPOSE_ENV_FILES` and .env; repeat it, later files win
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Profile that is on, instead of `COMPOSE_PROFILES`; repeat it for more
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Where relative paths begin and .env is, instead of the folder of the first file
    #[arg(long, value_name = "DIR")]
    project_directory: Option<PathBuf>,
    /// Name of the project, instead of `COMPOSE_PROJECT_NAME` and `name:`
    #[arg(long, value_name = "NAME")]
    project_name: Option<String>,
}

impl Common {
    pub(super) fn switches(self) -> Switches {
        Switches {
            env_files: self.env_file,
            profiles: self.profile,
            project_directory: self.project_directory,
            project_name: self.project_name,
        }
    }
}

/// Switches of two projects. A switch of one side replaces that of both.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compose's own switches")]
pub(super) struct Projects {
    #[command(flatten)]
    common: Common,
    /// Environment file of the legacy project
    #[arg(long, value_name = "FILE", requires = "legacy")]
    legacy_env_file: Vec<PathBuf>,
    /// Environment file of the bundle's project
    #[arg(long, value_name = "FILE", requires = "bundle")]
    bundle_env_file: Vec<PathBuf>,
    /// Profile that is on in the legacy project
    #[arg(long, value_name = "NAME", requires = "legacy")]
    legacy_profile: Vec<String>,
    /// Profile that is on in the bundle's project
    #[arg(long, value_name = "NAME", requires = "bundle")]
    bundle_profile: Vec<String>,
    /// Project directory of the legacy project
    #[arg(long, value_name = "DIR", requires = "legacy")]
    legacy_project_directory: Option<PathBuf>,
    /// Project directory of the bundle's project
    #[arg(long, value_name = "DIR", requires = "bundle")]
    bundle_project_directory: Option<PathBuf>,
    /// Name of the legacy project
    #[arg(long, value_name = "NAME", requires = "legacy")]
    legacy_project_name: Option<String>,
    /// Name of the bundle's project
    #[arg(long, value_name = "NAME", requires = "bundle")]
    bundle_project_name: Option<String>,
}

impl Projects {
    /// Switches of a single project, of the legacy one and of the bundle's.
    pub(super) fn switches(self) -> (Switches, Switches, Switches) {
        let common = self.common.switches();
        let legacy = Switches {
            env_files: self.legacy_env_file,
            profiles: self.legacy_profile,
            project_directory: self.legacy_project_directory,
            project_name: self.legacy_project_name,
        };
        let bundle = Switches {
            env_files: self.bundle_env_file,
            profiles: self.bundle_profile,
            project_directory: self.bundle_project_directory,
            project_name: self.bundle_project_name,
        };
        let [legacy, bundle] = [legacy, bundle].map(|own| own.or(&common));
        (common, legacy, bundle)
    }
}
