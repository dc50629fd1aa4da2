//! Which zone a file belongs to, and which files are records that are never rewritten.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::config::Config;
use crate::scan::Zone;

/// Globs that say which zone a file belongs to.
pub(in crate::scan) struct Zones {
    pub(super) test: GlobSet,
    doc: GlobSet,
}

impl Zones {
    /// The zones of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        let globs_of = |globs: &[toml::Spanned<String>]| {
            super::zones::globs(globs.iter().map(|glob| glob.get_ref().as_str()))
        };
        Self { test: globs_of(&config.scan.test), doc: globs_of(&config.scan.doc) }
    }

    /// The zone of the file `name`.
    pub(in crate::scan) fn of(&self, name: &str) -> Zone {
        if self.test.is_match(name) {
            Zone::Test
        } else if self.doc.is_match(name) {
            Zone::Doc
        } else {
            Zone::Code
        }
    }
}

/// Compiles globs; `*` does not match `/`.
pub(super) fn globs<'a>(patterns: impl IntoIterator<Item = &'a str>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // The configuration was read with the same library.
        if let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() {
            set.add(glob);
        }
    }
    set.build().unwrap_or_default()
}
