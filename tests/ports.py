"""Ports for servers that tests start, chosen before they listen.

What the kernel calls free may be taken a moment later by a connection of another test on the machine, for it takes those from the
same range. So these lie below that range, and each process of tests counts on from a place of its own.
"""

import os
import socket
from itertools import count
from pathlib import Path

_FIRST, _APART = 10_000, 131  # further than one process of tests starts servers
_NEXT = count(_APART * os.getpid())


def free_port() -> int:
    """On 127.0.0.1; nobody listens there."""
    last = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    room = range(_FIRST, last) if last > _FIRST + 10 * _APART else range(_FIRST, 65_536)
    for number in _NEXT:
        port = room[number % len(room)]
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError
