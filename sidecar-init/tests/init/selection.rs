//! What is started, and what is refused before anything is.

use std::process::Output;

use crate::init::{Place, Setup, row, script};

const NOTHING: &[&str] = &["true"];

fn refused(setup: Setup, culprit: &str) {
    let output = setup.output();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(culprit), "{said}");
    assert!(!said.contains("started"), "{said}");
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn two() -> Vec<String> {
    vec![script("one", "echo started", ""), script("two", "echo started", "")]
}

fn selected(place: Place, daemons: &str) -> String {
    said(&Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_DAEMONS", daemons).output())
}

pub(super) fn unset_means_all(place: Place) {
    let said = said(&Setup::new(place, &two()).output());
    assert!(said.contains("[one] started") && said.contains("[two] started"), "{said}");
}

pub(super) fn a_selection_leaves_the_others_out(place: Place) {
    let said = selected(place, "two");
    assert!(!said.contains("[one]") && said.contains("[two] started"), "{said}");
}

pub(super) fn daemons_start_in_the_order_of_the_table(place: Place) {
    let rows: Vec<String> =
        ["c", "a", "b"].iter().map(|name| script(name, "cut -d' ' -f22 /proc/self/stat", "")).collect();
    let setup = Setup::new(place, &rows).with("BOT_BOTTLE_SIDECAR_DAEMONS", "a,b,c");
    let said = said(&setup.output());
    let isolation = said.lines().find(|line| line.contains("isolation off")).unwrap_or_default();
    let order: Vec<usize> = ["c ", "a ", "b "].iter().filter_map(|name| isolation.rfind(name)).collect();
    assert!(order.len() == 3 && order.is_sorted(), "{said}");
}

pub(super) fn an_unknown_daemon_is_named(place: Place) {
    refused(Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_DAEMONS", "one,tow"), "tow");
}

pub(super) fn a_repeated_daemon_is_named(place: Place) {
    refused(Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_DAEMONS", "one,two,one"), "one");
}

pub(super) fn an_empty_selection_is_refused(place: Place) {
    refused(Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_DAEMONS", ""), "empty");
}

pub(super) fn a_typo_in_a_handshake_variable_is_fatal(place: Place) {
    refused(Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_ISOLATE", "require"), "ISOLATE");
    refused(Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_ISOLATION", "required"), "required");
    refused(Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_MOUNTS_ONE", "etc"), "etc");
    refused(Setup::new(place, &two()).with("BOT_BOTTLE_SIDECAR_CHAIN", "pipelock"), "pipelock");
}

pub(super) fn a_token_of_egress_for_another_is_fatal(place: Place) {
    refused(Setup::new(place, &two()).with("ONE__EGRESS_TOKEN_0", "x"), "ONE__EGRESS_TOKEN_0");
}

pub(super) fn an_unknown_user_is_named_before_anything_starts(place: Place) {
    let rows = [script("one", "echo started", ""), row("two", NOTHING, "user = 'no-such-user'")];
    refused(Setup::new(place, &rows), "no-such-user");
}

pub(super) fn a_missing_workdir_is_named_before_anything_starts(place: Place) {
    let rows = [script("one", "echo started", ""), row("two", NOTHING, "workdir = '/no/such'")];
    refused(Setup::new(place, &rows), "/no/such");
}

pub(super) fn a_bad_table_is_refused(place: Place) {
    for (table, culprit) in [
        ("[[daemon]]\nname = 'x'\n".to_owned(), "argv"),
        ("nonsense".to_owned(), "line 1"),
        (row("x", NOTHING, "") + &row("x", NOTHING, ""), "twice"),
        (row("x", NOTHING, "reload = 'HANGUP'"), "HANGUP"),
        (row("x", NOTHING, "wait = true"), "wait"),
        (String::new(), "daemon"),
    ] {
        refused(Setup::new(place, &[table]), culprit);
    }
}

crate::cases! {
    unset_means_all
    a_selection_leaves_the_others_out
    daemons_start_in_the_order_of_the_table
    an_unknown_daemon_is_named
    a_repeated_daemon_is_named
    an_empty_selection_is_refused
    a_typo_in_a_handshake_variable_is_fatal
    a_token_of_egress_for_another_is_fatal
    an_unknown_user_is_named_before_anything_starts
    a_missing_workdir_is_named_before_anything_starts
    a_bad_table_is_refused
}
