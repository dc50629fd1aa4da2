"""What supervise answers: JSON-RPC 2.0 messages and batches, as MCP defines them. Without sockets."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import supervise

MAX_BATCH = 100
PROTOCOL_VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
"""MCP revisions that are served, newest first."""

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602

KINDS = ("route", "allowlist", "upstream", "other")
LENGTHS = {"kind": 20, "title": 200, "detail": 10_000}
"""Arguments of the tool and the most characters that each may have."""
LINES = "\n\r\t"
MISLEADING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of what is shown."""
INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]")
"""Letters, marks and symbols that fonts draw as nothing."""
MOST_MARKS = 4
"""Marks in a row, such as accents; more are drawn over the lines above and below."""

TOOL: dict[str, Any] = {
    "name": "propose",
    "description": "Propose a change to this bottle, such as a host to reach or a repository to push to. A person "
    "outside decides; the change, if it comes, comes later. Nothing secret belongs into a proposal.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": list(KINDS), "description": "What is to change."},
            "title": {"type": "string", "maxLength": LENGTHS["title"], "description": "The change in one line."},
            "detail": {"type": "string", "maxLength": LENGTHS["detail"], "description": "What exactly, and why."},
        },
        "required": ["kind", "title", "detail"],
        "additionalProperties": False,
    },
}


class RpcError(Exception):
    """An answer with a JSON-RPC error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Reply:
    """A JSON-RPC document to send back, or None where nothing is owed; ``bad`` if it could not be read at all."""

    document: Any
    bad: bool = False


def answer(body: bytes, queue: supervise.Queue) -> Reply:
    """Answers a request body: one message or a batch of them."""
    try:
        message = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return Reply(_failure(None, RpcError(PARSE_ERROR, "the body is not JSON")), bad=True)
    if not isinstance(message, list):
        single = _answer_one(message, queue)
        return Reply(single, bad=single is not None and single.get("error", {}).get("code") == INVALID_REQUEST)
    if not 0 < len(message) <= MAX_BATCH:
        return Reply(_failure(None, RpcError(INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} messages")), bad=True)
    answers = [answered for item in message if (answered := _answer_one(item, queue)) is not None]
    return Reply(answers or None)


def _answer_one(message: Any, queue: supervise.Queue) -> dict[str, Any] | None:
    try:
        call = _call(message)
    except RpcError as error:
        return _failure(None, error)
    if call is None:
        return None
    try:
        method = METHODS.get(call.method)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, f"unknown method {call.method[:100]!a}")
        if not isinstance(call.params, dict):
            raise RpcError(INVALID_PARAMS, "params have to be an object")
        return {"jsonrpc": "2.0", "id": call.id, "result": method(call.params, queue)}
    except RpcError as error:
        return _failure(call.id, error)


@dataclass(frozen=True)
class _Call:
    id: str | int
    method: str
    params: Any


def _call(message: Any) -> _Call | None:
    """The call in a message; None for notifications and for answers, to which nothing is said."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "not a JSON-RPC 2.0 message")
    method = message.get("method")
    if method is None and ("result" in message or "error" in message) and "id" in message:
        return None
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "method has to be a string")
    if "id" not in message:
        return None
    id = message["id"]
    if isinstance(id, bool) or not isinstance(id, (str, int)):
        raise RpcError(INVALID_REQUEST, "id has to be a string or a whole number")
    return _Call(id, method, message.get("params", {}))


def _failure(id: str | int | None, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": error.code, "message": str(error)}}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _initialize(params: Mapping[str, Any], _queue: supervise.Queue) -> dict[str, Any]:
    wanted = params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise RpcError(INVALID_PARAMS, "protocolVersion has to be a string")
    return {
        "protocolVersion": wanted if wanted in PROTOCOL_VERSIONS else PROTOCOL_VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "supervise", "title": "Bottle supervision", "version": "1"},
    }


def _ping(_params: Mapping[str, Any], _queue: supervise.Queue) -> dict[str, Any]:
    return {}


def _tools_list(_params: Mapping[str, Any], _queue: supervise.Queue) -> dict[str, Any]:
    return {"tools": [TOOL]}


def _tools_call(params: Mapping[str, Any], queue: supervise.Queue) -> dict[str, Any]:
    name = params.get("name")
    if name != TOOL["name"]:
        raise RpcError(INVALID_PARAMS, f"unknown tool {str(name)[:100]!a}")
    arguments = params.get("arguments")
    if not isinstance(arguments, dict):
        raise RpcError(INVALID_PARAMS, "arguments have to be an object")
    for key in arguments.keys() - LENGTHS.keys():
        raise RpcError(INVALID_PARAMS, f"unknown argument {key[:100]!a}")
    for key, length in LENGTHS.items():
        value = arguments.get(key)
        if not isinstance(value, str) or not value.strip():
            raise RpcError(INVALID_PARAMS, f"argument {key} has to be text")
        if len(value) > length:
            raise RpcError(INVALID_PARAMS, f"argument {key} is longer than {length} characters")
        if not (_is_text if key == "detail" else _is_line)(value):
            raise RpcError(INVALID_PARAMS, f"argument {key} has characters that cannot be shown, or more than one line")
    if arguments["kind"] not in KINDS:
        raise RpcError(INVALID_PARAMS, f"argument kind has to be one of {', '.join(KINDS)}")
    try:
        proposal = queue.put(arguments)
    except supervise.QueueError as error:
        log(f"a proposal is refused: {error}")
        return _said(f"Not queued: {error}. Tell the person who decides, and propose it again later.", failed=True)
    return _said(f"Proposal {proposal} is queued for a person to decide.", failed=False)


def _is_line(text: str) -> bool:
    """Whether it is shown as one line that reads as it is written: each character is seen, and on that line alone."""
    categories = [unicodedata.category(character) for character in text]
    marks = "".join("x" if category in ("Mn", "Me") else " " for category in categories)
    unseen = any(category[0] == "C" or category in ("Zl", "Zp") for category in categories)
    return not (unseen or INVISIBLE.search(text) or "x" * (MOST_MARKS + 1) in marks)


def _is_text(text: str) -> bool:
    """The same for several lines, in which characters such as joiners of an emoji are left alone."""
    return not any(
        character in MISLEADING or (unicodedata.category(character) in ("Cc", "Cs") and character not in LINES)
        for character in text
    )


def _said(text: str, failed: bool) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": failed}


METHODS: dict[str, Callable[[Mapping[str, Any], supervise.Queue], dict[str, Any]]] = {
    "initialize": _initialize,
    "ping": _ping,
    "tools/list": _tools_list,
    "tools/call": _tools_call,
}


def log(text: str) -> None:
    """Writes a line to standard error in which every other character than printable ASCII is escaped."""
    line = re.sub("[^ -~]", lambda found: ascii(found[0])[1:-1], text)
    print(f"supervise: {line[:1000]}", file=sys.stderr, flush=True)
