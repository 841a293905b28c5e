"""Anchors written once a history: what a user's anchors hang on is kept with them, so that only who has changed is written again.

    folder/WRITER-n/part-000000.safetensors     keys [k, 16]: digests of what the writer reads of a history; codes, log_prob

A part is whole or not there: a job that is killed loses the users that were being written (`at_once` of them), and the same call
goes on. At the end the parts become one, of those histories alone that were asked for: what an erased user or an older history
left goes. No user is named in it. Users with one history are written once.
Cost: a digest and a look-up a user, some 10 microseconds; the writer's for those that are new. Memory: all anchors.
"""

import time
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.atomic import replacing
from headrace.contracts.progress import Progress, silent
from headrace.contracts.requests import Float32, History, Int32, Int64
from headrace.methods.prerank.anchors.writer import AnchorWriter, Asking

_NAME, _KEY = "anchors", 16
Keys = NDArray[Any]
"""[n], each 16 bytes."""


@dataclass(frozen=True)
class Written:
    """codes [R, n, L], log_prob [R, n]. users: with something readable. new: histories that were written now; the others' were
    kept. without: users of whom the writer said nothing, which is tried again the next time."""

    codes: Int32
    log_prob: Float32
    users: int
    new: int
    without: int = 0


class Kept:
    """What one writer has written, n anchors a history."""

    def __init__(self, folder: Path, fingerprint: str, n: int):
        self.folder = folder / f"{fingerprint[:16]}-{n}"
        parts = [load_arrays(path) for path in self._paths()]
        self._keys = np.concatenate([_as_keys(part["keys"]) for part in parts] or [np.zeros(0, f"V{_KEY}")])
        self._codes = [part["codes"] for part in parts]
        self._log_prob = [part["log_prob"] for part in parts]

    def missing(self, keys: Keys) -> Keys:
        """Of different keys, those it has nothing for, in their order."""
        found: Keys = keys[~np.isin(keys, self._keys)]
        return found

    def put(self, keys: Keys, codes: Int32, log_prob: Float32) -> None:
        """On the disk when it returns."""
        self._write(keys, codes, log_prob)
        self._keys = np.concatenate([self._keys, keys])
        self._codes.append(codes)
        self._log_prob.append(log_prob)

    def take(self, keys: Keys) -> tuple[Int32, Float32]:
        """Of keys it has, each once; whatever else it has is forgotten."""
        before = self._paths()
        order = np.argsort(self._keys, kind="stable")
        rows = order[np.searchsorted(self._keys[order], keys)]
        codes, log_prob = np.concatenate(self._codes)[rows], np.concatenate(self._log_prob)[rows]
        if len(before) > 1 or len(self._keys) > len(keys):
            self._write(keys, codes, log_prob)  # killed before the next line, some are there twice, which harms nothing
            for path in before:
                path.unlink(missing_ok=True)
        return codes, log_prob

    def _write(self, keys: Keys, codes: Int32, log_prob: Float32) -> None:
        paths = self._paths()
        number = int(paths[-1].stem.split("-")[1]) + 1 if paths else 0
        with replacing(self.folder / f"part-{number:06d}.safetensors") as beside:
            raw = np.frombuffer(keys.tobytes(), np.uint8).reshape(-1, _KEY)
            save_arrays(beside, {"keys": raw, "codes": codes, "log_prob": log_prob})

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("part-*.safetensors"))


def written(writer: AnchorWriter, history: History, n: int, folder: Path, progress: Progress = silent) -> Written:
    """Anchors of every row; a row without a readable event has none. folder: where they are kept. One process at a time."""
    rows, keys, first, mine = _asked(writer, history)
    kept = Kept(folder, writer.fingerprint, n)
    if isinstance(writer, Asking):
        writer.keep(folder)
    missing = kept.missing(keys)
    row_of = rows[first[np.searchsorted(keys, missing)]]
    began = time.monotonic()
    progress(_NAME, len(keys) - len(missing), len(keys))
    for start in range(0, len(missing), writer.at_once):
        part = slice(start, start + writer.at_once)
        codes, log_prob = writer.write(history.take(row_of[part]), n)
        said = (codes >= 0).any((1, 2))
        if said.any():
            kept.put(missing[part][said], codes[said], log_prob[said])
        done = min(part.stop, len(missing))
        rate = done / max(time.monotonic() - began, 1e-9)
        progress(_NAME, len(keys) - len(missing) + done, len(keys), f"{rate:,.0f} users/s")
    codes = np.full((len(history), n, writer.ids.levels - 1), -1, np.int32)
    log_prob = np.full((len(history), n), -np.inf, np.float32)
    there = ~np.isin(keys, kept.missing(keys))
    if there.any():
        found, place = kept.take(keys[there]), np.cumsum(there) - 1
        spoken = there[mine]
        codes[rows[spoken]], log_prob[rows[spoken]] = (part[place[mine[spoken]]] for part in found)
    return Written(codes, log_prob, len(rows), len(missing), int((~there[mine]).sum()))


def missing(writer: AnchorWriter, history: History, n: int, folder: Path) -> tuple[int, int]:
    """Users with something readable, and histories that `written` would write."""
    rows, keys, _, _ = _asked(writer, history)
    return len(rows), len(Kept(folder, writer.fingerprint, n).missing(keys))


def _asked(writer: AnchorWriter, history: History) -> tuple[Int64, Keys, Int64, Int64]:
    """Rows with something readable, their different keys in order, which of these rows has each first, and each one's key."""
    past = writer.readable(history)
    rows = np.flatnonzero(past.lengths > 0)
    keys, first, mine = np.unique(_keys_of(past.take(rows)), return_index=True, return_inverse=True)
    return rows, keys, first, mine


def _keys_of(history: History) -> Keys:
    """[R]: of each row's items and times."""
    items, at_us = history.items.astype("<i4"), history.at_us.astype("<i8")
    bounds = history.offsets.tolist()
    raw = b"".join(
        blake2b(items[start:stop].tobytes() + at_us[start:stop].tobytes(), digest_size=_KEY).digest()
        for start, stop in pairwise(bounds)
    )
    return np.frombuffer(raw, f"V{_KEY}") if raw else np.zeros(0, f"V{_KEY}")


def _as_keys(raw: NDArray[Any]) -> Keys:
    return np.frombuffer(raw.tobytes(), f"V{_KEY}") if len(raw) else np.zeros(0, f"V{_KEY}")
