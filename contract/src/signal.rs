//! Signals by name (`signal(7)`; numbers of x86 and ARM).

const NAMES: [(&str, i32); 28] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("SYS", 31),
];

/// First real-time signal that programs may use, and the last one (glibc keeps 32 and 33).
const REAL_TIME: (i32, i32) = (34, 64);

/// Name of a signal without `SIG`; `None` for a number without a name here.
#[must_use]
pub fn name(number: i32) -> Option<&'static str> {
    NAMES.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// Number of a signal given as `HUP`, `SIGHUP`, `1` or `RTMIN+3`, in any letter case; `None` for an unknown one.
#[must_use]
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |from: i32, sign: i32, rest: &str| {
        let offset = if rest.is_empty() { 0 } else { rest[1..].parse::<u8>().ok()? };
        let number = from + sign * i32::from(offset);
        (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
    };
    if let Some(rest) = short.strip_prefix("RTMIN").filter(|rest| rest.is_empty() || rest.starts_with('+')) {
        return real_time(REAL_TIME.0, 1, rest);
    }
    if let Some(rest) = short.strip_prefix("RTMAX").filter(|rest| rest.is_empty() || rest.starts_with('-')) {
        return real_time(REAL_TIME.1, -1, rest);
    }
    NAMES.iter().find(|(name, _)| *name == short).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read() {
        for text in ["HUP", "SIGHUP", "hup", "1"] {
            assert_eq!(number(text), Some(1), "{text}");
        }
        for (text, expect) in [("SIGRTMIN+3", 37), ("RTMIN", 34), ("RTMAX-1", 63), ("64", 64)] {
            assert_eq!(number(text), Some(expect), "{text}");
        }
        for text in ["", "SIG", "0", "65", "-1", "HUPP", "1x", "RTMIN+31", "RTMIN-1", "RTMINX", "RTMAX-"] {
            assert_eq!(number(text), None, "{text:?}");
        }
        for (name_, number_) in NAMES {
            assert_eq!((number(name_), name(number_)), (Some(number_), Some(name_)));
        }
    }
}
