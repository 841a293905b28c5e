"""The head of a GGUF file: whether it is whole, how it is quantised, how long a context it was trained for, its control tokens.

A GGUF file is  magic | version | counts | metadata | where each tensor lies | padding | tensors.  The head says where the last
tensor ends, so a file that was cut short is found before a library reads past its end. 0.1 s with a vocabulary of 50,000 and its
98 MB read once for their digest.
"""

import struct
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO

from headrace.contracts.errors import DataError
from headrace.llm.control_tokens import is_control

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
TOKENS, TOKEN_TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4
QUANTISATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2),
}  # fmt: skip
"""Tensor type -> (values, bytes) of a block. Of a type that is not here, only the start of a tensor is checked."""
_DAMAGE = (
    struct.error, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, OSError, MemoryError, RecursionError,
)  # fmt: skip
"""What wrong bytes come to: text that is none, types that aren't there, lengths beyond any file, a value of another kind."""


@dataclass(frozen=True)
class Gguf:
    """digest: sha256 of the whole file. context: tokens, 0 where the file doesn't say. control: texts of tokens that steer.
    layers, width: of the model, 0 likewise."""

    path: Path
    digest: str
    name: str
    quantisation: str
    context: int
    control: tuple[str, ...] = ()
    layers: int = 0
    width: int = 0


def open_gguf(path: Path) -> Gguf:
    """path: the file, or a folder that holds exactly one. DataError where it is none, is cut short or is not of this format."""
    file = _one(path)
    size = file.stat().st_size
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise DataError(
                f'{file}: expected a GGUF file, which begins with "GGUF". Fetch the model again, or name another file.'
            )
        try:
            metadata, end = _head(stream)
            control = _control(metadata)
            kind = metadata.get("general.architecture", "")
            context, layers, width = (
                int(metadata.get(f"{kind}.{name}", 0)) for name in ("context_length", "block_count", "embedding_length")
            )
        except _DAMAGE as error:
            raise DataError(f"{file}: its GGUF head is damaged or cut short ({error!r}). Delete it and fetch it again.") from None
        if end > size:
            raise DataError(f"{file}: cut short: {size:,} bytes of at least {end:,}. Delete it and fetch it again.")
        stream.seek(0)
        digest = file_digest(stream, "sha256").hexdigest()
    quantisation = QUANTISATIONS.get(metadata.get("general.file_type", -1), "mixed")
    return Gguf(file, digest, file.stem, quantisation, context, control, layers, width)


def _one(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*.gguf")) if path.is_dir() else []
    if len(found) != 1:
        raise DataError(f"{path}: expected a GGUF file or a folder with exactly one; found {len(found)}. Name the file itself.")
    return found[0]


def _head(stream: BinaryIO) -> tuple[dict[str, Any], int]:
    """The metadata's scalars, strings and vocabulary, and the byte after the last tensor."""
    version, tensors, pairs = _unpack(stream, "IQQ")
    if version not in (2, 3):
        raise KeyError(f"version {version}; 2 and 3 are known")
    metadata: dict[str, Any] = {}
    for _ in range(pairs):
        key = _string(stream).decode()
        value = _value(stream, *_unpack(stream, "I"), keep=key in (TOKENS, TOKEN_TYPES))
        metadata[key] = value.decode(errors="replace") if isinstance(value, bytes) else value
    ends = [_end(stream) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", 32)
    return metadata, -(-stream.tell() // alignment) * alignment + max(ends, default=0)


def _end(stream: BinaryIO) -> int:
    """Where one tensor ends, from the first tensor's start."""
    _string(stream)
    (dimensions,) = _unpack(stream, "I")
    values = 1
    for extent in _unpack(stream, f"{dimensions}Q"):
        values *= extent
    kind, start = _unpack(stream, "IQ")
    per_block, size = BLOCKS.get(kind, (1, 0))
    return int(start) + values // per_block * size


def _control(metadata: dict[str, Any]) -> tuple[str, ...]:
    typed = zip(metadata.get(TOKENS) or (), metadata.get(TOKEN_TYPES) or (), strict=False)
    found = [(token.decode(errors="replace"), kind) for token, kind in typed if kind in (UNKNOWN, CONTROL, USER_DEFINED)]
    return tuple(text for text, kind in found if is_control(text, special=kind != USER_DEFINED))


def _value(stream: BinaryIO, kind: int, *, keep: bool = False) -> Any:
    """Arrays are passed over, None, unless kept."""
    if kind == STRING:
        return _string(stream)
    if kind != ARRAY:
        return _unpack(stream, SCALARS[kind])[0]
    inner, count = _unpack(stream, "IQ")
    if keep:
        return [_value(stream, inner) for _ in range(count)]
    if inner in SCALARS:
        stream.seek(count * struct.calcsize(SCALARS[inner]), 1)
    else:
        for _ in range(count):
            _value(stream, inner)
    return None


def _string(stream: BinaryIO) -> bytes:
    (length,) = _unpack(stream, "Q")
    found = stream.read(length)
    if len(found) < length:
        raise struct.error(f"a string of {length:,} bytes has {len(found):,}")
    return found


def _unpack(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{form}", stream.read(struct.calcsize(f"<{form}")))
