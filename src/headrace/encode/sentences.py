"""Texts to unit vectors through ONNX Runtime on the CPU: word pieces, batches of like length, one pass a batch.

A text is cut after `length` word pieces, [CLS] and [SEP] counted in. Texts are sorted by length before they are cut into batches,
so that little of a batch is padding; the answer stands in the order of the input. The kinds "query" and "item" are encoded alike.
Cost O(T² d + T d²) a text and layer; see `bert` for the body, `export` for the file it runs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from headrace.contracts.config import config
from headrace.contracts.requests import Float32
from headrace.encode.optional import optional
from headrace.encode.texts import texts_of

_WINDOW = 8192
"""Texts whose word pieces are held at once."""


@config
class SentencesConfig:
    """threads: 0 for as many as there are cores. Neither it nor batch_size changes a vector beyond float32's last bits.

    precision: "int8" holds words and maps in 8 bits: a third of the memory, more texts a second, vectors at a cosine of
    0.997 to the others on average (`eight_bits`). There a vector moves a little with the texts in its batch.
    """

    length: Annotated[int, Gt(2)] = 256
    batch_size: Annotated[int, Gt(0)] = 32
    threads: Annotated[int, Ge(0)] = 0
    precision: Literal["fp32", "int8"] = "fp32"


class SentenceEncoder:
    """An `Encoder` of texts. model: a file of `export`. tokenizer: a tokenizer.json whose padding token has number 0.

    fingerprint: names the model and the tokenizer; the length is added to it.
    """

    def __init__(self, model: Path, tokenizer: Path, fingerprint: str, config: SentencesConfig | None = None):
        self.config = config or SentencesConfig()
        precise = self.config.precision == "fp32"  # not named, so that vectors made before there were others are found
        self.fingerprint = f"{fingerprint}/{self.config.length}" + ("" if precise else f"/{self.config.precision}")
        needed = {"extra": "text", "purpose": "Encoding text"}
        tokenizers = optional("tokenizers", package="tokenizers", **needed)
        runtime = optional("onnxruntime", package="onnxruntime", **needed)
        self._pieces = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._pieces.enable_truncation(self.config.length)
        self._pieces.no_padding()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.config.threads
        self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.dim: int = self._session.get_outputs()[0].shape[1]

    def encode(self, inputs: Sequence[Any], kind: Literal["query", "item"]) -> Float32:
        """[n, dim], each row of length one. DataError for an input that is not a string."""
        texts = texts_of(inputs, self.fingerprint)
        vectors = np.empty((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), _WINDOW):
            vectors[start : start + _WINDOW] = self._window(texts[start : start + _WINDOW])
        return vectors

    def _window(self, texts: list[str]) -> Float32:
        rows = [np.array(encoding.ids, np.int64) for encoding in self._pieces.encode_batch_fast(texts)]
        lengths = np.array([len(row) for row in rows])
        vectors = np.empty((len(texts), self.dim), np.float32)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(texts), self.config.batch_size):
            batch = order[start : start + self.config.batch_size]
            kept = np.arange(lengths[batch[-1]]) < lengths[batch, None]
            tokens = np.zeros(kept.shape, np.int64)
            tokens[kept] = np.concatenate([rows[row] for row in batch])
            (vectors[batch],) = self._session.run(None, {"tokens": tokens, "kept": kept.astype(np.int64)})
        return vectors
