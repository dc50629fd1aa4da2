//! What a compose file builds: the Dockerfiles that its services name, or mean by naming none.

use super::budget::Budget;
use super::tree::Value;
use super::yaml;

/// A Dockerfile by default, in its context (compose-spec, build).
const DEFAULT: &str = "Dockerfile";

/// A Dockerfile that a service is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its path as the file writes it: below the file's folder, with the context.
    pub dockerfile: String,
    /// Line, from 1, of what names it.
    pub line: usize,
}

/// The Dockerfiles of a text's services; none if it is no compose file.
#[must_use]
pub fn builds(text: &str) -> Vec<Built> {
    let documents = yaml::documents(text, 0, &mut Budget::default()).unwrap_or_default();
    let services = documents.iter().filter_map(|document| match &document.get("services")?.value {
        Value::Map(services) => Some(services.values()),
        _ => None,
    });
    let mut found = Vec::new();
    for build in services.flatten().filter_map(|service| service.get("build")) {
        let context = build.as_text().or_else(|| build.get("context")?.as_text()).unwrap_or(".");
        let named = build.get("dockerfile").filter(|name| name.as_text().is_some());
        let dockerfile = named.and_then(|name| name.as_text()).unwrap_or(DEFAULT);
        if build.get("dockerfile_inline").is_none() {
            let (line, _) = named.unwrap_or(build).mark.at().unwrap_or((1, 1));
            found.push(Built { dockerfile: format!("{context}/{dockerfile}"), line });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_names_its_dockerfile_or_means_the_one_of_its_context() {
        let text = "\
x-common: &b
  context: docker
services:
  a:
    build: .
  b:
    build:
      context: ./c
      dockerfile: Dockerfile.egress
  d:
    build:
      <<: *b
  e:
    build: {dockerfile_inline: FROM scratch}
  f:
    image: f
";
        let found = builds(text);
        let found: Vec<_> = found.iter().map(|built| (built.dockerfile.as_str(), built.line)).collect();
        assert_eq!(found, [("./Dockerfile", 5), ("./c/Dockerfile.egress", 9), ("docker/Dockerfile", 11)]);
        assert_eq!(builds("{{ template }}: ["), []);
        assert_eq!(builds("jobs: {a: {build: .}}"), []);
    }
}
