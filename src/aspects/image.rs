//! Image references.

use super::Pair;
use super::compare::rules;
use crate::finding::{Finding, Shown};

rules! {
    PIN = "image-pin-changed" Conservation Error "an image is neither the default nor the override in force"
        "Another image is another program. The default, or the reference in BOT_BOTTLE_*_IMAGE, is expected; the agent's stays as it is.";
    UNPINNED = "image-unpinned" Conservation Warning "an upstream image has no digest"
        "A tag can be moved. The project's own images are exempt.";
}

pub(super) fn parties(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (&pair.before.image, &pair.after.image);
    let expected = before.expected && after.expected;
    if before.reference != after.reference && !expected {
        let text = |reference: &Option<String>| reference.clone().unwrap_or_else(|| "(none)".to_owned());
        findings.push(
            Finding::changed(
                &PIN,
                pair.name,
                "image",
                Shown::plain(text(&before.reference), pair.was("image")),
                Shown::plain(text(&after.reference), pair.is("image")),
            )
            .because("the reference is not the one that is expected"),
        );
    } else if after.unpinned && !before.unpinned {
        let text = after.reference.clone().unwrap_or_default();
        findings.push(
            Finding::gained(&UNPINNED, pair.name, "image", Shown::plain(text, pair.is("image")))
                .because("it has no digest"),
        );
    }
}
