//! Variables and labels of a service, those of its files included.

use std::path::Path;

use bottle_model::compose::EnvValue;
use indexmap::IndexMap;

use super::Unresolved;
use super::dotenv::{Reading, Variables};
use super::load::{Loader, Unit};
use super::tree::{Failure, Node};
use super::value;

/// `env_file`, and `environment` over it; without `files`, as for a service that is off, only the latter.
pub(super) fn variables(
    service: &Node<'_>,
    loader: &mut Loader<'_>,
    unit: &Unit,
    files: bool,
) -> Result<IndexMap<String, EnvValue>, Failure> {
    let mut own: IndexMap<String, Option<String>> = IndexMap::new();
    if let Some(node) = service.get("environment") {
        for (name, node) in node.entries()? {
            if name.is_empty() || name.ends_with(char::is_whitespace) || name.contains('=') {
                return Err(node.fail(format!("{name:?} is not the name of a variable")));
            }
            let value = if node.is_null() { None } else { Some(node.scalar()?) };
            own.insert(name.to_owned(), value);
        }
    }
    let mut variables = Variables::new();
    if let Some(node) = service.get("env_file").filter(|_| files) {
        for item in node.items()? {
            file(&item, service, &own, &mut variables, loader, unit)?;
        }
    }
    variables.extend(own);
    let outside = |name: &str| match loader.variable(&unit.env, name) {
        // What a file says, rather than whoever starts the containers.
        Some(value) if !loader.inherited(name) => EnvValue::Literal(value),
        _ => EnvValue::Inherit,
    };
    Ok(variables
        .into_iter()
        .map(|(name, value)| {
            let value = value.map_or_else(|| outside(&name), EnvValue::Literal);
            (name, value)
        })
        .collect())
}

/// Reads an item of `env_file`.
fn file(
    item: &Node<'_>,
    service: &Node<'_>,
    own: &IndexMap<String, Option<String>>,
    variables: &mut Variables,
    loader: &mut Loader<'_>,
    unit: &Unit,
) -> Result<(), Failure> {
    let path = item.get("path").ok_or_else(|| item.fail("has no path"))?;
    let required = item.get("required").map_or(Ok(true), |node| node.boolean())?;
    let format = item.get("format").map(|node| node.text().map(str::to_owned)).transpose()?;
    let Some((text, mark)) = loader.optional(Path::new(path.text()?))? else {
        return if required { Err(path.fail(format!("there is no file {}", path.text()?))) } else { Ok(()) };
    };
    let mut unset = Vec::new();
    let view = loader.environment(&unit.env);
    let lookup = |name: &str| view(name).or_else(|| own.get(name).cloned().flatten());
    let mut reading =
        Reading { file: mark.file, lookup: &lookup, budget: &mut loader.budget, unset: &mut unset };
    match format.as_deref().unwrap_or_default() {
        "" => reading.parse(&text, variables)?,
        "raw" => reading.parse_raw(&text, variables)?,
        other => return Err(item.fail(format!("{other:?} is not a format of env_file"))),
    }
    missing(service, item, unset, loader);
    Ok(())
}

/// `label_file`, and `labels` over it.
pub(super) fn labels(
    service: &Node<'_>,
    loader: &mut Loader<'_>,
    files: bool,
) -> Result<IndexMap<String, String>, Failure> {
    let mut labels = Variables::new();
    if let Some(node) = service.get("label_file").filter(|_| files) {
        for item in node.items()? {
            let Some((text, mark)) = loader.optional(Path::new(item.text()?))? else {
                return Err(item.fail(format!("there is no file {}", item.text()?)));
            };
            let mut unset = Vec::new();
            // A file may refer to the labels of those before it.
            let earlier = std::mem::take(&mut labels);
            let lookup = |name: &str| earlier.get(name).cloned().flatten();
            let mut reading =
                Reading { file: mark.file, lookup: &lookup, budget: &mut loader.budget, unset: &mut unset };
            let mut own = Variables::new();
            reading.parse(&text, &mut own)?;
            labels = earlier;
            labels.extend(own.into_iter().filter(|(_, value)| value.is_some()));
            missing(service, &item, unset, loader);
        }
    }
    let mut labels: IndexMap<String, String> =
        labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if let Some(node) = service.get("labels") {
        for (name, node) in node.entries()? {
            labels.insert(name.to_owned(), value::text_or_empty(&node)?);
        }
    }
    Ok(labels)
}

/// Tells which variables a file refers to that nobody sets.
fn missing(service: &Node<'_>, item: &Node<'_>, unset: Vec<String>, loader: &mut Loader<'_>) {
    let service = service.service();
    loader.unresolved.extend(unset.into_iter().map(|variable| Unresolved {
        service: service.clone(),
        variable,
        place: item.place(),
    }));
}
