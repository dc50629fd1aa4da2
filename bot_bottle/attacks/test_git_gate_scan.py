"""Every attack on what git-gate scans, against the real git, hook and gitleaks, with its controls."""

from __future__ import annotations

import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from random import Random

from . import git_gate
from .arena import Arena
from .planted import ALPHANUMERIC, KINDS, harmless

LANES = 2


def text_for(attack: git_gate.Attack, *, secret: bool) -> bytes:
    """The secret of an attack, or a text of the same length."""
    random = Random(attack.name)
    if attack.kind == "base64":
        # 43 characters and the sign that ends them, as in a checksum.
        made = "".join(random.choices(ALPHANUMERIC, k=43)).encode() + b"="
    else:
        made = KINDS[attack.kind](random)
    return made if secret else harmless(made)


class Scan(unittest.TestCase):
    """Attacks in lanes of a guarded and an unguarded gate each."""

    def tried(self, attacks: list[git_gate.Attack]) -> dict[str, str]:
        """What went wrong, by attack."""
        guarded, unguarded = Arena(self), Arena(self, guarded=False)
        found: dict[str, str] = {}
        for attack in attacks:
            found[attack.name] = self.try_one(guarded, unguarded, attack)
        return found

    def try_one(self, guarded: Arena, unguarded: Arena, attack: git_gate.Attack) -> str:
        """Tries an attack and its controls; empty if all is well."""
        secret, control = (text_for(attack, secret=secret) for secret in (True, False))
        words = attack.make(guarded, secret)
        before, contacts = guarded.refs(), len(guarded.gate.contacts())
        done = guarded.push(*words)
        if done.returncode == 0 or guarded.refs() != before:
            return f"the secret arrives: {done.stdout}"
        if attack.refusal not in done.stdout or secret.decode() in done.stdout.replace(" ", "").partition("To")[0]:
            return f"refused for another reason, or the secret is shown: {done.stdout}"
        if "purged" not in attack.name and len(guarded.gate.contacts()) != contacts:
            return "the upstream was contacted before the scan"
        if attack.harmless:
            done = guarded.push(*attack.make(guarded, control))
            if done.returncode != 0 or guarded.refs() == before:
                return f"control: the harmless push is refused: {done.stdout}"
        words = attack.make(unguarded, secret)
        done = unguarded.push(*words)
        tips = {word.partition(":")[0] for word in words}
        if done.returncode != 0 or not tips <= set(unguarded.refs().values()):
            return f"control: the attack does not work without the guard: {done.stdout}"
        return ""

    def test_every_attack_is_refused_and_works_without_the_guard(self) -> None:
        names = [attack.name for attack in git_gate.ALL]
        self.assertEqual(len(names), len(set(names)))
        with ThreadPoolExecutor(LANES) as pool:
            for results in pool.map(self.tried, [git_gate.ALL[lane::LANES] for lane in range(LANES)]):
                for name, wrong in results.items():
                    print(f"git-gate {name}: {wrong or 'refused; works without the guard'}", file=sys.stderr)
                    with self.subTest(attack=name):
                        self.assertEqual(wrong, "")
        print(f"git-gate: {len(names)} named attacks on the scan", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
