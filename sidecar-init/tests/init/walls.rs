//! Walls between daemons, tried from inside. They need a kernel with Landlock; where there is none, `require` has
//! to refuse, and that is what is tested then.

use std::net::TcpListener;

use crate::init::{Place, Setup, script, stubbed};

/// Whether the kernel offers every wall.
fn offered() -> bool {
    let rows = [script("a", "true", "connect = []"), script("b", "true", "private = ['/srv']")];
    let output = Setup::new(Place::Ordinary, &rows).with("BOT_BOTTLE_SIDECAR_ISOLATION", "require").output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => true,
        // CI has the feature, and may not pass over what it cannot try.
        Some(3) if !cfg!(feature = "pid1") => {
            assert!(said.contains("cannot have"), "{said}");
            false
        }
        other => panic!("{other:?}: {said}"),
    }
}

/// The log of an init with walls; nothing where they cannot be had, which [`offered`] has then proved refused.
fn log(place: Place, isolation: &str, rows: &[String]) -> Option<String> {
    offered().then(|| {
        let output = Setup::new(place, rows).with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation).output();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    })
}

fn secret() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "s3cret\n").expect("a secret");
    let path = folder.path().to_string_lossy().into_owned();
    (folder, path)
}

pub(super) fn a_private_path_opens_to_its_owner_alone(place: Place) {
    let (_folder, path) = secret();
    let text = format!("cat {path}/secret; ls {path}; echo x >{path}/new && echo wrote");
    let rows = [script("a", &text, &format!("private = ['{path}']")), script("b", &text, "")];
    let Some(said) = log(place, "require", &rows) else { return };
    assert!(said.contains("[a] s3cret") && said.contains("[a] wrote"), "{said}");
    assert!(
        !said.contains("[b] s3cret") && !said.contains("[b] wrote") && !said.contains("[b] new"),
        "{said}"
    );
    assert!(said.contains("[b] cat:") && said.contains("Permission denied"), "{said}");
}

pub(super) fn a_private_path_of_a_disabled_daemon_is_closed_too(place: Place) {
    let (_folder, path) = secret();
    let rows = [
        script("a", "true", &format!("private = ['{path}']")),
        script("b", &format!("cat {path}/secret"), ""),
    ];
    if !offered() {
        return;
    }
    for (isolation, expect) in [("require", ""), ("off", "[b] s3cret\n")] {
        let output = Setup::new(place, &rows)
            .with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation)
            .with("BOT_BOTTLE_SIDECAR_DAEMONS", "b")
            .output();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expect, "{isolation}");
    }
}

pub(super) fn the_handshake_adds_private_paths(place: Place) {
    let (_folder, path) = secret();
    let text = format!("cat {path}/secret");
    if !offered() {
        return;
    }
    let output = Setup::new(place, &[script("a", &text, ""), script("b", &text, "")])
        .with("BOT_BOTTLE_SIDECAR_ISOLATION", "require")
        .with("BOT_BOTTLE_SIDECAR_MOUNTS_A", &path)
        .output();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[a] s3cret\n");
}

pub(super) fn a_link_does_not_lead_round(place: Place) {
    let (folder, path) = secret();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).expect("a link");
    let text = format!("cat {}/secret", link.display());
    let rows = [script("a", &text, &format!("private = ['{path}']")), script("b", &text, "")];
    let Some(said) = log(place, "require", &rows) else { return };
    assert!(said.contains("[a] s3cret") && !said.contains("[b] s3cret"), "{said}");
    // The private path is named by the link.
    let rows = [
        script("a", &text, &format!("private = ['{}']", link.display())),
        script("b", &format!("cat {path}/secret"), ""),
    ];
    let Some(said) = log(place, "require", &rows) else { return };
    assert!(said.contains("[a] s3cret") && !said.contains("[b] s3cret"), "{said}");
}

pub(super) fn off_builds_no_walls(place: Place) {
    let (_folder, path) = secret();
    let text = format!("cat {path}/secret");
    let rows = [script("a", "true", &format!("private = ['{path}']")), script("b", &text, "")];
    let output = Setup::new(place, &rows).output();
    assert!(String::from_utf8_lossy(&output.stdout).contains("[b] s3cret"));
}

pub(super) fn only_listed_ports_are_dialled(place: Place) {
    let allowed = TcpListener::bind("127.0.0.1:0").expect("a port");
    let denied = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
    let port = allowed.local_addr().expect("an address").port();
    let words = ["connect", &address(&allowed), "connect", &address(&denied)];
    let rows = [
        stubbed("limited", &words, &format!("connect = [{port}]")),
        stubbed("silent", &words, "connect = []"),
        stubbed("free", &words, ""),
    ];
    let Some(said) = log(place, "require", &rows) else { return };
    let heard = |name: &str| -> Vec<String> {
        let head = format!("[{name}] ");
        said.lines().filter_map(|line| line.strip_prefix(&head)).map(str::to_owned).collect()
    };
    assert_eq!(heard("limited"), ["connect: ok", "connect: PermissionDenied"], "{said}");
    assert_eq!(heard("silent"), ["connect: PermissionDenied", "connect: PermissionDenied"], "{said}");
    assert_eq!(heard("free"), ["connect: ok", "connect: ok"], "{said}");
}

pub(super) fn a_daemon_cannot_signal_or_inspect_its_neighbour(place: Place) {
    let attack = "read victim <pid; kill -0 $victim && echo signalled; cat /proc/$victim/environ >/dev/null && echo inspected; readlink /proc/$victim/fd/1 && echo followed; head -c 0 /proc/$victim/mem && echo looked; kill -0 $PPID && echo init; echo done";
    if !offered() {
        return;
    }
    let broken = |isolation: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let more = format!("workdir = {:?}\nwritable = [{:?}]", folder.path(), folder.path());
        let victim = "echo $$ >pid; echo ready; exec sleep 1000";
        let wait = format!("until [ -s pid ]; do :; done; {attack}");
        let mut init =
            Setup::new(place, &[script("victim", victim, &more), script("attacker", &wait, &more)])
                .with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation)
                .start();
        init.line("[victim] ready");
        init.line("[attacker] done");
        init.signal("TERM");
        let (code, lines) = init.end();
        assert_eq!(code, 0, "{lines:#?}");
        let words = ["signalled", "inspected", "looked", "init"];
        words.map(|word| lines.iter().any(|line| *line == format!("[attacker] {word}")))
    };
    assert_eq!(broken("off"), [true; 4], "the control");
    assert_eq!(broken("require"), [false; 4]);
}

pub(super) fn abstract_sockets_of_others_are_closed(place: Place) {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("wall {place:?} {}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).expect("a name of its own");
    let rows = [stubbed("a", &["abstract", &name], "")];
    let Some(said) = log(place, "require", &rows) else { return };
    assert!(said.contains("[a] abstract: PermissionDenied"), "{said}");
}

pub(super) fn what_is_enforced_is_said_once(place: Place) {
    let (_folder, path) = secret();
    let rows = [script("a", "true", &format!("private = ['{path}']")), script("b", "true", "connect = []")];
    let Some(said) = log(place, "require", &rows) else { return };
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("isolation")).collect();
    assert_eq!(
        lines,
        [
            "[sidecar-init] isolation require: a files+writes+bind+processes+sockets; b files+writes+tcp+bind+processes+sockets"
        ]
    );
}

crate::cases! {
    a_private_path_opens_to_its_owner_alone
    a_private_path_of_a_disabled_daemon_is_closed_too
    the_handshake_adds_private_paths
    a_link_does_not_lead_round
    off_builds_no_walls
    only_listed_ports_are_dialled
    a_daemon_cannot_signal_or_inspect_its_neighbour
    abstract_sockets_of_others_are_closed
    what_is_enforced_is_said_once
}
