//! Docker's verbs and options, as far as its command lines need them to be read.

/// Options before the verb that take a value.
pub(in crate::scan) const GLOBAL: &[&str] = &[
    "-f",
    "--file",
    "-p",
    "--project-name",
    "--profile",
    "--env-file",
    "--project-directory",
    "--ansi",
    "--parallel",
    "--progress",
    "-H",
    "--host",
    "-c",
    "--context",
    "-l",
    "--log-level",
    "--config",
];

/// Options after the verb that take a value.
pub(in crate::scan) const LOCAL: &[&str] = &[
    "-e",
    "--env",
    "--env-file",
    "-u",
    "--user",
    "-w",
    "--workdir",
    "--index",
    "-n",
    "--tail",
    "--since",
    "--until",
    "-t",
    "--timeout",
    "--time",
    "-s",
    "--signal",
    "-f",
    "--format",
    "--type",
    "--wait-timeout",
    "--detach-keys",
    "--scale",
    "--pull",
    "--filter",
    "-m",
    "--memory",
    "--cpus",
    "--restart",
    "--name",
    "--network",
    "--net",
    "-v",
    "--volume",
    "--mount",
    "-p",
    "--publish",
    "--label",
    "-l",
    "--entrypoint",
    "-h",
    "--hostname",
    "--link",
    "--file",
    "--build-arg",
    "--tag",
    "--target",
    "--add-host",
    "--ip",
    "--alias",
    "--network-alias",
];

/// Verbs of containers.
pub(in crate::scan) const VERBS: &[&str] = &[
    "exec",
    "cp",
    "kill",
    "restart",
    "logs",
    "inspect",
    "rm",
    "stop",
    "start",
    "pause",
    "unpause",
    "wait",
    "top",
    "port",
    "stats",
    "attach",
    "update",
    "rename",
    "commit",
    "diff",
    "export",
    "run",
    "create",
    "network",
    "volume",
    "ps",
    "build",
    "image",
    "images",
    "tag",
    "push",
    "pull",
    "rmi",
    "save",
    "history",
    "ls",
    "events",
    "buildx",
    "container",
];

/// Verbs of compose that name services.
pub(in crate::scan) const COMPOSE: &[&str] = &[
    "exec", "logs", "restart", "up", "stop", "start", "kill", "rm", "run", "ps", "build", "pull", "push",
    "top", "port", "cp", "wait", "pause", "unpause", "create", "events", "images", "attach", "scale",
    "stats", "watch", "config", "export", "commit", "down",
];

/// Short options of a verb that take no value, though another verb's of the same letter do.
pub(in crate::scan) fn bare(verb: &str, option: &str) -> bool {
    matches!(
        (verb, option),
        ("logs", "-f" | "-t")
            | ("rm", "-f" | "-v" | "-s" | "-l")
            | ("exec", "-t" | "-p")
            | ("up" | "run" | "create", "-t")
            | ("inspect" | "container", "-s")
            | ("ps", "-n" | "-l" | "-s")
            | ("cp", "-a" | "-L")
            | ("network", "-f")
    ) && !(verb == "up" && option == "-t")
}
