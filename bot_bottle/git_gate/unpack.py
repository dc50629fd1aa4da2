"""Text that a file holds in another form: compressed, in base64 over several lines, or in UTF-16 or UTF-32.

gitleaks reads UTF-8, and decodes base64, hex and percent signs within a line. Everything else is unpacked here, so that
it is scanned too:

* gzip, zlib, bzip2, xz and lzma streams and members of zip files, wherever in the file they begin;
* base64 of at least 40 characters, also when it is broken into lines;
* UTF-16 and UTF-32, as the bytes without zeros.

What is unpacked is unpacked again, up to `MAX_DEPTH` times; a push that needs more is refused. Encrypted data, formats
such as zstd and 7z, and encodings of the pusher's own are not readable: only their bytes are scanned.
"""

from __future__ import annotations

import base64
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from git_gate.limits import Budget
from git_gate.report import RefusedError

MAX_DEPTH = 6
SHORTEST = 16
"""Bytes below which unpacked data holds no secret that gitleaks knows."""
LEAST_ENCODED = 22
"""Characters of base64 below which what it means is too short."""
CHUNK = 1 << 16
XZ_MEMORY = LZMA_MEMORY = 128 << 20
"""The highest preset of xz needs half of it."""

LZMA_UNKNOWN_SIZE = b"\xff" * 8


def _zlib_starts() -> bytes:
    """How a zlib stream may begin, for every size of window (RFC 1950, section 2.2): 16 bits that 31 divides."""
    windows = range(0x08, 0x80, 0x10)
    flags = {
        window: [flag for flag in range(256) if (window << 8 | flag) % 31 == 0 and not flag & 0x20] for window in windows
    }
    return b"|".join(
        b"\\x%02x[%s]" % (window, b"".join(b"\\x%02x" % flag for flag in some)) for window, some in flags.items()
    )


_STREAM = re.compile(
    rb"\x1f\x8b\x08|BZh[1-9](?:1AY&SY|\x17rE8P\x90)|\xfd7zXZ\x00|PK\x03\x04|\x5d\x00\x00[\x00-\xff]{2}\xff{8}|"
    + _zlib_starts()
)
# Between two lines of it: what ends the first, such as a quote and a comma, and what begins the second.
_FOLD = rb"[ \t\"'\\,+]{0,8}\r?\n[ \t>#*/\"']{0,16}"


def _runs(alphabet: bytes) -> re.Pattern[bytes]:
    """Characters of an alphabet, broken into lines or not."""
    return re.compile(b"[%s]{4,}(?:%s[%s]{4,})*" % (alphabet, _FOLD, alphabet))


_ENCODINGS: tuple[tuple[re.Pattern[bytes], re.Pattern[bytes], int], ...] = (
    (_runs(b"A-Za-z0-9+/="), re.compile(rb"[A-Za-z0-9+/]+"), 4),
    (_runs(b"A-Za-z0-9_=-"), re.compile(rb"[A-Za-z0-9_-]+"), 4),
    (_runs(b"A-Fa-f0-9"), re.compile(rb"[A-Fa-f0-9]+"), 2),
)
"""Base64, base64 for URLs, and hex: a run of it, what in a run is not punctuation, and characters of a group."""
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_PLAUSIBLE = re.compile(rb"[\t\n\r -~]{16}|(?:[\t\n\r -~]\0+){12}|" + _STREAM.pattern)
"""What tells decoded text, or something packed, from the noise that decoding anything else gives."""


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most so many bytes of the stream."""


def layers(data: bytes, budget: Budget) -> Iterator[bytes]:
    """Every text that can be unpacked from a file, at any depth, without the file itself.

    Each layer is paid for out of the budget. Raises RefusedError if that is used up, or at more than `MAX_DEPTH` layers.
    """
    waiting = [(data, 0)]
    while waiting:
        outer, depth = waiting.pop()
        for inner in _unpack(outer, budget):
            if depth == MAX_DEPTH:
                raise RefusedError(f"a file is packed more than {MAX_DEPTH} times, so it cannot be scanned")
            yield inner
            waiting.append((inner, depth + 1))


def _unpack(data: bytes, budget: Budget) -> Iterator[bytes]:
    if b"\0" in data:
        text = data.replace(b"\0", b"")
        if len(text) >= SHORTEST:
            budget.spend(len(text))
            yield text
    for found in _STREAM.finditer(data):
        unpacked = _decompress(data, found.start(), budget)
        if len(unpacked) >= SHORTEST:
            yield unpacked
    for number, (pattern, characters, group) in enumerate(_ENCODINGS):
        for found in pattern.finditer(data):
            if found.end() - found.start() >= LEAST_ENCODED and not (number == 1 and _is_plain(data, found)):
                for unpacked in _decode(characters.findall(found[0]), group):
                    budget.spend(len(unpacked))
                    yield unpacked


def _decompress(data: bytes, at: int, budget: Budget) -> bytes:
    """The stream that begins there, as far as it can be read."""
    make: Callable[[], _Decompressor]
    match data[at : at + 2]:
        case b"\x1f\x8b":
            make = partial(zlib.decompressobj, 31)
        case b"BZ":
            make = bz2.BZ2Decompressor
        case b"\x5d\x00":
            make = _lzma
        case b"\xfd7":
            make = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, XZ_MEMORY)
        case b"PK":
            number = partial(int.from_bytes, byteorder="little")
            method = number(data[at + 8 : at + 10])
            if method not in (8, 12, 14):
                return b""  # stored, or xz: its bytes are in the file as they are; or of a kind that cannot be read
            at += 30 + number(data[at + 26 : at + 28]) + number(data[at + 28 : at + 30])
            if method == 14:
                # Before the stream are two bytes of version, two of a size, and the five that begin an lzma file, too.
                return _inflate(_lzma(), data[at + 4 : at + 9] + LZMA_UNKNOWN_SIZE + data[at + 9 :], 0, budget)
            make = partial(zlib.decompressobj, -15) if method == 8 else bz2.BZ2Decompressor
        case _:
            make = partial(zlib.decompressobj, 15)
    return _inflate(make(), data, at, budget)


def _lzma() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY)


def _inflate(decompressor: _Decompressor, data: bytes, at: int, budget: Budget) -> bytes:
    unpacked = bytearray()
    fed = b""
    hungry = True
    while True:
        if hungry:
            fed = data[at : at + CHUNK]
            at += CHUNK
            if not fed:
                return bytes(unpacked)
        try:
            piece = decompressor.decompress(fed, CHUNK)
        except lzma.LZMAError as error:
            if "Memory usage limit" in str(error):
                raise RefusedError(
                    f"an xz or lzma stream needs more than {XZ_MEMORY} bytes of memory, so it cannot be scanned"
                ) from error
            return bytes(unpacked)
        except (zlib.error, OSError, EOFError, ValueError):
            return bytes(unpacked)
        budget.spend(len(piece))
        unpacked += piece
        if getattr(decompressor, "eof", False):
            return bytes(unpacked)
        fed = getattr(decompressor, "unconsumed_tail", b"")
        hungry = not fed and getattr(decompressor, "needs_input", len(piece) < CHUNK)


def _is_plain(data: bytes, run: re.Match[bytes]) -> bool:
    """Whether a run of base64 for URLs is one of plain base64 as well."""
    around = data[run.start() - 1 : run.start()] + data[run.end() : run.end() + 1]
    return not (b"-" in run[0] or b"_" in run[0] or b"/" in around or b"+" in around)


def _decode(lines: list[bytes], group: int) -> Iterator[bytes]:
    """What lines of an encoded text mean, from each place where a group of characters may begin.

    Words before and after the text may be taken for lines of it, and would spoil its ends. So lines of one length are
    decoded on their own, too, with and without the line that follows.
    """
    decoded: set[bytes] = set()
    for text in {b"".join(lines), *_blocks(lines)}:
        for skipped in range(group):
            whole = text[skipped : len(text) - (len(text) - skipped) % group]
            if len(whole) < LEAST_ENCODED:
                continue
            unpacked = bytes.fromhex(whole.decode()) if group == 2 else base64.b64decode(whole.translate(_URL_SAFE))
            if _PLAUSIBLE.search(unpacked):
                decoded.add(unpacked)
            rest = len(text) - skipped - len(whole)
            if group == 4 and rest > 1:
                # Without its padding, the last group is as long as what it means, and one more.
                last = base64.b64decode(text[len(text) - rest :].translate(_URL_SAFE) + b"=" * (4 - rest))
                if _PLAUSIBLE.search(unpacked + last):
                    decoded.add(unpacked + last)
    yield from decoded


def _blocks(lines: list[bytes]) -> Iterator[bytes]:
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and len(lines[end]) == len(lines[start]):
            end += 1
        yield b"".join(lines[start:end])
        if end < len(lines):
            yield b"".join(lines[start : end + 1])
        start = end
