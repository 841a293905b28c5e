"""Pieces as the message that sentencepiece reads (its sentencepiece_model.proto), written here, so that a stored tokenizer is
readable JSON and does not change with the library's version.
"""

from struct import pack

from headrace.text.config import BYTES

_NORMAL, _UNKNOWN, _BYTE = 1, 2, 6
_VARINT, _DELIMITED, _FLOAT = 0, 2, 5


def serialized(pieces: list[tuple[str, float]]) -> bytes:
    """Unknown is 0, the bytes are 1 to 256, then the pieces. Text is taken as it is: nothing normalised, added or removed."""
    every = [("<unk>", 0.0, _UNKNOWN), *((f"<0x{value:02X}>", 0.0, _BYTE) for value in range(BYTES))]
    every += [(piece, score, _NORMAL) for piece, score in pieces]
    trainer = _number(3, 1) + _number(35, 1) + _number(40, 0) + b"".join(_number(field, -1) for field in (41, 42, 43))
    normaliser = _bytes(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, 1)
    parts = [_bytes(1, _bytes(1, piece.encode()) + _float(2, score) + _number(3, kind)) for piece, score, kind in every]
    return b"".join(parts) + _bytes(2, trainer) + _bytes(3, normaliser)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative number takes ten bytes
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | _FLOAT) + pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _DELIMITED) + _varint(len(value)) + value
