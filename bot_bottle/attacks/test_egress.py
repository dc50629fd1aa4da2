"""Every attack on egress, against the real mitmdump, in both chains, with its control."""

from __future__ import annotations

import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

from . import client, egress
from .lanes import Lane

CHAINS = ("regular", "upstream")
CONTROL = 2.0
"""Seconds that an attack has to work without a guard, three times."""


def attacked(lane: Lane) -> dict[str, bool]:
    """Which attacks work in a lane."""
    found = {}
    with lane:
        for attack in egress.ALL:
            if lane.chain in attack.chains:
                tries = [0.05] if lane.guarded else [CONTROL] * 3
                found[attack.name] = any(lane.works(attack, patience) for patience in tries)
    return found


class Egress(unittest.TestCase):
    """Four lanes at the same time: two chains, with and without the guard."""

    def test_every_attack_fails_and_works_without_the_guard(self) -> None:
        names = [attack.name for attack in egress.ALL]
        self.assertEqual(len(names), len(set(names)))
        lanes = [Lane(chain, guarded=guarded) for chain in CHAINS for guarded in (True, False)]
        with ThreadPoolExecutor(len(lanes)) as pool:
            results = dict(zip([(lane.chain, lane.guarded) for lane in lanes], pool.map(attacked, lanes), strict=True))
        for chain in CHAINS:
            for name, works in results[chain, True].items():
                control = results[chain, False][name]
                said = f"{'WORKS' if works else 'fails'}, without the guard it {'works' if control else 'FAILS'}"
                print(f"egress {chain} {name}: {said}", file=sys.stderr)
                with self.subTest(attack=name, chain=chain):
                    self.assertFalse(works, "the attack works")
                    self.assertTrue(control, "the attack does not work without the guard either: it shows nothing")
        count = sum(map(len, (results[chain, True] for chain in CHAINS)))
        print(f"egress: {len(names)} named attacks, {count} in their chains", file=sys.stderr)

    def test_an_honest_request_passes_with_exactly_the_decided_headers(self) -> None:
        for chain in CHAINS:
            with Lane(chain, guarded=True) as lane, client.tunnel(lane.proxy().port, "api.test:443", "api.test") as stream:
                client.write(stream, egress.get(b"/admin/x", b"API.test:443", b"Authorization: x", b"Accept: */*"))
                self.assertIn(b"200 OK", client.head(stream))
                (seen,) = lane.origin.record.requests
                token = (b"Authorization", b"Bearer token-of-admin")
                self.assertEqual(seen.headers, [(b"Host", b"api.test"), (b"Accept", b"*/*"), token])
