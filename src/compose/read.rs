//! From a file to a document: guards, YAML, interpolation, top level.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bottle_model::compose::{Compose, Resource};
use indexmap::IndexMap;
use serde_yaml::Value;

use super::interpolate::{Interpolation, interpolate};
use super::node::{Failure, Node};
use super::{Document, ReadError, Unmodelled, Unresolved, service};

/// A compose file larger than this is refused, in bytes.
const SIZE: usize = 4 << 20;
/// Nesting deeper than this is refused; real files stay below 16.
const DEPTH: usize = 64;

/// Reads a compose file. `lookup` is the environment of the process; `.env` beside the file comes after it.
///
/// # Errors
///
/// The first thing that is wrong, with file and place. Override files are not understood yet, so that more than
/// one file is an error.
pub fn read(files: &[PathBuf], lookup: &dyn Fn(&str) -> Option<String>) -> Result<Document, ReadError> {
    let [file] = files else {
        return Err(ReadError {
            file: String::new(),
            line: None,
            message:
                "override files are not supported: give one compose file per side, for example the output of \
                      docker compose config"
                    .to_owned(),
        });
    };
    let name = file.display().to_string();
    let fail = |message: String| ReadError { file: name.clone(), line: None, message };
    let metadata = std::fs::metadata(file).map_err(|error| fail(error.to_string()))?;
    if metadata.is_dir() {
        return Err(fail("is a folder".to_owned()));
    }
    if metadata.len() > SIZE as u64 {
        return Err(fail(format!("has {} bytes; the limit is {SIZE}", metadata.len())));
    }
    let bytes = std::fs::read(file).map_err(|error| fail(error.to_string()))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| fail(format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))?;
    let folder = file.parent().map_or_else(PathBuf::new, PathBuf::from);
    let env = std::fs::read_to_string(folder.join(".env")).unwrap_or_default();
    let env: BTreeMap<&str, &str> = env
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .map(|(name, value)| (name.trim(), value.trim().trim_matches(['"', '\''])))
        .collect();
    let both = |name: &str| lookup(name).or_else(|| env.get(name).map(|value| (*value).to_owned()));
    read_text(&text, &both).map_err(|error| ReadError { file: name.clone(), ..error })
}

/// Reads a compose document.
///
/// # Errors
///
/// The first thing that is wrong, with its place.
pub fn read_text(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Document, ReadError> {
    let fail = |line, message| ReadError { file: String::new(), line, message };
    if text.len() > SIZE {
        return Err(fail(None, format!("the document has {} bytes; the limit is {SIZE}", text.len())));
    }
    if let Some(line) = too_deep(text) {
        return Err(fail(Some(line), format!("nests deeper than {DEPTH} levels")));
    }
    let mut value: Value = serde_yaml::from_str(text)
        .map_err(|error| fail(error.location().map(|location| location.line()), short(&error.to_string())))?;
    value.apply_merge().map_err(|error| fail(None, short(&error.to_string())))?;
    let mut document = Document::default();
    let mut work = Interpolation { lookup, unresolved: Vec::new() };
    let located = |failure: Failure| {
        let place = if failure.place.is_empty() { String::new() } else { format!("{}: ", failure.place) };
        fail(super::locate(text, &failure.place), format!("{place}{}", short(&failure.message)))
    };
    interpolate(&mut value, &mut String::new(), &mut work).map_err(located)?;
    document.unresolved = work
        .unresolved
        .into_iter()
        .map(|(place, variable)| Unresolved { service: owner(&place), variable, place })
        .collect();
    let mut unmodelled = Vec::new();
    document.compose = top(&Node::root(&value), &mut unmodelled).map_err(located)?;
    document.unmodelled = unmodelled
        .into_iter()
        .map(|place: String| Unmodelled {
            service: owner(&place),
            attribute: place.rsplit('.').next().unwrap_or_default().to_owned(),
            place,
        })
        .collect();
    Ok(document)
}

fn owner(place: &str) -> String {
    place.strip_prefix("services.").and_then(|rest| rest.split('.').next()).unwrap_or_default().to_owned()
}

/// Messages of the parser may quote the input at length.
fn short(message: &str) -> String {
    message.chars().take(300).collect()
}

/// First line at which flow collections or indentation nest too deeply.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (number, line) in text.lines().enumerate() {
        let dashes = line.trim_start().split(' ').take_while(|word| *word == "-").count();
        let indent = line.len() - line.trim_start().len();
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEPTH {
                return Some(number + 1);
            }
        }
        if dashes > DEPTH || (indent > 8 * DEPTH && !line.trim().is_empty()) {
            return Some(number + 1);
        }
        // Openers inside of quoted text do not add up from line to line of block style.
        if indent == 0 && !line.starts_with(['[', '{', ']', '}', ' ']) {
            depth = 0;
        }
    }
    None
}

fn top(root: &Node<'_>, unmodelled: &mut Vec<String>) -> Result<Compose, Failure> {
    let mut compose = Compose::default();
    let entries = root.map()?;
    for (key, node) in &entries {
        match key.as_str() {
            "name" => compose.project = Some(node.text()?),
            "services" => {
                for (name, node) in node.map()? {
                    if !service::profiled(&node)? {
                        compose.services.insert(name, service::read(&node, unmodelled)?);
                    }
                }
            }
            "networks" => compose.networks = resources(node)?,
            "volumes" => compose.volumes = resources(node)?,
            "configs" => compose.configs = resources(node)?,
            "secrets" => compose.secrets = resources(node)?,
            "version" => {}
            other if other.starts_with("x-") => {}
            _ => unmodelled.push(node.place.clone()),
        }
    }
    if !entries.iter().any(|(key, _)| key == "services") {
        return Err(root.fail("is not a compose file: it has no services"));
    }
    Ok(compose)
}

fn resources(node: &Node<'_>) -> Result<IndexMap<String, Resource>, Failure> {
    let mut resources = IndexMap::new();
    for (name, node) in node.map()? {
        let mut resource = Resource::default();
        for (key, node) in node.map()? {
            match key.as_str() {
                "name" => resource.name = Some(node.text()?),
                "internal" => resource.internal = node.boolean()?,
                "external" => match node.value {
                    Value::Mapping(_) => {
                        resource.external = true;
                        for (key, node) in node.map()? {
                            if key == "name" {
                                resource.name = Some(node.text()?);
                            }
                        }
                    }
                    _ => resource.external = node.boolean()?,
                },
                other if other.starts_with("x-") => {}
                "labels" => {
                    for (label, value) in super::value::pairs(&node)? {
                        resource.settings.insert(format!("labels.{label}"), value.unwrap_or_default());
                    }
                }
                other => super::value::leaves(&node, other, &mut resource.settings)?,
            }
        }
        resource
            .settings
            .retain(|key, value| !(value == "false" && matches!(key.as_str(), "attachable" | "enable_ipv6")));
        resources.insert(name, resource);
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_service(service: &str) -> Compose {
        read_text(&format!("services:\n  a: {service}\n"), &|_| None).unwrap().compose
    }

    #[test]
    fn short_and_long_syntax_mean_the_same() {
        for (short, long) in [
            (
                "{volumes: ['/h:/c:ro']}",
                "{volumes: [{type: bind, source: /h/, target: /c, read_only: true}]}",
            ),
            ("{volumes: ['v:/c']}", "{volumes: [{type: volume, source: v, target: /c/}]}"),
            ("{tmpfs: /run}", "{volumes: [{type: tmpfs, target: /run}]}"),
            (
                "{ports: ['127.0.0.1:80:8080']}",
                "{ports: [{target: 8080, published: '80', host_ip: 127.0.0.1}]}",
            ),
            ("{ports: ['80-81:8080-8081/udp']}", "{ports: ['80:8080/udp', '81:8081/udp']}"),
            ("{environment: [A=1, B]}", "{environment: {A: 1, B: }}"),
            ("{command: sh -c 'a b'}", "{command: [sh, -c, a b]}"),
            ("{extra_hosts: ['h:192.0.2.1']}", "{extra_hosts: {h: 192.0.2.1}}"),
            ("{depends_on: [b]}", "{depends_on: {b: {condition: service_started}}}"),
            ("{networks: [n]}", "{networks: {n: }}"),
            ("{healthcheck: {test: exit 0}}", "{healthcheck: {test: [CMD-SHELL, exit 0]}}"),
            ("{mem_limit: 512m}", "{mem_limit: 536870912}"),
            ("{stop_grace_period: 1m30s}", "{stop_grace_period: 90s}"),
            ("{cap_add: [CAP_NET_ADMIN]}", "{cap_add: [NET_ADMIN]}"),
            ("{build: .}", "{build: {context: .}}"),
        ] {
            assert_eq!(read_service(short), read_service(long), "{short}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_are_expanded() {
        let merged = "x-a: &a {user: root, image: i}\nservices:\n  s:\n    <<: *a\n    user: u\n";
        let plain = "services:\n  s: {user: u, image: i}\n";
        assert_eq!(
            read_text(merged, &|_| None).map(|d| d.compose),
            read_text(plain, &|_| None).map(|d| d.compose)
        );
    }

    #[test]
    fn what_is_not_modelled_is_told() {
        let text = "include: [x]\nx-ok: 1\nservices:\n  a: {extends: {service: b}, x-ok: 1}\n";
        let odd: Vec<String> =
            read_text(text, &|_| None).unwrap().unmodelled.into_iter().map(|odd| odd.place).collect();
        assert_eq!(odd, ["include", "services.a.extends"]);
    }

    #[test]
    fn bad_input_is_one_error() {
        let deep = "[".repeat(100_000);
        let nested = format!("a: {}", "{b: ".repeat(100_000));
        let dashes = "- ".repeat(100_000);
        let levels: Vec<String> = "abcdefghij"
            .chars()
            .zip("bcdefghijk".chars())
            .map(|(last, next)| format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 9].join(", ")))
            .collect();
        let bomb = format!("a: &a [x, x, x, x, x, x, x, x, x]\n{}", levels.concat());
        for text in [
            "",
            "\0\u{1}",
            "services: []",
            "services: {a: {image: x, image: y}}",
            "services: {a: {ports: ['0']}}",
            "services: {a: {ports: ['65536:80']}}",
            "services: {a: {ports: ['80:80/icmp']}}",
            "services: {a: {volumes: ['/h:relative']}}",
            "services: {a: {image: '${X:?needed}'}}",
            "services: {a: {stop_grace_period: soon}}",
            "services: {a: {privileged: perhaps}}",
            "services: {a: {healthcheck: {test: [RUN, x]}}}",
            "services: {1.5: {image: [x]}}",
            deep.as_str(),
            nested.as_str(),
            dashes.as_str(),
            bomb.as_str(),
        ] {
            let error = read_text(text, &|_| None).expect_err(&text.chars().take(60).collect::<String>());
            assert!(error.to_string().len() < 600, "{error}");
        }
    }
}
