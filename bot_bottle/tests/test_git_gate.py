"""git-gate from a client's side: what a fetch sees, what a push may publish, and who is contacted when."""

import signal
import unittest
from collections.abc import Callable

from .gate import SECRET, Gate


class Served(unittest.TestCase):
    def setUp(self) -> None:
        self.gate = Gate(self)
        self.upstream = self.gate.upstream("repo")
        self.daemon = self.gate.serve(repo=self.upstream)
        self.clone = self.gate.root / "clone"
        self.gate.git("clone", "--quiet", self.gate.url("repo"), str(self.clone))

    def git(self, *words: str, input: str | None = None) -> str:
        return self.gate.git(*words, at=self.clone, input=input)

    def commit(self, message: str = "change", **files: str) -> str:
        for name, content in files.items():
            (self.clone / name).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def at_upstream(self, ref: str) -> str | None:
        done = self.gate.try_git("rev-parse", "--quiet", "--verify", ref, at=self.upstream)
        return done.stdout.strip() if done.returncode == 0 else None

    def rejected(self, *push: str, naming: str = "gitleaks", contact: bool = False) -> None:
        """Tries a push that must change nothing and, unless told otherwise, contact nobody."""
        before, refs = self.gate.contacts(), self.gate.git("for-each-ref", at=self.upstream)
        done = self.gate.try_git("push", "--porcelain", "origin", *push, at=self.clone)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, naming)
        self.assertEqual(refs, self.gate.git("for-each-ref", at=self.upstream))
        if not contact:
            self.assertEqual(before, self.gate.contacts())
            for word in ("resolve", "refused", "unreachable"):
                self.assertNotIn(word, done.stdout)
        mirror = self.gate.root / "git" / "repo.git"
        self.assertEqual([], [path.name for path in mirror.iterdir() if path.name.startswith("scan.")])

    def pushed(self, *push: str) -> None:
        self.git("push", "--quiet", "origin", *push)


class Fetches(Served):
    def test_a_clone_is_the_upstream_on_its_default_branch(self) -> None:
        self.assertEqual(self.git("symbolic-ref", "HEAD"), "refs/heads/trunk")
        self.assertEqual(self.git("rev-parse", "HEAD"), self.at_upstream("trunk"))

    def test_each_fetch_refreshes_the_mirror(self) -> None:
        first = self.at_upstream("trunk") or ""
        second = self.gate.git("commit-tree", "-p", first, "-m", "second", f"{first}^{{tree}}", at=self.upstream)
        self.gate.git("update-ref", "refs/heads/trunk", second, at=self.upstream)
        self.gate.git("tag", "v1", first, at=self.upstream)
        self.git("fetch", "--quiet", "--prune")
        self.assertEqual(self.git("rev-parse", "origin/trunk", "v1"), f"{second}\n{first}")
        self.gate.git("branch", "--move", "trunk", "main", at=self.upstream)
        self.git("fetch", "--quiet", "--prune")
        self.assertEqual(self.git("branch", "--remotes", "--list", "origin/trunk", "origin/main"), "origin/main")

    def test_ssh_is_strict_about_keys_and_hosts(self) -> None:
        creds = self.gate.creds
        for option in (
            f"-i {creds}/id_ed25519", f"UserKnownHostsFile={creds}/known_hosts", "StrictHostKeyChecking=yes",
            "BatchMode=yes", "IdentitiesOnly=yes", "-F /dev/null", "git@forge.test",
        ):  # fmt: skip
            self.assertIn(option, self.gate.contacts()[0])

    def test_an_upstream_that_is_down_fails_the_fetch(self) -> None:
        self.gate.down()
        done = self.gate.try_git("fetch", at=self.clone)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("mirror could not be refreshed", done.stdout)
        self.assertIn("Connection refused", done.stdout)

    def test_only_mirrors_are_served(self) -> None:
        self.gate.git("init", "--quiet", "--bare", f"{self.gate.root}/git/stray.git")
        for words in (("ls-remote", self.gate.url("stray")), ("ls-remote", self.gate.url("../repo-upstream"))):
            self.assertNotEqual(self.gate.try_git(*words).returncode, 0)
        archive = self.gate.try_git("archive", f"--remote={self.gate.url('repo')}", "trunk")
        self.assertNotEqual(archive.returncode, 0)

    def test_term_ends_it(self) -> None:
        self.daemon.send_signal(signal.SIGTERM)
        self.assertIn(self.daemon.wait(20), (-signal.SIGTERM, 128 + signal.SIGTERM))


class CleanPushes(Served):
    def test_commits_branches_and_tags_arrive(self) -> None:
        head = self.commit(README="hello")
        self.pushed("HEAD:trunk", "HEAD:refs/heads/topic/one")
        self.git("tag", "--annotate", "--message", "release", "v1")
        self.pushed("v1")
        self.assertEqual([self.at_upstream(ref) for ref in ("trunk", "topic/one", "v1^{commit}")], [head] * 3)

    def test_deleting_and_forcing_arrive(self) -> None:
        self.commit(README="one")
        self.pushed("HEAD:topic", "HEAD:gone")
        self.git("commit", "--quiet", "--amend", "--message", "another")
        self.pushed("--force", "HEAD:topic", ":gone")
        self.assertEqual(self.at_upstream("topic"), self.git("rev-parse", "HEAD"))
        self.assertIsNone(self.at_upstream("gone"))
        self.git("checkout", "--quiet", "--orphan", "fresh")
        self.commit(README="root")
        self.pushed("fresh")

    def test_the_upstream_decides_on_its_default_branch(self) -> None:
        self.pushed("HEAD:other")
        self.rejected(":trunk", naming="upstream did not take the push", contact=True)
        self.gate.git("config", "receive.denyDeleteCurrent", "ignore", at=self.upstream)
        self.pushed(":trunk")
        self.assertIsNone(self.at_upstream("trunk"))

    def test_what_the_upstream_has_already_is_no_alarm(self) -> None:
        trunk = self.at_upstream("trunk") or ""
        blob = self.gate.git("hash-object", "-w", "--stdin", at=self.upstream, input=f"a\n{SECRET}\nb\n")
        tree = self.gate.git("mktree", at=self.upstream, input=f"100644 blob {blob}\tconfig\n")
        leaked = self.gate.git("commit-tree", "-p", trunk, "-m", "leak", tree, at=self.upstream)
        self.gate.git("update-ref", "refs/heads/trunk", leaked, at=self.upstream)
        self.git("pull", "--quiet")
        self.pushed("HEAD:copy")
        self.commit(config=f"a\n{SECRET}\nc\n")
        self.commit(config="a\nc\n")
        self.pushed("HEAD:trunk")
        self.assertEqual(self.at_upstream("trunk"), self.git("rev-parse", "HEAD"))


class Secrets(Served):
    def with_file(self, name: str, content: bytes = SECRET.encode()) -> Callable[[], str]:
        def make() -> str:
            path = self.clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return "HEAD:trunk" if self.commit() else ""

        return make

    def test_files(self) -> None:
        for name, content in [
            ("README.md", b"token: " + SECRET.encode() + b"\n"), ("go.sum", SECRET.encode()), ("logo.png", SECRET.encode()),
            ("binary", b"\0\xff\x89PNG\n" + SECRET.encode() + b"\0"), ("dash", b"-" + SECRET.encode()),
            ("node_modules/x.js", SECRET.encode()), (f"named-{SECRET}", b""), ("crlf", b"a\r" + SECRET.encode()),
        ]:  # fmt: skip
            with self.subTest(name=name):
                self.with_file(name, content)()
                self.rejected("HEAD:trunk")
                self.rejected("HEAD:refs/heads/new")
                self.git("reset", "--quiet", "--hard", "origin/trunk")

    def test_the_client_learns_where(self) -> None:
        self.with_file("docs/README.md")()
        first = self.git("rev-parse", "HEAD")
        self.commit(other="clean")
        self.rejected("HEAD:trunk", naming=f"gitleaks: planted-rule in docs/README.md of commit {first}")
        self.rejected(f"origin/trunk:refs/heads/{SECRET}", naming="planted-rule in the name of a ref")

    def test_files_that_attributes_hide(self) -> None:
        (self.clone / ".gitattributes").write_text("* binary -diff\n")
        self.commit()
        self.pushed("HEAD:trunk")
        self.with_file("README.md")()
        self.rejected("HEAD:trunk")

    def test_a_symbolic_link(self) -> None:
        (self.clone / "link").symlink_to(SECRET)
        self.commit()
        self.rejected("HEAD:trunk")

    def test_a_file_that_a_later_commit_removes(self) -> None:
        self.with_file("README.md")()
        (self.clone / "README.md").unlink()
        self.commit()
        self.rejected("HEAD:trunk")
        self.rejected("HEAD:refs/heads/other", "HEAD:trunk")

    def test_a_merge_that_adds_it(self) -> None:
        self.git("checkout", "--quiet", "-b", "side")
        self.commit(a="a")
        self.git("checkout", "--quiet", "trunk")
        self.commit(b="b")
        self.git("merge", "--quiet", "--no-ff", "--no-commit", "side")
        self.with_file("evil")()
        self.assertEqual(len(self.git("rev-list", "--parents", "-1", "HEAD").split()), 3)
        self.rejected("HEAD:trunk")

    def test_messages_names_and_headers(self) -> None:
        self.commit(message=f"about {SECRET}")
        self.rejected("HEAD:trunk")
        self.git("reset", "--quiet", "--hard", "origin/trunk")
        self.git("tag", "--annotate", "--message", SECRET, "inner")
        self.git("tag", "--annotate", "--message", "outer", "outer", "inner")
        self.rejected("inner")
        self.rejected("outer")
        self.rejected(f"HEAD:refs/heads/{SECRET}")
        text = self.git("cat-file", "commit", "HEAD").replace("\n\n", f"\n-x {SECRET}\n\n", 1)
        odd = self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", input=text + "\n")
        self.rejected(f"{odd}:refs/heads/odd")

    def test_a_forced_push_and_one_bad_ref_among_good_ones(self) -> None:
        self.commit(README="one")
        self.pushed("HEAD:topic")
        self.git("reset", "--quiet", "--hard", "origin/trunk")
        good = self.commit(README="good")
        self.with_file("README")()
        self.rejected("--force", "HEAD:topic")
        self.rejected(f"{good}:refs/heads/good", "HEAD:bad")
        self.pushed(f"{good}:refs/heads/good")

    def test_the_upstreams_state_makes_no_difference(self) -> None:
        self.gate.down()
        self.with_file("README.md")()
        self.rejected("HEAD:trunk")


class OtherRefusals(Served):
    def test_without_a_working_gitleaks_nothing_is_taken(self) -> None:
        self.commit(README="clean")
        for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\nkill -9 $$\n", "#!/nowhere\n"):
            self.gate.program("gitleaks", text)
            self.rejected("HEAD:trunk")
        (self.gate.bin / "gitleaks").unlink()
        self.rejected("HEAD:trunk")
        self.rejected(":trunk")

    def test_without_its_hook_nothing_is_taken(self) -> None:
        self.commit(README="clean")
        hook = self.gate.hooks / "pre-receive"
        hook.chmod(0o644)
        self.rejected("HEAD:trunk", naming="pre-receive")
        hook.unlink()
        self.rejected("HEAD:trunk", naming="pre-receive")

    def test_refs_that_cannot_be_scanned(self) -> None:
        blob = self.git("hash-object", "-w", "--stdin", input=SECRET)
        self.rejected(f"{blob}:refs/tags/blob", naming="holds no commit")
        self.rejected("HEAD^{tree}:refs/tags/tree", naming="holds no commit")
        for ref in ("refs/notes/commits", "refs/replace/" + "0" * 40, "refs/for/trunk"):
            self.rejected(f"HEAD:{ref}", naming="neither a branch nor a tag")

    def test_malformed_trees(self) -> None:
        blobs = [self.git("hash-object", "-w", "--stdin", input=text) for text in ("clean", SECRET)]
        tree = self.git("mktree", input="".join(f"100644 blob {blob}\tREADME\n" for blob in blobs))
        commit = self.git("commit-tree", "-p", "HEAD", "-m", "twice", tree)
        self.rejected(f"{commit}:trunk", naming="duplicateEntries|Connection reset")

    def test_all_refs_are_taken_or_none(self) -> None:
        self.pushed("HEAD:topic")
        self.gate.git("update-ref", "-d", "refs/heads/topic", at=self.upstream)
        self.commit(README="clean")
        self.rejected("HEAD:trunk", "HEAD:topic", naming="upstream did not take the push", contact=True)

    def test_what_others_pushed_meanwhile_stays(self) -> None:
        trunk = self.at_upstream("trunk") or ""
        other = self.gate.git("commit-tree", "-p", trunk, "-m", "other", f"{trunk}^{{tree}}", at=self.upstream)
        self.gate.git("update-ref", "refs/heads/trunk", other, at=self.upstream)
        self.commit(README="mine")
        self.rejected("HEAD:trunk", naming="upstream did not take the push", contact=True)
        self.rejected("--force", "HEAD:trunk", naming="upstream did not take the push", contact=True)
        self.git("pull", "--quiet", "--rebase")
        self.pushed("HEAD:trunk")

    def test_an_upstream_that_is_down(self) -> None:
        self.gate.down()
        self.commit(README="clean")
        self.rejected("HEAD:trunk", naming="upstream did not take the push", contact=True)


class Configuration(unittest.TestCase):
    def setUp(self) -> None:
        self.gate = Gate(self)

    def fails(self, naming: str, upstreams: str = "") -> None:
        with self.subTest(upstreams=upstreams):
            process = self.gate.spawn(GIT_GATE_UPSTREAMS=upstreams, GIT_GATE_PORT="1")
            _, errors = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 1)
            self.assertIn("git-gate: ", errors)
            self.assertIn(naming, errors)

    def test_upstreams_that_are_refused(self) -> None:
        for words in ("repo", "=ssh://h/p", "a/b=ssh://h/p", "..=ssh://h/p", ".x=ssh://h/p", "-x=ssh://h/p", "*=ssh://h/p"):
            self.fails(words, words)
        for url in (
            "https://h/p", "/srv/p", "file:///p", "ext::sh", "git://h/p", "ssh://-oProxyCommand=x/p", "-oX:p", "./a:b",
            "ssh:///p", "git@-oX:p", ":p", "",
        ):  # fmt: skip
            self.fails("not reached by SSH", f"repo={url}")
        self.fails("stands twice", "a=ssh://h/p a.git=h:p")

    def test_credentials_and_hooks_have_to_be_there(self) -> None:
        (self.gate.creds / "known_hosts").unlink()
        self.fails("known_hosts", "repo=h:p")
        (self.gate.hooks / "access-hook").chmod(0o644)
        self.fails("access-hook", "repo=h:p")

    def test_both_sources_and_own_credentials(self) -> None:
        one, two = self.gate.upstream("one"), self.gate.upstream("two")
        (self.gate.hooks / "upstreams").write_text(f"# the second\ntwo=git@forge.test:{two} # by scp's form\n")
        (self.gate.creds / "two-key").touch()
        self.gate.serve(one=one)
        for name, key in (("one", "id_ed25519"), ("two", "two-key")):
            seen = len(self.gate.contacts())
            self.gate.git("ls-remote", self.gate.url(name))
            calls = self.gate.contacts()[seen:]
            self.assertTrue(calls)
            for call in calls:
                self.assertIn(f"-i {self.gate.creds}/{key} ", call)

    def test_a_mirror_is_not_served_once_its_upstream_is_gone(self) -> None:
        old, new = self.gate.upstream("old"), self.gate.upstream("new")
        self.gate.serve(old=old).kill()
        self.gate.serve(new=new)
        self.gate.git("ls-remote", self.gate.url("new"))
        self.assertIn("not exported", self.gate.try_git("ls-remote", self.gate.url("old")).stdout)

    def test_it_serves_nothing_without_upstreams(self) -> None:
        self.gate.serve()
        self.assertNotEqual(self.gate.try_git("ls-remote", self.gate.url("repo")).returncode, 0)


if __name__ == "__main__":
    unittest.main()
