"""Sixteen bytes for a name of any length: what may be kept of an id where the id itself may not."""

from hashlib import blake2b

DIGEST = 16


def digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=DIGEST).digest()
