//! Image references.

use super::Pair;
use crate::finding::{Finding, Shown};
use crate::rule::rules;

rules! {
    comparison:
    PIN = ImagePinChanged Conservation Error ["path"] "an image is neither the default nor the override in force"
        "Another image is another program. Expected are the built-in references, or those that \
         `BOT_BOTTLE_SIDECAR_IMAGE`, `BOT_BOTTLE_PIPELOCK_IMAGE` and their like name; the image of the \
         agent stays as it is. A service that is built from a context, or that an external provider runs, \
         does not come from the expected image either.\n\n\
         Example: `sidecars` runs `example.com/sidecars:dev`, and no override says so.\n\n\
         What to do: set the override when the comparison runs, so that it is on record, or restore the \
         reference.";
    UNPINNED = ImageUnpinned Conservation Warning ["path"] "an upstream image has no digest"
        "A tag can be moved to another image, and the next pull brings it. An upstream image that was \
         pinned by its digest, or was not there before, is named by a tag alone. The project's own \
         `bot-bottle-…` images are built locally and are exempt.\n\n\
         Example: `ghcr.io/luckypipewrench/pipelock@sha256:…` became \
         `ghcr.io/luckypipewrench/pipelock:2.3.0`.\n\n\
         What to do: add `@sha256:…` to the reference.";
}

pub(super) fn principals(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let (before, after) = (&pair.before.image, &pair.after.image);
    let expected = before.expected && after.expected;
    if before.reference != after.reference && !expected {
        findings.push(
            Finding::changed(
                &PIN,
                pair.name,
                "image",
                Shown::plain(before.reference.unwrap_or("(none)"), pair.was("image")),
                Shown::plain(after.reference.unwrap_or("(none)"), pair.is("image")),
            )
            .because("the reference is not the one that is expected"),
        );
    } else if after.unpinned && !before.unpinned {
        let text = after.reference.unwrap_or_default();
        findings.push(
            Finding::gained(&UNPINNED, pair.name, "image", Shown::plain(text, pair.is("image")))
                .because("it has no digest"),
        );
    }
}
