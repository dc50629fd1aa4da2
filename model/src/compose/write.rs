//! Compose documents as YAML.
