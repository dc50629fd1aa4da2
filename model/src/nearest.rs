//! Suggestions for names that are not known.

/// How alike two names have to be, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.75;

/// The known name that `wanted` is probably meant to be.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
