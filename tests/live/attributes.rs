//! Every attribute with every kind of value: what the reader takes, Compose takes too, and both mean the same.

use bottle_migrate::compose::read_text;
use bottle_model::compose::attributes::ATTRIBUTES;
use rayon::prelude::*;

use crate::compose::{difference, normalised, read_back};

/// Attributes that are more than a line in the table.
const STRUCTURED: &[&str] = &[
    "command",
    "configs",
    "container_name",
    "depends_on",
    "entrypoint",
    "env_file",
    "environment",
    "extends",
    "extra_hosts",
    "healthcheck",
    "hostname",
    "image",
    "label_file",
    "labels",
    "networks",
    "ports",
    "profiles",
    "secrets",
    "tmpfs",
    "user",
    "volumes",
    "working_dir",
];

/// Places below an attribute, `@` for the value.
const NESTED: &[&str] = &[];

const VALUES: &[&str] = &[
    "", "''", "x", "'1'", "1", "1.5", "-1", "true", "[]", "{}", "[x]", "[a=b]", "{a: b}", "[null]", "{a: }",
    "[1]", "{a: 1}",
];

/// Services, each with one value in one place.
fn services() -> Vec<String> {
    let attributes = ATTRIBUTES.iter().map(|(name, _)| *name).chain(STRUCTURED.iter().copied());
    let places =
        attributes.map(|name| format!("{name}: @")).chain(NESTED.iter().map(|place| (*place).to_owned()));
    places
        .flat_map(|place| VALUES.iter().map(move |value| place.replace('@', value)))
        .map(|place| if place.starts_with("image:") { place } else { format!("image: i, {place}") })
        .collect()
}

fn document(services: &[String]) -> String {
    let services = services.iter().enumerate().map(|(at, service)| format!("  s{at}: {{{service}}}\n"));
    format!("name: p\nservices:\n{}", services.collect::<String>())
}

/// Disagreements about services that the reader takes; one document holds them all as long as nobody objects.
fn disagreements(services: &[String]) -> Vec<String> {
    let text = document(services);
    let fault = match (read_text(&text, &|_| None), normalised(&text)) {
        (Ok(ours), Ok(json)) => difference(&ours, &read_back(&json)),
        (Ok(_), Err(refusal)) => Some(format!("Compose refuses it: {refusal}")),
        (Err(error), _) => Some(format!("the reader refuses it: {error}")),
    };
    match (fault, services) {
        (None, _) => Vec::new(),
        (Some(fault), [service]) => vec![format!("{{{service}}}: {fault}")],
        (Some(_), several) => {
            let (first, second) = several.split_at(several.len() / 2);
            [disagreements(first), disagreements(second)].concat()
        }
    }
}

#[test]
fn what_the_reader_takes_compose_takes_too() {
    let taken: Vec<String> = services()
        .into_iter()
        .filter(|service| {
            let read = read_text(&document(std::slice::from_ref(service)), &|_| None);
            read.is_ok_and(|document| document.unmodelled.is_empty())
        })
        .collect();
    assert!(taken.len() > 200, "the reader refuses nearly everything");
    let disagreements: Vec<String> = taken.par_chunks(16).flat_map_iter(disagreements).collect();
    assert!(disagreements.is_empty(), "{} differ:\n{}", disagreements.len(), disagreements.join("\n"));
}
