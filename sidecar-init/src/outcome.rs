//! How a daemon ended, and what the container's exit code says of it (docs/design.md#exit-codes-of-sidecar-init).

use std::fmt;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It exited with a code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match bottle_contract::signal::name(*number) {
                Some(name) => write!(f, "was ended by SIG{name}"),
                None => write!(f, "was ended by signal {number}"),
            },
        }
    }
}

/// What one daemon adds to the container's exit code.
///
/// `asked`: the signal by which we asked it to end. Then 0, that signal, and the shell's 128 and its number are a
/// graceful end; our own KILL is not.
pub(crate) fn code(ending: Ending, asked: Option<i32>) -> u8 {
    match ending {
        Ending::Signal(signal) if asked == Some(signal) => 0,
        Ending::Code(code) if asked == Some(code - 128) => 0,
        Ending::Code(code) => u8::try_from(code).unwrap_or(u8::MAX),
        Ending::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_table() {
        use Ending::{Code, Signal};
        for (ending, asked, expect) in [
            (Code(0), false, 0),
            (Code(0), true, 0),
            (Code(3), false, 3),
            (Code(3), true, 3),
            (Code(143), true, 0),
            (Code(143), false, 143),
            (Code(255), true, 255),
            (Signal(libc::SIGTERM), true, 0),
            (Signal(libc::SIGTERM), false, 143),
            (Signal(libc::SIGKILL), true, 137),
            (Signal(libc::SIGKILL), false, 137),
            (Signal(libc::SIGSEGV), true, 139),
            (Signal(64), false, 192),
            (Code(126), false, 126),
            (Code(127), false, 127),
        ] {
            let asked = asked.then_some(libc::SIGTERM);
            assert_eq!(code(ending, asked), expect, "{ending} asked={asked:?}");
        }
        assert_eq!(code(Signal(libc::SIGINT), Some(libc::SIGINT)), 0);
        assert_eq!(code(Code(130), Some(libc::SIGINT)), 0);
        assert_eq!(code(Signal(libc::SIGTERM), Some(libc::SIGINT)), 143);
    }

    #[test]
    fn an_ending_reads_well() {
        assert_eq!(Ending::Code(3).to_string(), "exited with code 3");
        assert_eq!(Ending::Signal(9).to_string(), "was ended by SIGKILL");
        assert_eq!(Ending::Signal(40).to_string(), "was ended by signal 40");
    }
}
