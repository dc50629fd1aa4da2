//! Mounts of the container, from `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).

use bottle_contract::paths::covers;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Device of the file system, as `major:minor`.
    device: String,
    /// What of the file system is mounted.
    root: String,
    /// Where it is mounted.
    pub(crate) target: String,
    /// Whether nothing can be written through it.
    pub(crate) read_only: bool,
}

/// Mounts that can be reached: one that a later one covers is left out.
pub(crate) fn parse(text: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, _, device, root, target, options, ..] = words[..] else { continue };
        let read_only = |options: &str| options.split(',').any(|option| option == "ro");
        let superblock = words.last().is_some_and(|options| read_only(options));
        let mount = Mount {
            device: device.to_owned(),
            root: unescape(root),
            target: unescape(target),
            read_only: read_only(options) || superblock,
        };
        mounts.retain(|earlier| mount.target == "/" || !covers(&mount.target, &earlier.target));
        mounts.push(mount);
    }
    mounts
}

/// Other paths that lead to the same files as a path, through a second mount of what holds it.
pub(crate) fn aliases(mounts: &[Mount], path: &str) -> Vec<String> {
    let holds = mounts.iter().filter(|mount| covers(&mount.target, path));
    let Some(holder) = holds.max_by_key(|mount| mount.target.len()) else { return Vec::new() };
    let source = join(&holder.root, below(&holder.target, path));
    let others = mounts.iter().filter(|mount| *mount != holder && mount.device == holder.device);
    others
        .filter_map(|mount| {
            if covers(&mount.root, &source) {
                Some(join(&mount.target, below(&mount.root, &source)))
            } else {
                covers(&source, &mount.root).then(|| mount.target.clone())
            }
        })
        .filter(|alias| alias != path)
        .collect()
}

/// What follows a folder in a path that it covers, without a slash in front.
fn below<'a>(folder: &str, path: &'a str) -> &'a str {
    path[folder.len()..].trim_start_matches('/')
}

fn join(folder: &str, below: &str) -> String {
    match (folder.trim_end_matches('/'), below) {
        ("", "") => "/".to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, below) => format!("{folder}/{below}"),
    }
}

/// Blanks and backslashes are written as octal numbers.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
1 0 0:3 / / rw - overlay overlay rw
2 1 0:4 / /proc rw - proc proc rw
3 1 254:0 /srv/ca /etc/ca ro,relatime - ext4 /dev/vda rw
4 1 254:0 /srv /mnt/a\\040b rw - ext4 /dev/vda rw
5 1 254:0 /srv/ca/key.pem /one/key rw - ext4 /dev/vda ro
6 1 254:1 /srv /other rw - ext4 /dev/vdb rw
7 1 0:9 / /hidden/below rw - tmpfs tmpfs rw
8 1 0:8 / /hidden rw - tmpfs tmpfs rw
broken
";

    #[test]
    fn mounts_are_read() {
        let mounts = parse(TABLE);
        let targets: Vec<(&str, bool)> =
            mounts.iter().map(|mount| (mount.target.as_str(), mount.read_only)).collect();
        assert_eq!(
            targets,
            [
                ("/", false),
                ("/proc", false),
                ("/etc/ca", true),
                ("/mnt/a b", false),
                ("/one/key", true),
                ("/other", false),
                ("/hidden", false)
            ]
        );
    }

    #[test]
    fn a_second_mount_of_the_same_files_is_found() {
        let mounts = parse(TABLE);
        for (path, expect) in [
            ("/etc/ca", ["/mnt/a b/ca", "/one/key"].as_slice()),
            ("/etc/ca/key.pem", &["/mnt/a b/ca/key.pem", "/one/key"]),
            ("/etc/ca/other", &["/mnt/a b/ca/other"]),
            ("/one/key", &["/etc/ca/key.pem", "/mnt/a b/ca/key.pem"]),
            ("/mnt/a b", &["/etc/ca", "/one/key"]),
            ("/other", &[]),
            ("/etc/passwd", &[]),
        ] {
            assert_eq!(aliases(&mounts, path), expect, "{path}");
        }
    }
}
