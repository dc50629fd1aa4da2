"""Secrets of kinds that gitleaks knows, made up from a seed, and the forms that an attack gives them."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import string
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from random import Random

ALPHANUMERIC = string.ascii_letters + string.digits


def _characters(random: Random, alphabet: str, count: int) -> str:
    return "".join(random.choices(alphabet, k=count))


def pat(random: Random) -> bytes:
    """A GitHub token."""
    return b"ghp_" + _characters(random, ALPHANUMERIC, 36).encode()


def key_id(random: Random) -> bytes:
    """The id of an AWS access key."""
    return b"AKIA" + _characters(random, string.ascii_uppercase + "234567", 16).encode()


def pem(random: Random) -> bytes:
    """A private key."""
    lines = [_characters(random, ALPHANUMERIC + "+/", 64) for _ in range(12)]
    return b"-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(lines).encode() + b"\n-----END RSA PRIVATE KEY-----"


def npm(random: Random) -> bytes:
    """An npm token."""
    return b"npm_" + _characters(random, string.ascii_lowercase + string.digits, 36).encode()


def stripe(random: Random) -> bytes:
    """A Stripe key."""
    return b"sk_live_" + _characters(random, ALPHANUMERIC, 24).encode()


SHORT: dict[str, Callable[[Random], bytes]] = {"pat": pat, "key-id": key_id, "npm": npm, "stripe": stripe}
KINDS: dict[str, Callable[[Random], bytes]] = {**SHORT, "pem": pem}


def _zip(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/note.txt", data)
    return packed.getvalue()


def _zip_lzma(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("inner/note.txt", data)
    return packed.getvalue()


def _zlib_window(data: bytes, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=bits)
    return packer.compress(data) + packer.flush()


def _tar_gz(data: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("note.txt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _wrapped(data: bytes, width: int) -> bytes:
    return b"\n".join(data[at : at + width] for at in range(0, len(data), width)) + b"\n"


def _bare(text: bytes) -> bytes:
    """The lines of a sentence that hold the secret."""
    return b"\n".join(text.split(b"\n")[1:-2])


def _utf16(data: bytes, form: str) -> bytes:
    return data.decode("latin-1").encode(form)


def _pdf(data: bytes) -> bytes:
    return b"%PDF-1.4\n1 0 obj <</Filter /FlateDecode>> stream\r\n" + zlib.compress(data) + b"\r\nendstream"


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "crlf": lambda data: data.replace(b"\n", b"\r\n") + b"\r\n",
    "after-nul": lambda data: b"\x00\xff\xfe\x89PNG\r\n" + data + b"\x00",
    "like-an-image": lambda data: b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + data,
    "like-a-pdf": lambda data: b"%PDF-1.7\n" + data,
    "like-a-tar": lambda data: b"x" * 257 + b"ustar\x0000" + data,
    "base64": base64.b64encode,
    "base64-urlsafe": base64.urlsafe_b64encode,
    "base64-wrapped": lambda data: _wrapped(base64.b64encode(data), 76),
    "base64-narrow": lambda data: _wrapped(base64.b64encode(data), 12),
    "base64-among-words": lambda data: b"here_it_is\n" + _wrapped(base64.b64encode(_bare(data)), 20) + b"done_with_it\n",
    "base64-twice": lambda data: base64.b64encode(base64.b64encode(data)),
    "hex": lambda data: data.hex().encode(),
    "hex-wrapped": lambda data: _wrapped(data.hex().encode(), 60),
    "percent": lambda data: "".join(f"%{byte:02x}" for byte in data).encode(),
    "utf-16": lambda data: _utf16(data, "utf-16"),
    "utf-16-le": lambda data: _utf16(data, "utf-16-le"),
    "utf-16-be": lambda data: _utf16(data, "utf-16-be"),
    "utf-32": lambda data: _utf16(data, "utf-32"),
    "gzip": gzip.compress,
    "gzip-after-junk": lambda data: b"#!/bin/sh\nexit\n" + gzip.compress(data) + b"\n# end",
    "gzip-twice": lambda data: gzip.compress(gzip.compress(data)),
    "gzip-in-base64": lambda data: _wrapped(base64.b64encode(gzip.compress(data)), 76),
    "utf-16-in-base64": lambda data: base64.b64encode(_utf16(data, "utf-16-le")),
    "zlib": zlib.compress,
    **{f"zlib-window-{bits}": partial(_zlib_window, bits=bits) for bits in range(9, 15)},
    "zlib-window-in-base64": lambda data: base64.b64encode(_zlib_window(data, 10)),
    "pdf-stream": _pdf,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zip": _zip,
    "zip-with-lzma": _zip_lzma,
    "zip-in-zip": lambda data: _zip(_zip(data)),
    "tar.gz": _tar_gz,
}
NAME_FORMS = ("plain", "base64-urlsafe", "hex")
"""Forms that the name of a file may have."""


def sentence(secret: bytes) -> bytes:
    """A text that a secret is in."""
    return b"the deployment uses\n" + secret + b"\nfor now, see the wiki\n"


def harmless(secret: bytes) -> bytes:
    """As long as the secret, and of no value."""
    return b"nothing of note ".ljust(len(secret), b".")[: len(secret)]
