//! Compose documents as the checker takes them in.

use bottle_model::compose::Compose;

/// A document, with what could not be taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The canonical document.
    pub compose: Compose,
    /// Attributes that the checker does not model.
    pub unmodelled: Vec<Unmodelled>,
    /// Variables that the document interpolates and that are not set.
    pub unresolved: Vec<Unresolved>,
}

/// An attribute that the checker does not model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmodelled {
    /// Service that has it; empty: the document.
    pub service: String,
    /// Its name.
    pub attribute: String,
    /// Where it stands, dotted.
    pub place: String,
}

/// A variable that is interpolated and not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// Service that uses it; empty: the document.
    pub service: String,
    /// Its name.
    pub variable: String,
    /// Where it stands, dotted.
    pub place: String,
}

impl From<Compose> for Document {
    fn from(compose: Compose) -> Self {
        Self { compose, ..Self::default() }
    }
}
