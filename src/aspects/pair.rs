//! A principal as both documents have it.

use crate::view::{Principal, View};

/// A principal on both sides.
pub(super) struct Pair<'a> {
    pub(super) name: &'a str,
    pub(super) before: &'a Principal<'a>,
    pub(super) after: &'a Principal<'a>,
    pub(super) views: (&'a View<'a>, &'a View<'a>),
    /// The other principals of its container after.
    pub(super) neighbours: Vec<Neighbour<'a>>,
}

/// Another principal of a container.
pub(super) struct Neighbour<'a> {
    pub(super) name: &'a str,
    pub(super) before: Option<&'a Principal<'a>>,
    pub(super) after: Option<&'a Principal<'a>>,
}

impl<'a> Pair<'a> {
    pub(super) fn of(
        name: &'a str,
        (before, after): (&'a Principal<'a>, &'a Principal<'a>),
        views: (&'a View<'a>, &'a View<'a>),
    ) -> Self {
        let neighbours = after.together.iter().filter(|other| **other != name).map(|name| Neighbour {
            name,
            before: views.0.principals.get(name),
            after: views.1.principals.get(name),
        });
        Self { name, before, after, views, neighbours: neighbours.collect() }
    }

    /// Whether it had a container of its own and is merged now.
    pub(super) fn merged(&self) -> bool {
        self.before.walls.is_none() && self.after.walls.is_some()
    }

    /// Whether another principal of the container had something before.
    pub(super) fn neighbour_had(&self, had: impl Fn(&Principal<'_>) -> bool) -> Option<&'a str> {
        let mut neighbours = self.neighbours.iter();
        neighbours.find(|neighbour| neighbour.before.is_some_and(&had)).map(|neighbour| neighbour.name)
    }

    /// Place of an attribute on the before side.
    pub(super) fn was(&self, attribute: &str) -> String {
        format!("services.{}.{attribute}", self.before.service)
    }

    /// Place of an attribute on the after side.
    pub(super) fn is(&self, attribute: &str) -> String {
        format!("services.{}.{attribute}", self.after.service)
    }
}
