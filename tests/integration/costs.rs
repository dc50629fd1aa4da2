//! What inputs cost. Each family of inputs is doubled until a run takes long enough to measure; the processor time may
//! grow no faster than n·log n, and the largest input, about 1 MB, must stay within 2 s of processor time and 200 MB.
//!
//! Only processor time of the child process counts, so a busy machine changes nothing. To add a family, add a line to
//! one of the tables in `costs/`.

mod compose;
mod judging;
mod scan;

use std::ffi::OsStr;
use std::process::Command;

use crate::process::{Target, ran};

/// A family of inputs of any size.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// Unique among all families.
    pub(crate) name: &'static str,
    /// Writes the input of size n into the target and returns the arguments that run it.
    pub(crate) input: fn(&Target, usize) -> Vec<&'static str>,
    /// The n that makes about 1 MB, or the largest that makes sense.
    pub(crate) most: usize,
}

/// Every table of families.
const FAMILIES: &[&[Family]] = &[compose::FAMILIES, judging::FAMILIES, scan::FAMILIES];

/// Processor seconds that a run may take beyond what the program takes to start. An unoptimised build gets ten times
/// as much.
const SECONDS: f64 = match option_env!("CARGO_PROFILE_DEV_OPT_LEVEL") {
    Some(level) if level.as_bytes()[0] == b'0' => 20.0,
    _ => 2.0,
};

/// Memory that a run may take, in KiB.
const MEMORY: u64 = 200 << 10;

/// Growth above this exponent is more than n·log n: over the sizes measured here, that makes about 1.1, and n² makes 2.
const EXPONENT: f64 = 1.4;

/// Processor seconds from which a measurement says something.
const MEASURABLE: f64 = 0.3;

/// Doublings over which the exponent is fitted, at most.
const DOUBLINGS: usize = 3;

/// Processor seconds below which a measurement is mostly noise.
const NOISE: f64 = 0.03;

/// What a run took: processor seconds, exit code and messages.
struct Cost {
    seconds: f64,
    code: i32,
    stderr: String,
}

/// Runs a command within the limits and measures the processor time of its process.
fn measured(program: &Command) -> Cost {
    let mut shell = Command::new("bash");
    let limits = format!("ulimit -t {} -d {MEMORY}", SECONDS.ceil() * 2.0);
    shell.args(["-c", &format!("{limits}; TIMEFORMAT='%U %S'; time \"$0\" \"$@\"")]);
    shell.arg(program.get_program()).args(program.get_args().collect::<Vec<&OsStr>>());
    if let Some(folder) = program.get_current_dir() {
        shell.current_dir(folder);
    }
    shell.env_clear().env("PATH", "/usr/bin:/bin");
    let ran = ran(shell, "");
    let (stderr, times) = ran.stderr.trim_end().rsplit_once('\n').unwrap_or(("", ran.stderr.trim_end()));
    let seconds = times.split(' ').map(|time| time.parse::<f64>().expect("processor times")).sum();
    Cost { seconds, code: ran.code, stderr: stderr.to_owned() }
}

/// Exponent of a power of n that fits the costs of sizes that double; the last point is the largest size.
fn exponent(costs: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> = (0u32..).map(f64::from).zip(costs.iter().map(|cost| cost.log2())).collect();
    let count = points.iter().map(|_| 1.0).sum::<f64>();
    let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>();
    slope / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

/// What is wrong with the growth of `cost`, whose sizes double up to `most`.
fn fault(most: usize, mut cost: impl FnMut(usize) -> Cost) -> Option<String> {
    let start = (0..3).map(|_| cost(1).seconds).fold(f64::INFINITY, f64::min);
    let mut sizes: Vec<usize> =
        std::iter::successors(Some(most), |n| Some(n / 2)).take_while(|n| *n > 8).collect();
    sizes.reverse();
    let mut beyond_start = |n: usize| {
        let cost = cost(n);
        (cost.seconds - start, cost)
    };
    let mut found = Vec::new();
    for n in &sizes {
        let (seconds, _) = beyond_start(*n);
        found.extend((seconds > NOISE).then_some(seconds));
        if seconds > MEASURABLE {
            break;
        }
    }
    let (seconds, largest) = beyond_start(most);
    if !(0..=2).contains(&largest.code) {
        let message: String = largest.stderr.chars().take(300).collect();
        return Some(format!("exit code {} at n = {most}: {message}", largest.code));
    }
    if seconds > SECONDS {
        return Some(format!("{seconds:.2} s at n = {most}"));
    }
    if found.len() < 2 || found.last().is_none_or(|last| *last < MEASURABLE) {
        return None;
    }
    let fitted = &found[found.len().saturating_sub(DOUBLINGS + 1)..];
    let exponent = exponent(fitted);
    (exponent > EXPONENT).then(|| {
        format!("grows as n^{exponent:.2}: {fitted:.3?} s, doubling up to n = {}", sizes[found.len() - 1])
    })
}

#[test]
fn no_family_costs_more_than_n_log_n() {
    let mut faults = Vec::new();
    for family in FAMILIES.iter().copied().flatten() {
        let target = Target::new(&[]);
        let cost = |n| measured(&target.command(&(family.input)(&target, n)));
        // Processor caches are shared with whatever else runs: a fault counts if it shows twice.
        let again = |fault: String| self::fault(family.most, cost).map(|second| format!("{fault}; {second}"));
        faults.extend(
            fault(family.most, cost).and_then(again).map(|fault| format!("{}: {fault}", family.name)),
        );
    }
    assert!(faults.is_empty(), "{} families cost too much:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_family_has_a_name_of_its_own() {
    let mut names: Vec<&str> = FAMILIES.iter().copied().flatten().map(|family| family.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn the_fit_tells_a_square_from_a_line() {
    let sizes = [1000.0f64, 2000.0, 4000.0, 8000.0];
    let line = exponent(&sizes);
    let line_and_log = exponent(&sizes.map(|n| n * n.log2()));
    let square = exponent(&sizes.map(|n| n * n));
    assert!((line - 1.0).abs() < 0.01 && (square - 2.0).abs() < 0.01, "{line} {square}");
    assert!(line_and_log < EXPONENT, "{line_and_log}");
}

#[test]
fn a_program_whose_cost_is_a_square_is_noticed() {
    let program = |script: &str, n: usize| {
        let mut program = Command::new("awk");
        program.arg(format!("BEGIN {{ n = {n}; {script} }}"));
        measured(&program)
    };
    let square = "for (i = 0; i < n; i++) for (j = 0; j < n; j++) x += j";
    let line = "for (i = 0; i < n * 1000; i++) x += i";
    assert!(fault(4096, |n| program(square, n)).is_some_and(|fault| fault.contains("grows as n^")));
    assert_eq!(fault(4096, |n| program(line, n)), None);
}
