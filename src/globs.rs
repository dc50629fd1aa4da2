//! Sets of globs.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A set of globs in which `*` stays within a folder.
pub(crate) fn set<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| error.kind().to_string())?);
    }
    set.build().map_err(|error| error.kind().to_string())
}
