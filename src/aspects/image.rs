//! Image references.

use super::change::{Change, map};
use super::pair::Pair;
use crate::finding::{Finding, Shown};
use crate::rule::rules;
use crate::view::Principal;

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
    // Who keeps a container keeps its image; who is merged gets the bundle's.
    let expected = pair.merged() && before.expected && after.expected;
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

/// How an image is built. The merger's own Dockerfile is intended, in a context that one of the daemons had.
pub(super) fn build(change: &Change<'_>) -> Option<Finding> {
    let pair = change.pair;
    if pair.merged() && change.was.is_some() && change.is.is_some() {
        let own = |leaf: &str| {
            let step = leaf.split('.').next().unwrap_or(leaf);
            matches!(step, "args" | "context" | "dockerfile" | "dockerfile_inline" | "tags" | "target")
        };
        let others = |side| map(side).iter().filter(|(leaf, _)| !own(leaf)).collect::<Vec<_>>();
        let context = map(change.is).get("context");
        let had = |principal: &Principal<'_>| {
            map(principal.settings.get("build").copied()).get("context") == context
        };
        if others(change.was) == others(change.is) && (had(pair.before) || pair.neighbour_had(had).is_some())
        {
            return None;
        }
    }
    Some(change.whole(&PIN))
}
