//! The flag that says which shape a target wants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A way to lay out a bottle's daemons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A container for each daemon.
    #[default]
    Legacy,
    /// One container for all daemons.
    Bundle,
}

impl Shape {
    /// `legacy` or `bundle`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Bundle => "bundle",
        }
    }
}

/// A value of the flag that means nothing.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{name} is `{value}`, which is neither on nor off")]
pub struct FlagError {
    /// Name of the variable.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Decides the shape from the flag's value; `None` is an unset variable and gives `default`.
///
/// `1 true yes on` mean the bundle; `0 false no off` and the empty value mean legacy, in any letter case
/// (docs/design.md#flag).
///
/// # Errors
///
/// Any other value, spaces included: a flag is never guessed.
pub fn decide(name: &str, value: Option<&str>, default: Shape) -> Result<Shape, FlagError> {
    let Some(value) = value else { return Ok(default) };
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(Shape::Bundle),
        "" | "0" | "false" | "no" | "off" => Ok(Shape::Legacy),
        _ => Err(FlagError { name: name.to_owned(), value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_decide_in_any_letter_case() {
        for (value, shape) in [
            ("1", Shape::Bundle),
            ("true", Shape::Bundle),
            ("True", Shape::Bundle),
            ("YES", Shape::Bundle),
            ("oN", Shape::Bundle),
            ("0", Shape::Legacy),
            ("false", Shape::Legacy),
            ("No", Shape::Legacy),
            ("OFF", Shape::Legacy),
            ("", Shape::Legacy),
        ] {
            for default in [Shape::Legacy, Shape::Bundle] {
                assert_eq!(decide("F", Some(value), default), Ok(shape), "{value}");
            }
        }
    }

    #[test]
    fn an_unset_flag_leaves_the_default() {
        assert_eq!(decide("F", None, Shape::Legacy), Ok(Shape::Legacy));
        assert_eq!(decide("F", None, Shape::Bundle), Ok(Shape::Bundle));
    }

    #[test]
    fn anything_else_is_an_error_that_names_flag_and_value() {
        for value in ["2", "y", "n", "t", " 1", "1 ", "enabled", "bundle", "legacy", "-1", "00"] {
            let error = decide("FLAG", Some(value), Shape::Bundle).unwrap_err();
            assert_eq!(error.to_string(), format!("FLAG is `{value}`, which is neither on nor off"));
        }
    }
}
