//! Images that the services of a compose document build (compose-spec, build).

use std::collections::BTreeMap;

use bottle_model::compose::{Compose, Setting};

use super::context::{clean, is_local, join};
use super::{Build, Image, ImageError, Tree};

/// Where a document belongs.
#[derive(Clone, Copy)]
pub struct Project<'a> {
    /// Folder, absolute: relative contexts begin here.
    pub folder: &'a str,
    /// Folder, absolute, that messages leave out of paths below it.
    pub shown: &'a str,
    /// The file system. Paths are absolute.
    pub tree: Tree<'a>,
}

/// What the services of a document build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// Images by service.
    pub images: BTreeMap<String, Image>,
    /// Why the build of a service cannot be looked into, by service.
    pub unread: BTreeMap<String, String>,
}

/// A Dockerfile of a document that is there and is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{}: {error}", error.line)]
pub struct Unreadable {
    /// The Dockerfile, as messages show it.
    pub file: String,
    /// What is wrong.
    pub error: ImageError,
}

/// Reads the image of every service that has a `build`.
///
/// # Errors
///
/// A Dockerfile that is there and is not valid.
pub fn built(compose: &Compose, project: &Project<'_>) -> Result<Built, Unreadable> {
    let mut all = Built::default();
    for (service, settings) in &compose.services {
        let Some(Setting::Map(build)) = settings.settings.get("build") else { continue };
        match image(service, build, project)? {
            Ok(image) => drop(all.images.insert(service.clone(), image)),
            Err(why) => drop(all.unread.insert(service.clone(), why)),
        }
    }
    Ok(all)
}

fn image(
    service: &str,
    leaves: &BTreeMap<String, String>,
    project: &Project<'_>,
) -> Result<Result<Image, String>, Unreadable> {
    let below = |prefix: &str| -> BTreeMap<String, String> {
        let named = leaves.iter().filter_map(|(leaf, value)| Some((leaf.strip_prefix(prefix)?, value)));
        named.map(|(name, value)| (name.to_owned(), value.clone())).collect()
    };
    let context = leaves.get("context").map_or(".", String::as_str);
    if !is_local(context) {
        return Ok(Err(format!("its context is {context}, which only a builder can fetch")));
    }
    let local = |path: &str| if is_local(path) { absolute(project.folder, path) } else { path.to_owned() };
    let context = absolute(project.folder, context);
    let mut build = Build {
        dockerfile: absolute(&context, leaves.get("dockerfile").map_or("Dockerfile", String::as_str)),
        context,
        arguments: below("args."),
        target: leaves.get("target").cloned(),
        contexts: below("additional_contexts.")
            .into_iter()
            .map(|(name, path)| (name, local(&path)))
            .collect(),
    };
    let text = match leaves.get("dockerfile_inline") {
        Some(text) => {
            build.dockerfile = format!("services.{service}.build.dockerfile_inline");
            text.clone()
        }
        None => match (project.tree.text)(&build.dockerfile) {
            Some(text) => text,
            None => return Ok(Err(format!("{} cannot be read", shown(&build.dockerfile, project)))),
        },
    };
    let file = shown(&build.dockerfile, project);
    match Image::built(&text, &build, project.tree) {
        Ok(image) => Ok(Ok(Image { dockerfile: file, ..image })),
        Err(error) => Err(Unreadable { file, error }),
    }
}

/// A path below a folder, without `.` and `..`.
fn absolute(folder: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { join(folder, path) };
    // `..` above the root stays there.
    clean(&joined).map_or(joined, |path| format!("/{path}"))
}

fn shown(path: &str, project: &Project<'_>) -> String {
    let below = path.strip_prefix(project.shown).and_then(|rest| rest.strip_prefix('/'));
    below.unwrap_or(path).to_owned()
}
