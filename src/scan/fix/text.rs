//! Which rewrites are safe in files that nothing parses, or whose commands are lines: each on a line of its own.

use super::python::is_program;

/// What may be before a command on its line.
const LEADS: [&str; 6] = ["", "@", "-", "$ ", "run: ", "- run: "];

/// Whether a line is one command, and nothing on it uses the output.
pub(super) fn is_whole_line(line: &str) -> bool {
    let text = line.trim();
    let rest = LEADS.iter().rev().find_map(|lead| {
        let rest = text.strip_prefix(lead)?;
        is_program(rest.split(' ').next().unwrap_or_default()).then_some(rest)
    });
    rest.is_some_and(|rest| {
        !rest.contains(['|', ';', '&', '<', '>', '`', '\\', ','])
            && !rest.contains("$(docker")
            && !rest.contains("$(shell")
    })
}
