"""all-MiniLM-L6-v2 as a reader: its token states, 384 numbers each, with the words and the signs that it was published with.

[CLS] begins an item and [SEP] ends it, as when it was trained; [PAD] is its number 0, as nothing is ours. Its weights are fetched
on first use (`encode.weights`). Mean-pooled and brought to unit length the states are `minilm`'s vectors.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from headrace.data.datasets.placing import default_home
from headrace.encode import minilm
from headrace.encode.bert import SentenceBert
from headrace.encode.optional import optional
from headrace.encode.weights import weights

if TYPE_CHECKING:
    from headrace.encode.reading.reader import ReaderConfig

CLS, SEP = "[CLS]", "[SEP]"


class PublishedPieces:
    """A `Spelling` of a tokenizer.json. shift: what is added to its ids, 1 where its 0 is a word. signs: ids as they come out."""

    def __init__(self, text: str, signs: Mapping[str, int], shift: int = 0):
        library = optional("tokenizers", package="tokenizers", extra="text", purpose="Reading texts with a published model")
        self._pieces, self.shift = library.Tokenizer.from_str(text), shift
        self._pieces.no_truncation()
        self._pieces.no_padding()
        self.size: int = self._pieces.get_vocab_size() + shift
        self.sos, self.bos, self.eos = (signs[name] for name in ("sos", "bos", "eos"))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        found = self._pieces.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[one + self.shift for one in each.ids] for each in found]

    def decode(self, rows: list[list[int]]) -> list[str]:
        texts: list[str] = self._pieces.decode_batch([[one - self.shift for one in row] for row in rows])
        return texts

    def id_of(self, word: str) -> Any:
        return self._pieces.token_to_id(word)


class MiniLM(nn.Module):
    """A `Body`."""

    def __init__(self, bert: SentenceBert):
        super().__init__()
        self.bert = bert
        self.longest, self.dim = bert.positions.shape

    def forward(self, ids: Tensor, there: Tensor) -> Tensor:
        return self.bert.states(ids, there)


def fitted(config: "ReaderConfig", texts: Sequence[str]) -> tuple[PublishedPieces, nn.Module, bytes]:
    from safetensors.torch import load_file

    optional("tokenizers", package="tokenizers", extra="text", purpose="Reading texts with a published model")
    folder = weights(default_home()).path
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    pieces = PublishedPieces(text, {"sos": 0, "bos": 0, "eos": 0})
    signs = {"sos": pieces.id_of(CLS), "bos": pieces.id_of(CLS), "eos": pieces.id_of(SEP)}
    bert = SentenceBert.of(load_file(folder / "model.safetensors"), minilm.HEADS)
    definition = json.dumps({"tokenizer": text, "signs": signs, "heads": minilm.HEADS}, ensure_ascii=False).encode()
    return PublishedPieces(text, signs), MiniLM(bert), definition


def shaped(config: "ReaderConfig", definition: bytes, shapes: Mapping[str, tuple[int, ...]]) -> tuple[PublishedPieces, nn.Module]:
    found = json.loads(definition)
    words, dim = shapes["bert.words.weight"]
    positions, wide = shapes["bert.positions"][0], shapes["bert.blocks.0.widen.weight"][0]
    layers = sum(name.endswith("qkv.weight") for name in shapes)
    bert = SentenceBert(words, positions, dim, wide, layers, found["heads"])
    return PublishedPieces(found["tokenizer"], found["signs"]), MiniLM(bert)
