//! What a daemon is given: its environment, folder, masks and descriptors; and, for PID 1, its user.

use crate::init::{Place, Setup, script, stubbed};

fn log(setup: Setup) -> String {
    let output = setup.output();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(super) fn a_daemon_receives_its_own_environment(place: Place) {
    let rows = [script("one", "env", "home = '/srv'"), script("two", "env", ""), script("egress", "env", "")];
    let setup = Setup::new(place, &rows)
        .with("BOT_BOTTLE_SIDECAR_ENV_ONE", "HTTPS_PROXY")
        .with("HTTPS_PROXY", "http://p")
        .with("FREE", "f")
        .with("TWO__MODE", "m")
        .with("TWO__HOME", "/two")
        .with("EGRESS_TOKEN_0", "secret")
        .with("LC_ALL", "C")
        .with("HOME", "/container");
    let said = log(setup);
    let has = |name: &str, line: &str| said.lines().any(|is| is == format!("[{name}] {line}"));
    for (name, line, expect) in [
        ("one", "HTTPS_PROXY=http://p", true),
        ("two", "HTTPS_PROXY=http://p", false),
        ("egress", "HTTPS_PROXY=http://p", false),
        ("one", "FREE=f", false),
        ("two", "FREE=f", true),
        ("two", "MODE=m", true),
        ("one", "MODE=m", false),
        ("one", "HOME=/srv", true),
        ("two", "HOME=/two", true),
        ("egress", "EGRESS_TOKEN_0=secret", true),
        ("two", "EGRESS_TOKEN_0=secret", false),
        ("one", "LC_ALL=C", true),
        ("two", "USER=root", true),
    ] {
        assert_eq!(has(name, line), expect, "{name} {line}\n{said}");
    }
    assert!(!said.contains("BOT_BOTTLE_SIDECAR_") && !said.contains("/container"), "{said}");
}

pub(super) fn standard_input_is_empty(place: Place) {
    assert!(log(Setup::new(place, &[stubbed("a", &["slurp"], "")])).contains("standard input has 0 bytes"));
}

pub(super) fn only_the_standard_streams_are_open(place: Place) {
    // The descriptor that lists the folder is ls's own.
    let rows = [script("a", "ls /proc/self/fd | tr '\\n' ' '; echo", "")];
    let said = log(Setup::new(place, &rows).through(&["sh", "-c", "exec 7</etc/passwd; exec \"$@\"", "sh"]));
    assert!(said.contains("[a] 0 1 2 3 \n"), "{said}");
}

pub(super) fn no_signal_is_blocked_or_ignored(place: Place) {
    let rows = [script("a", "grep -E '^Sig(Blk|Ign)' /proc/self/status", "")];
    let said = log(Setup::new(place, &rows).through(&["sh", "-c", "trap '' USR1 PIPE; exec \"$@\"", "sh"]));
    for mask in ["SigBlk", "SigIgn"] {
        assert!(said.contains(&format!("[a] {mask}:\t0000000000000000")), "{said}");
    }
}

pub(super) fn a_daemon_leads_a_session_and_works_in_its_folder(place: Place) {
    let rows = [script("a", "cut -d' ' -f1,5,6 /proc/$$/stat; pwd; umask", "workdir = '/usr'")];
    let said = log(Setup::new(place, &rows).through(&["sh", "-c", "umask 077; exec \"$@\"", "sh"]));
    let numbers = said.lines().find_map(|line| line.strip_prefix("[a] ")).expect("a line");
    let numbers: Vec<&str> = numbers.split(' ').collect();
    assert!(numbers.len() == 3 && numbers.iter().all(|number| *number == numbers[0]), "{said}");
    assert!(said.contains("[a] /usr\n") && said.contains("[a] 0022\n"), "{said}");
}

pub(super) fn no_new_privileges_are_to_be_had(place: Place) {
    let said = log(Setup::new(place, &[script("a", "grep NoNewPrivs /proc/self/status", "")]));
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
}

crate::cases! {
    a_daemon_receives_its_own_environment
    standard_input_is_empty
    only_the_standard_streams_are_open
    no_signal_is_blocked_or_ignored
    a_daemon_leads_a_session_and_works_in_its_folder
    no_new_privileges_are_to_be_had
}

/// What only root can give.
#[cfg(feature = "pid1")]
mod root {
    use super::*;

    #[test]
    fn a_daemon_becomes_its_user_wholly() {
        let rows = [script(
            "a",
            "grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status; echo $HOME $USER",
            "user = 'nobody'",
        )];
        let said = log(Setup::new(Place::Pid1, &rows));
        assert!(said.contains("Uid:\t65534\t65534\t65534\t65534"), "{said}");
        assert!(said.contains("Gid:\t65534\t65534\t65534\t65534"), "{said}");
        assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
        assert!(said.contains("[a] /nonexistent nobody"), "{said}");
        let groups = said.lines().find_map(|line| line.strip_prefix("[a] Groups:")).expect("groups");
        assert!(!groups.split_whitespace().any(|group| group == "0"), "{said}");
    }

    #[test]
    fn a_number_and_its_group_need_no_entry() {
        let rows = [script("a", "id -u; id -g; id -G", "user = '4321:99'")];
        assert!(log(Setup::new(Place::Pid1, &rows)).contains("[a] 4321\n[a] 99\n[a] 99\n"));
    }

    #[test]
    fn dev_stdout_opens_after_the_change_of_user() {
        let rows = [script("a", "echo out >/dev/stdout; echo err >/dev/stderr", "user = 'nobody'")];
        let said = log(Setup::new(Place::Pid1, &rows));
        assert!(said.contains("[a] out\n") && said.contains("[a] err\n"), "{said}");
    }

    #[test]
    fn a_user_that_cannot_be_had_is_named() {
        let rows = [script("a", "echo started", "user = 'nobody'")];
        let wrapper = ["setpriv", "--bounding-set", "-setuid,-setgid", "--inh-caps", "-setuid,-setgid"];
        let output = Setup::new(Place::Ordinary, &rows).through(&wrapper).output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("nobody"), "{said}");
    }

    #[test]
    fn the_init_itself_cannot_be_inspected_by_a_user() {
        let rows = [script("a", "cat /proc/1/environ; cat /proc/1/maps", "user = 'nobody'")];
        let said = log(Setup::new(Place::Pid1, &rows).with("SECRET", "s3cret"));
        assert_eq!(said.matches("Permission denied").count(), 2, "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }

    #[test]
    fn health_sees_the_sockets_of_another_user() {
        let rows = [stubbed(
            "a",
            &["listen", "127.0.0.1:18431", "wait"],
            "user = 'nobody'\nlisten = ['127.0.0.1:18431']",
        )];
        let mut init = Setup::new(Place::Pid1, &rows).start();
        init.line("listening");
        init.until(&["check"], 0);
        assert_eq!(init.stop(), 0);
    }
}
