"""One port for several processes: the supervisor holds it, each worker listens with a socket of its own (SO_REUSEPORT).

The kernel gives a connection to one of those that listen, by a hash of both ends. So who wakes first takes no more than its part,
which one queue for all would let it: of 64 connections that came at once to two workers on a busy machine of two cores the fuller
one had 0.54 to 0.56, of one queue for both 0.75 to 0.88. A worker listens from when it is ready until it stops or dies, and what
comes meanwhile goes to the others. Whoever binds so has to be the same user; another server is found out before (`held`).
"""

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any

from headrace.contracts.errors import ConfigError

_BACKLOG = 2048


def held(host: str, port: int, *, shared: bool = True) -> list[socket.socket]:
    """One for each address of the host, bound and not listening. port: 0 for any free one. ConfigError: it can't be had.

    shared: processes that are started may listen beside it.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"--host {host}: {error.strerror}. Take an address of this machine, such as 127.0.0.1.") from None
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                place = (address[0], port, *address[2:])
                if port and shared:
                    _bound(family, place, shared=False).close()  # refused where anybody listens, also one who would share
                sockets.append(_bound(family, place, shared=shared))
            except OSError as error:
                if family != socket.AF_INET6 or len(found) == 1 or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise  # else a machine without IPv6, which has a name for it all the same
            port = port or (port_of(sockets) if sockets else 0)
    except OSError as error:
        for one in sockets:
            one.close()
        raise ConfigError(f"{host}:{port} can't be listened on: {os.strerror(error.errno or 0)}. {_remedy(error)}") from None
    return sockets


def listening(addresses: Sequence[Sequence[Any]]) -> list[socket.socket]:
    """Of a worker, beside those of others. addresses: as the held ones' `getsockname` says."""
    made = []
    for address in addresses:
        family = socket.AF_INET6 if len(address) > 2 else socket.AF_INET
        made.append(_bound(family, tuple(address), shared=True))
        made[-1].listen(_BACKLOG)
    return made


def port_of(sockets: Sequence[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


def _bound(family: int, address: tuple[Any, ...], *, shared: bool) -> socket.socket:
    # said to be TCP's, or asyncio leaves small answers to wait for the receiver's word (Nagle), 40 ms and more
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return made


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Stop what listens there, or choose another port with --port."
    if error.errno == errno.EACCES:
        return "Ports below 1024 are an administrator's: take one above, with --port."
    return "Take an address of this machine with --host; 0.0.0.0 is all of them."
