"""The options of mitmproxy that egress's promises rest on: set at start where the default is another, then held."""

from __future__ import annotations

from typing import Any

from mitmproxy import ctx, exceptions
from mitmproxy.proxy import mode_specs

SET: dict[str, Any] = {
    "body_size_limit": "16g",
    "connection_strategy": "lazy",
    "flow_detail": 0,
    "http2": False,
    "http3": False,
    "onboarding": False,
    "rawtcp": False,
}
"""Bodies are streamed: the limit bounds what is declared, nothing is kept. A lazy proxy decides before it connects.
With flow_detail 0 mitmproxy prints no URLs, which the client chooses. HTTP/2 lets headers carry line ends."""

HELD: dict[str, Any] = {
    "allow_hosts": [],
    "anticache": False,
    "anticomp": False,
    "block_list": [],
    "client_replay": [],
    "hardump": "",
    "ignore_hosts": [],
    "map_local": [],
    "map_remote": [],
    "modify_body": [],
    "modify_headers": [],
    "proxy_debug": False,
    "rfile": None,
    "save_stream_file": None,
    "server": True,
    "server_replay": [],
    "ssl_insecure": False,
    "stickyauth": None,
    "stickycookie": None,
    "stream_large_bodies": None,
    "tcp_hosts": [],
    "udp_hosts": [],
    "validate_inbound_headers": True,
    "websocket": True,
}
"""Whatever changes a request after the decision, passes one without a decision, or keeps its content, is off."""


class UnsafeError(ValueError):
    """An option with a value under which egress cannot keep its promises."""


def settle() -> None:
    """Sets what has to be set. Raises UnsafeError for an option that somebody set to another value."""
    for name, value in SET.items():
        if name != "body_size_limit" and ctx.options.has_changed(name) and _value(name) != value:
            raise UnsafeError(f"option {name} is {_value(name)!r} and has to be {value!r}")
    wanted = {name: value for name, value in SET.items() if name != "body_size_limit" or _value(name) is None}
    ctx.options.update(**wanted)
    check()


def check() -> None:
    """Raises UnsafeError unless every option has the value that the promises rest on."""
    for name, default in (SET | HELD).items():
        found = _value(name)
        # A smaller limit is as safe.
        value = found or default if name == "body_size_limit" else default
        if (list(found) if isinstance(value, list) else found) != value:
            raise UnsafeError(f"option {name} is {found!r} and has to be {value!r}")
    if len(ctx.options.scripts) != 1:
        raise UnsafeError(f"scripts besides egress's: {', '.join(ctx.options.scripts)}")
    upstreams()


def enforce(updated: set[str]) -> None:
    """Refuses a later change of an option."""
    if updated & (SET.keys() | HELD.keys() | {"mode", "scripts"}):
        try:
            check()
        except UnsafeError as error:
            raise exceptions.OptionsError(f"egress: {error}") from None


def upstreams() -> set[tuple[str, int]]:
    """The proxies that requests leave through; empty if mitmdump dials by itself. Raises UnsafeError for other modes."""
    found = set()
    kinds = set()
    for text in ctx.options.mode:
        try:
            mode = mode_specs.ProxyMode.parse(text)
        except ValueError as error:
            raise UnsafeError(f"mode {text}: {error}") from None
        kinds.add(type(mode))
        if isinstance(mode, mode_specs.UpstreamMode):
            found.add((mode.address[0], mode.address[1]))
    if kinds not in ({mode_specs.RegularMode}, {mode_specs.UpstreamMode}):
        raise UnsafeError(f"mode is {', '.join(ctx.options.mode)} and has to be regular or upstream")
    return found


def _value(name: str) -> Any:
    try:
        return getattr(ctx.options, name)
    except AttributeError:
        raise UnsafeError(f"this mitmproxy has no option {name}") from None
