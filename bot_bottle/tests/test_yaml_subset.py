"""yaml_subset: what it takes, and that everything else is an error with its line."""

import unittest
from typing import Any

from yaml_subset import MAX_DEPTH, Mapping, Node, Scalar, Sequence, YamlError, parse


def plain(node: Node) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.entries.items()}


class Accepted(unittest.TestCase):
    def check(self, text: str, expected: Any) -> None:
        with self.subTest(text=text):
            self.assertEqual(plain(parse(text)), expected)

    def test_scalars(self) -> None:
        for text, value in [
            ("word", "word"), ("two words", "two words"), ("12", 12), ("-3", -3), ("true", True), ("False", False),
            ("null", None), ("~", None), ("yes", "yes"), ("1.2.3.4", "1.2.3.4"), ("a:b", "a:b"), ("a#b", "a#b"),
            ("'it''s # one'", "it's # one"), ('"a\\"b\\n\\x41\\u00e9\\\\"', 'a"b\nA\u00e9\\'), ("''", ""), ("[]", []),
            ("http://x/y", "http://x/y"), ("x  # comment", "x"), ("'x' # comment", "x"), ("'12'", "12"),
        ]:  # fmt: skip
            self.check(f"k: {text}", {"k": value})
            self.check(f"- {text}", [value])

    def test_blocks(self) -> None:
        self.check("", None)
        self.check("# only a comment\n\n", None)
        self.check("---\na: 1\r\nb:\n  c: 2\n", {"a": 1, "b": {"c": 2}})
        self.check("a:\n- 1\n-\n  - 2\n  - 3\nb:\n", {"a": [1, [2, 3]], "b": None})
        self.check(
            "a:\n  - k: 1\n    l:\n      - x\n  -   m: 2\n      n: 3\n", {"a": [{"k": 1, "l": ["x"]}, {"m": 2, "n": 3}]}
        )
        self.check("- - 1\n  - 2\n- 3", [[1, 2], 3])
        self.check("a: # said later\n  b: 1\n'q k': 2\n\"d\": 3", {"a": {"b": 1}, "q k": 2, "d": 3})

    def test_lines_are_kept(self) -> None:
        node = parse("# c\na: 1\nb:\n  - x\n  - k: y\n")
        assert isinstance(node, Mapping)
        items = node.entries["b"]
        assert isinstance(items, Sequence)
        self.assertEqual([node.line, items.line, *(item.line for item in items.items)], [2, 4, 4, 5])


class Refused(unittest.TestCase):
    def test_everything_else_names_its_line(self) -> None:
        for text, line in [
            ("a: &x 1", 1), ("a: *x", 1), ("a: *.example.com", 1), ("a: !t 1", 1), ("a: |\n  x", 1), ("a: >-", 1),
            ("a: {b: 1}", 1), ("a: [1]", 1), ("? a", 1), ("a: 1\na: 2", 2), ("a: b: c", 1), ("a: b:", 1),
            ("<<: x", 1), ("%YAML 1.2", 1), ("a: 1\n---\nb: 2", 2), ("a: 1\n...", 2), ("a\nb", 1), ("just text", 1),
            ("a:\n  b: 1\n c: 2", 3), ("a: 1\n  b: 2", 2), ("a:\n  continued\n  text", 2), ("- a\nb: 1", 2),
            ("a: 1\n- b", 2), ("a: 'x", 1), ('a: "x', 1), ("a: 'x' y", 1), ("a: 'x'#y", 1), ('a: "\\q"', 1),
            ('a: "\\x4"', 1), ('a: "\\ud800"', 1), ("\ta: 1", 1), ("a:\n\t- 1", 2), ("a: \x00", 1), ("\ufeffa: 1", 1),
            ("a: @x", 1), ("a: `x`", 1), ("a: 1.5", 1), ("a: 0x10", 1), ("a: .inf", 1), ("a: 1e3", 1), ("a:1", 1),
            ("a: , x", 1), ("a: -x", 1), ("a: x\u0085y", 1), ("a: ]", 1), ("a:\tx", 1), ("a: 1\n\n\n  # c\n b: 1", 5),
            ("- " * (MAX_DEPTH + 1) + "x", 1), ("- " * 100_000 + "x", 1),
        ]:  # fmt: skip
            with self.subTest(text=text[:40]):
                with self.assertRaises(YamlError) as caught:
                    parse(text)
                self.assertEqual(caught.exception.line, line)
                self.assertIn(f"line {line}: ", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
