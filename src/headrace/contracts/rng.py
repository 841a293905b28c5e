"""Randomness without a global generator: every stream is named, and a draw depends on its names alone.

`rng` opens a numpy stream. `stable_hash` and `uniform` make draws that belong to a key (a request, a slot, an item), so that
one request's page does not change with the batch it is answered in.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_FEW = 8  # so many strings are hashed a letter at a time, without arrays: a tenth of the time for one short id
_64_BITS = (1 << 64) - 1


def seed_of(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream with these names."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def rng(seed: int, *names: object) -> np.random.Generator:
    """The generator of the stream with these names: rng(0, "negatives", epoch)."""
    return np.random.default_rng(seed_of(seed, *names))


def mix(keys: NDArray[np.uint64], other: NDArray[np.uint64] | int) -> NDArray[np.uint64]:
    """Fold `other` into the keys (both broadcast): the splitmix64 finaliser, well spread in all 64 bits."""
    with np.errstate(over="ignore"):
        z = (keys + np.asarray(other, np.uint64) * _GOLDEN) + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return z ^ (z >> np.uint64(31))


def stable_hash(strings: NDArray[np.str_] | list[str]) -> NDArray[np.uint64]:
    """uint64 [n], the same on every machine and run. Works a character column at a time: O(longest string) array steps."""
    if len(strings) <= _FEW:
        return np.array([_hash_of(str(text)) for text in strings], np.uint64)
    return _hash_by_columns(strings)


def _hash_of(text: str) -> int:
    """One string's, in plain integers."""
    key = golden = int(_GOLDEN)
    first, second = int(_MIX_1), int(_MIX_2)
    for letter in map(ord, text):
        if letter:
            key = (key + (letter + 1) * golden) & _64_BITS
            key = ((key ^ (key >> 30)) * first) & _64_BITS
            key = ((key ^ (key >> 27)) * second) & _64_BITS
            key ^= key >> 31
    return key


def _hash_by_columns(strings: NDArray[np.str_] | list[str]) -> NDArray[np.uint64]:
    texts = np.asarray(strings, dtype=np.str_)
    width = max(texts.dtype.itemsize // 4, 1)
    codes = np.ascontiguousarray(texts).view(np.uint32).reshape(len(texts), width) if len(texts) else np.zeros((0, 1), np.uint32)
    keys = np.full(len(texts), _GOLDEN)
    for column in codes.T:  # padding (code 0) leaves a key alone, so the hash does not depend on the array's width
        keys = np.where(column == 0, keys, mix(keys, column.astype(np.uint64)))
    return keys


def uniform(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """One draw in the open interval (0, 1) per key."""
    # 52 bits and a half are exact in a float64; with 53 the largest draw would round to 1
    return ((keys >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
