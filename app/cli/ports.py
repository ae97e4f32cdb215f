"""Ports of this machine: which are free, and which a process may use."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from itertools import combinations
from typing import Final

from celeriac_cli.errors import CLIError, Exit

_ALL_ADDRESSES: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not listened on


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether a process can listen there. Raises CLIError if this machine does not have the address."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except PermissionError:
        raise CLIError(f"Port {port} needs root. Choose one above 1023.", Exit.REFUSED) from None
    except socket.gaierror as error:
        raise CLIError(f"Invalid address {host!r} ({error.strerror}). Use 127.0.0.1, or 0.0.0.0 for all addresses.", Exit.USAGE) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise CLIError(
                f"This machine does not have the address {host}. Use 127.0.0.1, or 0.0.0.0 for all addresses.", Exit.USAGE
            ) from None
        return False
    return True


def claim(host: str, port: int, setting: str, what: str) -> int:
    """Return `port` if it is free, or any free port for 0. Raises CLIError that names the `setting` to change."""
    if port == 0:
        return free_port()
    if not is_free(host, port):
        raise CLIError(
            f"{what} cannot listen on port {port}, which is taken. Set {setting} to another port, or to 0 for any.", Exit.CONFLICT
        )
    return port


def check_distinct(places: Mapping[str, tuple[str, int]]) -> None:
    """Raise CLIError if two processes would listen at one place. `places` maps the setting of a port to its host and port."""
    for (first, (host, port)), (second, (other_host, other_port)) in combinations(places.items(), 2):
        overlap = host == other_host or host in _ALL_ADDRESSES or other_host in _ALL_ADDRESSES
        if port == other_port != 0 and overlap:
            raise CLIError(f"{first} and {second} are both {port}. Set one of them to another port, or to 0 for any.", Exit.CONFLICT)
