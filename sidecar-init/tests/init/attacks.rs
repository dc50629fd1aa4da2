//! Attacks of one daemon on another, on PID 1 and on what both trust. Each is tried twice, in a copy of the machine's
//! root: with `isolation = off`, where it has to succeed, so that the test could fail, and with `require`, where it must not.

use crate::init::{Place, Setup, script};

/// The attacker prints this when its attack has succeeded.
const BROKEN: &str = "[attacker] broken";
/// And this when it has tried.
const TRIED: &str = "[attacker] tried";

/// A container of its own: a copy of the root that is thrown away, with the init at its usual place.
const CONTAINER: &str = "
set -e
init=$1; shift
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay none -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t proc none /mnt/root/proc
mount --rbind /dev /mnt/root/dev
mount -t tmpfs none /mnt/root/dev/shm
mkdir -p /mnt/root/root /mnt/root/srv/app /mnt/root/srv/secret
cp \"$init\" /mnt/root/usr/local/bin/sidecar-init
cp \"$2\" /mnt/root/etc/daemons.toml
echo s3cret >/mnt/root/srv/secret/key
printf '#!/bin/sh\\nexec sleep 1000\\n' >/mnt/root/srv/app/program
chmod 755 /mnt/root/srv/app/program
ip link set lo up
echo 0 1000000 >/proc/sys/net/ipv4/ping_group_range
exec chroot /mnt/root /usr/local/bin/sidecar-init --daemons /etc/daemons.toml
";

/// A neighbour that an attacker would like to break.
struct Victim {
    script: &'static str,
    more: &'static str,
}

const IDLE: Victim = Victim { script: "echo $$ >/tmp/victim; echo ready; exec sleep 1000", more: "" };

fn container(setup: Setup) -> Setup {
    setup.through(&["unshare", "--net", "--ipc", "sh", "-c", CONTAINER, "sh"])
}

/// Log of a victim and an attacker.
fn log(isolation: &str, victim: &Victim, attack: &str, more: &str) -> Vec<String> {
    // The victim is there first: its row says so, and the attacker waits for it.
    let attack = format!("until [ -e /tmp/victim ]; do :; done; {attack}; echo tried; exec sleep 1000");
    let rows = [script("victim", victim.script, victim.more), script("attacker", &attack, more)];
    let mut init =
        container(Setup::new(Place::Pid1, &rows)).with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation).start();
    init.line(TRIED);
    init.signal("TERM");
    init.end().1
}

/// Tries an attack with and without walls.
fn fails(victim: &Victim, attack: &str, more: &str) {
    let control = log("off", victim, attack, more);
    assert!(control.iter().any(|line| line == BROKEN), "without walls the attack works: {control:#?}");
    let walled = log("require", victim, attack, more);
    assert!(!walled.iter().any(|line| line == BROKEN), "{walled:#?}");
}

macro_rules! attacks {
    ($($name:ident: $victim:expr, $attack:expr;)*) => {
        $(#[test]
        fn $name() {
            fails(&$victim, $attack, "");
        })*
    };
}

/// A secret of the victim, in a folder that is private to it.
const KEEPER: Victim = Victim { script: IDLE.script, more: "private = ['/srv/secret']" };
/// One whose program is its own.
const RUNNER: Victim = Victim { script: IDLE.script, more: "health = { test = ['/srv/app/program'] }" };

// What PID 1, its health check, or another daemon executes, loads or trusts.
attacks! {
    the_init_cannot_be_replaced: IDLE, "cp /bin/true /usr/local/bin/x && mv -f /usr/local/bin/x /usr/local/bin/sidecar-init && echo broken";
    a_program_of_another_cannot_be_replaced: RUNNER, "cp /bin/true /tmp/x && cp -f --remove-destination /tmp/x /srv/app/program && echo broken";
    a_program_of_another_cannot_be_written: RUNNER, "echo evil >>/srv/app/program && echo broken";
    a_program_in_the_path_cannot_be_added: IDLE, "cp /bin/true /usr/local/sbin/git && echo broken";
    a_program_in_the_path_cannot_be_removed: IDLE, "rm -f /usr/bin/id && echo broken";
    a_library_cannot_be_added: IDLE, "cp /bin/true /usr/lib/evil.so && echo broken";
    preloading_cannot_be_ordered: IDLE, "echo /tmp/evil.so >/etc/ld.so.preload && echo broken";
    the_loader_cannot_be_configured: IDLE, "echo /tmp >/etc/ld.so.conf.d/evil.conf && echo broken";
    names_cannot_be_redirected: IDLE, "echo 1.2.3.4 forge >>/etc/hosts && echo broken";
    the_resolver_cannot_be_changed: IDLE, "echo nameserver 1.2.3.4 >/etc/resolv.conf && echo broken";
    users_cannot_be_changed: IDLE, "echo evil::0:0::/: >>/etc/passwd && echo broken";
    git_cannot_be_configured_for_all: IDLE, "git config --system core.sshCommand evil && echo broken";
    git_cannot_be_configured_in_a_shared_home: IDLE, "git config --global core.sshCommand evil && echo broken";
    a_shared_home_takes_no_keys: IDLE, "mkdir -p /root/.ssh && echo evil >>/root/.ssh/authorized_keys && echo broken";
    a_file_cannot_be_cut_short: IDLE, "perl -e 'truncate(\"/etc/passwd\", 0) or die' && echo broken";
    a_file_of_the_system_cannot_be_renamed: IDLE, "mv /etc/passwd /etc/passwd- && echo broken";
    a_folder_of_the_system_cannot_be_renamed: IDLE, "mv /etc/skel /etc/skel2 && echo broken";
    a_link_leads_to_no_protected_file: IDLE, "ln -s /etc /tmp/link && echo evil >/tmp/link/evil && echo broken";
    the_root_of_a_process_leads_round_nothing: IDLE, "echo evil >/proc/self/root/etc/evil && echo broken";
    the_folder_of_another_process_leads_round_nothing: IDLE, "echo evil >/proc/$(cat /tmp/victim)/root/etc/evil && echo broken";
    certificates_cannot_be_added: IDLE, "mkdir -p /etc/ssl/certs && echo evil >/etc/ssl/certs/evil.pem && echo broken";
    scripts_of_the_image_cannot_be_changed: IDLE, "mkdir -p /app && echo evil >/app/server.py && echo broken";
    python_cannot_be_changed_for_all: IDLE, "mkdir -p /usr/lib/python3/dist-packages && echo evil >/usr/lib/python3/dist-packages/sitecustomize.py && echo broken";
    the_kernel_cannot_be_configured: IDLE, "echo 1 >/proc/sys/net/ipv4/ip_forward && echo broken";
}

// Private files.
attacks! {
    a_private_file_cannot_be_read: KEEPER, "cat /srv/secret/key && echo broken";
    a_private_folder_cannot_be_listed: KEEPER, "ls /srv/secret && echo broken";
    a_private_file_cannot_be_linked: KEEPER, "ln /srv/secret/key /srv/key && echo broken";
    a_private_folder_cannot_be_moved: KEEPER, "mv /srv/secret /tmp/secret && echo broken";
    a_sibling_cannot_take_its_place: KEEPER, "mkdir /srv/new && mv /srv/secret /srv/old && mv /srv/new /srv/secret && echo broken";
    a_second_mount_cannot_be_made: KEEPER, "mkdir /tmp/other && mount --bind /srv/secret /tmp/other && cat /tmp/other/key && echo broken";
    a_namespace_opens_nothing: KEEPER, "unshare -m cat /srv/secret/key && echo broken";
    a_new_root_opens_nothing: KEEPER, "chroot /srv/secret /key 2>/dev/null; chroot / cat /srv/secret/key && echo broken";
    the_root_of_another_process_opens_nothing: KEEPER, "cat /proc/$(cat /tmp/victim)/root/srv/secret/key && echo broken";
    the_working_directory_of_another_opens_nothing: Victim { script: "cd /srv/secret; echo $$ >/tmp/victim; exec sleep 1000", more: "private = ['/srv/secret']" }, "cat /proc/$(cat /tmp/victim)/cwd/key && echo broken";
    descriptors_of_another_open_nothing: Victim { script: "exec 9</srv/secret/key; echo $$ >/tmp/victim; exec sleep 1000", more: "private = ['/srv/secret']" }, "cat /proc/$(cat /tmp/victim)/fd/9 && echo broken";
    a_device_of_the_disk_cannot_be_made: KEEPER, "mknod /tmp/disk b 254 0 && echo broken";
    a_home_of_another_is_private: Victim { script: "echo s3cret >/srv/app/key; echo $$ >/tmp/victim; exec sleep 1000", more: "home = '/srv/app'" }, "cat /srv/app/key && echo broken";
    the_table_cannot_be_rewritten: IDLE, "echo >>/etc/daemons.toml && echo broken";
}

// Other processes.
attacks! {
    another_cannot_be_signalled: IDLE, "kill -0 $(cat /tmp/victim) && echo broken";
    pid_1_cannot_be_signalled: IDLE, "kill -0 1 && echo broken";
    the_environment_of_another_cannot_be_read: Victim { script: IDLE.script, more: "" }, "cat /proc/$(cat /tmp/victim)/environ >/dev/null && echo broken";
    the_memory_of_another_cannot_be_read: IDLE, "perl -e 'open(F, \"<\", \"/proc/$ARGV[0]/mem\") or die' $(cat /tmp/victim) && echo broken";
    another_cannot_be_traced: IDLE, "perl -e 'exit(syscall(101, 16, $ARGV[0] + 0, 0, 0) < 0)' $(cat /tmp/victim) && echo broken";
    another_cannot_be_offered_to_the_killer: IDLE, "echo 900 >/proc/$(cat /tmp/victim)/oom_score_adj && echo broken";
    limits_of_another_cannot_be_changed: IDLE, "prlimit --pid $(cat /tmp/victim) --nofile=3:3 && echo broken";
    priority_of_another_cannot_be_changed: IDLE, "renice -n 19 -p $(cat /tmp/victim) && echo broken";
    priority_of_a_user_cannot_be_changed: IDLE, "renice -n 19 -u 0 && echo broken";
    memory_of_another_cannot_be_marked: IDLE, "echo 1 >/proc/$(cat /tmp/victim)/clear_refs && echo broken";
}

// Sockets. The numbers are those of socket(2).
macro_rules! sockets {
    ($($name:ident: $numbers:expr;)*) => {
        attacks! {
            $($name: IDLE, concat!("perl -MSocket -e 'socket(S, ", $numbers, ") or die $!' && echo broken");)*
        }
    };
}

sockets! {
    udp_needs_the_row: "2, 2, 0";
    udp_over_ipv6_needs_the_row: "10, 2, 0";
    ping_is_no_udp: "2, 2, 1";
    packets_cannot_be_forged: "2, 3, 255";
    packets_cannot_be_watched: "17, 3, 768";
    vsock_is_closed: "40, 1, 0";
    datagrams_of_unix_need_the_row: "1, 2, 0";
    sequenced_packets_are_closed: "1, 5, 0";
    uevents_cannot_be_read: "16, 3, 15";
    the_audit_cannot_be_asked: "16, 3, 9";
}

attacks! {
    multipath_tcp_is_closed: IDLE, "perl -MSocket -e 'socket(S, 2, 1, 262) or die $!' && echo broken";
    a_ring_cannot_be_set_up: IDLE, "perl -e '$p = \"\\0\" x 120; exit(syscall(425, 8, $p) < 0)' && echo broken";
    a_queue_cannot_be_shared: IDLE, "ipcmk -Q && echo broken";
    a_named_queue_cannot_be_opened: IDLE, "perl -e '$n = \"evil\"; exit(syscall(240, $n, 66, 384, 0) < 0)' && echo broken";
    a_key_cannot_be_added: IDLE, "perl -e '($t, $d, $p) = (\"user\", \"evil\", \"x\"); exit(syscall(248, $t, $d, $p, 1, -4) < 0)' && echo broken";
}

#[test]
fn a_port_of_another_cannot_be_bound() {
    let listen = |port: u16| {
        format!(
            "perl -MSocket -e 'socket(S, 2, 1, 0) or die; setsockopt(S, 1, 15, 1); \
             bind(S, sockaddr_in({port}, INADDR_ANY)) or die $!; listen(S, 5) or die $!; \
             print \"{}\\n\"; $| = 1; sleep 1000'",
            "bound"
        )
    };
    // The port is shared through SO_REUSEPORT: both would receive connections.
    let victim = Victim { script: "touch /tmp/victim; exec sleep 1000", more: "listen = [18080]" };
    let attack = listen(18080).replace("sleep 1000", "").replace("bound", "broken");
    fails(&victim, &attack, "listen = [18081]");
    // Its own port opens.
    let own = log("require", &victim, &listen(18081).replace("sleep 1000", ""), "listen = [18081]");
    assert!(own.iter().any(|line| line == "[attacker] bound"), "{own:#?}");
    let any = log("require", &victim, &listen(18082).replace("sleep 1000", ""), "bind = 'any'");
    assert!(any.iter().any(|line| line == "[attacker] bound"), "{any:#?}");
}

#[test]
fn udp_opens_where_the_row_says_so() {
    let socket =
        "perl -MSocket -e 'socket(S, 2, 2, 0) or die $!; socket(S, 1, 2, 0) or die $!' && echo opened";
    let lines = log("require", &IDLE, socket, "udp = true");
    assert!(lines.iter().any(|line| line == "[attacker] opened"), "{lines:#?}");
    fails(&IDLE, "perl -MSocket -e 'socket(S, 2, 3, 255) or die $!' && echo broken", "udp = true");
}

#[test]
fn raw_sockets_open_where_the_row_says_so() {
    let socket =
        "perl -MSocket -e 'socket(S, 2, 3, 255) or die $!; socket(S, 17, 3, 768) or die $!' && echo opened";
    let lines = log("require", &IDLE, socket, "capabilities = ['NET_RAW']");
    assert!(lines.iter().any(|line| line == "[attacker] opened"), "{lines:#?}");
}

#[test]
fn routes_can_be_read() {
    let lines = log(
        "require",
        &IDLE,
        "ip route show >/dev/null && ip addr show lo | grep -q 127.0.0.1 && echo read",
        "",
    );
    assert!(lines.iter().any(|line| line == "[attacker] read"), "{lines:#?}");
}

#[test]
fn what_a_daemon_may_write_stays_writable() {
    for (more, places) in [
        ("", "/tmp /var/tmp /dev/shm /run"),
        ("home = '/srv/app'", "/srv/app"),
        ("writable = ['/srv']", "/srv /srv/app /tmp"),
        ("private = ['/srv/secret']", "/srv/secret /tmp"),
    ] {
        let attack = format!(
            "for place in {places}; do echo x >$place/new && mv $place/new $place/old && rm $place/old || echo broken; done"
        );
        let lines = log("require", &IDLE, &attack, more);
        assert!(!lines.iter().any(|line| line == BROKEN), "{more}: {lines:#?}");
    }
    for device in ["null", "zero", "full"] {
        let lines = log(
            "require",
            &IDLE,
            &format!("[ -w /dev/{device} ] && : >/dev/{device} || [ {device} = full ] || echo broken"),
            "",
        );
        assert!(!lines.iter().any(|line| line == BROKEN), "{device}: {lines:#?}");
    }
}

#[test]
fn a_writable_path_never_opens_what_others_execute() {
    for (path, attack) in [
        ("/", "echo evil >/etc/evil && echo broken"),
        ("/usr/local/bin", "echo evil >/usr/local/bin/evil && echo broken"),
        ("/etc", "echo evil >>/etc/hosts && echo broken"),
        ("/srv", "echo evil >>/srv/app/program && echo broken"),
    ] {
        fails(&RUNNER, attack, &format!("writable = ['{path}']"));
    }
}

/// The five sets of a process, in the order of `/proc/PID/status`: inheritable, permitted, effective, bounding, ambient.
fn sets(isolation: &str, row: &str) -> Vec<u64> {
    let rows = [script("a", "grep ^Cap /proc/self/status", row)];
    // As an engine of old would start it, or an operator.
    let through = ["setpriv", "--inh-caps", "+sys_admin,+perfmon,+net_admin", "--ambient-caps", "+sys_admin"];
    let output = Setup::new(Place::Pid1, &rows)
        .through(&through)
        .with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation)
        .output();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let sets: Vec<u64> = said
        .lines()
        .filter_map(|line| u64::from_str_radix(line.strip_prefix("[a] Cap")?.get(5..)?, 16).ok())
        .collect();
    assert_eq!(sets.len(), 5, "{said}{}", String::from_utf8_lossy(&output.stderr));
    sets
}

#[test]
fn capabilities_are_those_of_the_row_in_all_five_sets() {
    use bottle_contract::capability::Capabilities;
    let of = |names: &[&str]| Capabilities::of(names).bits();
    let default = Capabilities::DEFAULT.bits();
    let all = sets("off", "");
    assert!(all.iter().all(|set| set & of(&["SYS_ADMIN"]) != 0), "the control: {all:x?}");
    assert_eq!(sets("require", ""), [0, default, default, default, 0]);
    assert_eq!(sets("best-effort", ""), [0, default, default, default, 0]);
    assert_eq!(sets("require", "user = 'nobody'"), [0, 0, 0, default, 0]);
    let no_raw = default & !of(&["NET_RAW"]);
    assert_eq!(sets("require", "connect = []"), [0, no_raw, no_raw, no_raw, 0]);
    for isolation in ["off", "best-effort", "require"] {
        let one = of(&["NET_BIND_SERVICE"]);
        let row = "capabilities = ['NET_BIND_SERVICE']";
        assert_eq!(sets(isolation, row), [one; 5], "{isolation}");
        assert_eq!(sets(isolation, &format!("{row}\nuser = 'nobody'")), [one; 5], "{isolation}");
        assert_eq!(sets(isolation, "capabilities = []"), [0; 5], "{isolation}");
    }
    let two = of(&["NET_BIND_SERVICE", "SYS_TIME"]);
    assert_eq!(sets("require", "capabilities = ['CAP_SYS_TIME', 'net_bind_service']"), [two; 5]);
}

#[test]
fn a_capability_that_the_container_lacks_is_refused() {
    let rows = [script("a", "echo started", "capabilities = ['SYS_TIME']")];
    let setup = |isolation: &str| {
        let wrapper = ["setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time"];
        Setup::new(Place::Pid1, &rows)
            .through(&wrapper)
            .with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation)
            .output()
    };
    let refused = setup("require");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("SYS_TIME") && refused.stdout.is_empty(), "{said}");
    assert_eq!(setup("best-effort").stdout, b"[a] started\n");
}

#[test]
fn no_core_is_dumped() {
    let limit = "ulimit -c; ulimit -Hc";
    let lines = log("require", &IDLE, limit, "");
    assert_eq!(lines.iter().filter(|line| *line == "[attacker] 0").count(), 2, "{lines:#?}");
    let lines = log("require", &IDLE, limit, "rlimits = { core = -1 }");
    assert_eq!(lines.iter().filter(|line| *line == "[attacker] unlimited").count(), 2, "{lines:#?}");
}

#[test]
fn the_highest_number_is_no_user() {
    // The control: to the kernel this number means "as before".
    let control = std::process::Command::new("perl")
        .args(["-e", "exit(syscall(117, -1, -1, -1) != 0 || $> != 0)"])
        .status()
        .expect("perl runs");
    assert!(control.success());
    for row in ["user = '4294967295'", "user = 4294967295", "user = '0:4294967295'", "groups = [4294967295]"]
    {
        let output = Setup::new(Place::Pid1, &[script("a", "echo started; id", row)]).output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{row}: {said}");
        assert!(said.contains("4294967295") && output.stdout.is_empty(), "{row}: {said}");
    }
}

#[test]
fn a_terminal_takes_no_forged_lines() {
    // A terminal of the container: script(1) makes one, and the init's streams are it.
    let forge = "for tty in /dev/console $(ls /dev/pts/[0-9]*); do echo '[victim] forged' >$tty; done";
    let log = |isolation: &str| {
        let rows = [script("attacker", forge, "")];
        let setup = Setup::new(Place::Pid1, &rows)
            .through(&["sh", "-c", "exec script --quiet --return --command \"$*\" /dev/null", "sh"])
            .with("BOT_BOTTLE_SIDECAR_ISOLATION", isolation);
        String::from_utf8_lossy(&setup.output().stdout).into_owned()
    };
    let forged = |said: &str| said.lines().any(|line| line.starts_with("[victim] forged"));
    assert!(forged(&log("off")), "without walls it is forged");
    let said = log("require");
    assert!(!forged(&said) && said.contains("ermission denied"), "{said}");
}
