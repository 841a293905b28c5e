"""Vectors kept by what was encoded: a text or image met before, in this run or another, is looked up and not encoded again.

    encoder = CachedEncoder(minilm(), folder)

A text's key is the sha256 of (fingerprint, kind, text), so another encoder, kind or text has another key, and renaming an item
costs one text; an image's key is that of its size and pixels. Shards of at most 8,192 rows are written whole under a temporary
name and never change, so several processes may share a folder and a killed run keeps the shards it finished.
Cost: one hash a text; memory 0.2 kB a text kept, the vectors stay on disk. It loses where texts come one at a time and are all
new (queries of a server): each call then writes a shard of one row.
"""

import os
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from headrace.artifacts.arrays import save_arrays
from headrace.contracts.errors import ArtifactError
from headrace.contracts.requests import Float32
from headrace.contracts.seams import Encoder
from headrace.encode.images import Image, images_of, is_image
from headrace.encode.texts import texts_of

_SHARD = 8192


class CachedEncoder:
    """The `Encoder` it is given, with a memory. folder: shared by all encoders; each has a place of its own in it."""

    def __init__(self, encoder: Encoder, folder: Path):
        self.encoder, self.dim, self.fingerprint = encoder, encoder.dim, encoder.fingerprint
        self._folder = folder / sha256(self.fingerprint.encode()).hexdigest()[:16]
        self._shards: list[Path] = []
        self._place: dict[bytes, tuple[int, int]] = {}  # key -> shard, row

    def encode(self, inputs: Sequence[Any], kind: Literal["query", "item"]) -> Float32:
        """[n, dim]. What stands twice is encoded once."""
        images = len(inputs) > 0 and is_image(inputs[0])
        asked = images_of(inputs, self.fingerprint) if images else texts_of(inputs, self.fingerprint)
        opening = f"{self.fingerprint}\0{kind}\0".encode()
        keys = [sha256(opening + _bytes(one)).digest() for one in asked]
        if any(key not in self._place for key in keys):
            self._look()  # another process may have encoded them since
        missing = {key: one for key, one in zip(keys, asked, strict=True) if key not in self._place}
        new = list(missing)
        for start in range(0, len(new), _SHARD):
            part = new[start : start + _SHARD]
            self._write(part, self.encoder.encode([missing[key] for key in part], kind))
        return self._read(keys)

    def _look(self) -> None:
        for path in sorted(set(self._folder.glob("*.safetensors")) - set(self._shards)):
            self._know(path, [row.tobytes() for row in _tensor(path, "keys")])

    def _know(self, path: Path, keys: Sequence[bytes]) -> None:
        self._place |= {key: (len(self._shards), row) for row, key in enumerate(keys)}
        self._shards.append(path)

    def _write(self, keys: Sequence[bytes], vectors: Float32) -> None:
        together = b"".join(keys)
        path = self._folder / f"{sha256(together).hexdigest()[:32]}.safetensors"
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".making", dir=self._folder)
        os.close(handle)
        try:
            save_arrays(Path(name), {"keys": np.frombuffer(together, np.uint8).reshape(len(keys), -1), "vectors": vectors})
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        self._know(path, keys)

    def _read(self, keys: Sequence[bytes]) -> Float32:
        vectors = np.empty((len(keys), self.dim), np.float32)
        places = np.array([self._place[key] for key in keys], np.int64).reshape(-1, 2)
        for shard in np.unique(places[:, 0]):
            here = places[:, 0] == shard
            vectors[here] = _tensor(self._shards[shard], "vectors")[places[here, 1]]
        return vectors


def _bytes(one: str | Image) -> bytes:
    return one.encode("utf-8", "surrogatepass") if isinstance(one, str) else f"image {one.shape}\0".encode() + one.tobytes()


def _tensor(path: Path, name: str) -> NDArray[Any]:
    try:
        with safe_open(path, "np") as shard:
            found: NDArray[Any] = shard.get_tensor(name)
            return found
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: can't be read ({error}). Delete the file: its texts are then encoded again.") from None
