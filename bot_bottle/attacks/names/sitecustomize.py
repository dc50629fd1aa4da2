"""Loaded by the attacked mitmdump: every name and address is the recording origin, whose ports stand for the usual ones."""

import json
import os
import socket
from typing import Any

_PORTS = {int(port): real for port, real in json.loads(os.environ.get("ATTACKED_PORTS", "{}")).items()}
_resolve = socket.getaddrinfo


def getaddrinfo(host: Any, port: Any, *rest: Any, **named: Any) -> Any:
    """Answers with the origin's port on loopback, for the ports that it stands in for."""
    real = _PORTS.get(port) if isinstance(port, int) else None
    return _resolve(host, port, *rest, **named) if real is None else _resolve("127.0.0.1", real, *rest, **named)


socket.getaddrinfo = getaddrinfo
