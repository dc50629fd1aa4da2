//! Users by name or number, from `/etc/passwd` and `/etc/group` (passwd(5), group(5)).
//!
//! Read here rather than through libc: the binary is static and has no name service.

use std::path::Path;

/// User and groups of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Name, or the number where there is none.
    pub(crate) name: String,
    /// User id.
    pub(crate) uid: u32,
    /// Group id.
    pub(crate) gid: u32,
    /// Supplementary group ids, sorted.
    pub(crate) groups: Vec<u32>,
    /// Home directory.
    pub(crate) home: String,
}

/// The text of both files; a missing one is empty.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads the files of the container.
    pub(crate) fn read() -> Self {
        let text = |path: &str| {
            std::fs::read(Path::new(path))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        };
        Self { passwd: text("/etc/passwd"), group: text("/etc/group") }
    }

    /// Finds `name`, `uid` or `uid:gid`; as container engines do, root needs no entry, and neither does a number.
    ///
    /// The highest number is no user and no group: the kernel takes it for "as before" (setresuid(2)).
    pub(crate) fn find(&self, user: &str) -> Option<Credentials> {
        let (user, group) = match user.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (user, None),
        };
        let number = id(user);
        let entry = self.entries().find(|entry| entry.name == user || Some(entry.uid) == number);
        let mut found = match (entry, number) {
            (Some(entry), _) => Credentials {
                name: entry.name.to_owned(),
                uid: entry.uid,
                gid: entry.gid,
                groups: Vec::new(),
                home: entry.home.to_owned(),
            },
            (None, Some(uid)) => {
                Credentials { name: user.to_owned(), uid, gid: 0, groups: Vec::new(), home: "/".to_owned() }
            }
            (None, None) if user == "root" => Credentials {
                name: "root".to_owned(),
                uid: 0,
                gid: 0,
                groups: Vec::new(),
                home: "/root".to_owned(),
            },
            (None, None) => return None,
        };
        if let Some(group) = group {
            found.gid = self.group(group)?;
        } else {
            found.groups = self.groups_of(&found.name);
        }
        if found.home.is_empty() {
            found.home.push('/');
        }
        Some(found)
    }

    /// Number of a group given by name or number.
    pub(crate) fn group(&self, group: &str) -> Option<u32> {
        id(group).or_else(|| self.group_id(group))
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
            Some(Entry { name, uid: id(uid)?, gid: id(gid)?, home })
        })
    }

    fn group_rows(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else { return None };
            Some((name, id(gid)?, members))
        })
    }

    fn group_id(&self, group: &str) -> Option<u32> {
        self.group_rows().find(|(name, ..)| *name == group).map(|(_, gid, _)| gid)
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        let mut groups: Vec<u32> = self
            .group_rows()
            .filter(|(_, _, members)| members.split(',').any(|member| member.trim() == user))
            .map(|(_, gid, _)| gid)
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// A user or group id in digits.
fn id(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

struct Entry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nbroken\nmitmproxy:x:1000:1001::/home/mitmproxy:/bin/sh\n\
                     homeless:x:7:7:::\nminus:x:4294967295:4294967295::/:\n"
                .to_owned(),
            group: "mitmproxy:x:1001:\ncerts:x:50:other,mitmproxy\naudio:x:20:mitmproxy\nall:x:4294967295:mitmproxy\n".to_owned(),
        }
    }

    fn check(user: &str, expect: Option<(u32, u32, &[u32], &str)>) {
        let found = accounts().find(user);
        let found = found.as_ref().map(|f| (f.uid, f.gid, f.groups.as_slice(), f.home.as_str()));
        assert_eq!(found, expect, "{user}");
    }

    #[test]
    fn users_are_found_as_container_engines_find_them() {
        check("mitmproxy", Some((1000, 1001, &[20, 50], "/home/mitmproxy")));
        check("1000", Some((1000, 1001, &[20, 50], "/home/mitmproxy")));
        check("1000:0", Some((1000, 0, &[], "/home/mitmproxy")));
        check("mitmproxy:certs", Some((1000, 50, &[], "/home/mitmproxy")));
        check("4321", Some((4321, 0, &[], "/")));
        check("4321:99", Some((4321, 99, &[], "/")));
        check("homeless", Some((7, 7, &[], "/")));
        check("nobody", None);
        check("mitmproxy:nogroup", None);
        check("", None);
        for user in
            ["-1", "+5", "4294967295", "4294967296", "minus", "0:4294967295", "mitmproxy:all", "7:-1", "7:"]
        {
            check(user, None);
        }
    }

    #[test]
    fn root_needs_no_entry() {
        let found = Accounts::default().find("root").map(|found| (found.uid, found.home));
        assert_eq!(found, Some((0, "/root".to_owned())));
    }
}
