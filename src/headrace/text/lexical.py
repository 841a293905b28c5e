"""Which documents have the words that are asked for: BM25 over all of them, and over those that came or changed since.

    score(q, d) = Σ over the words w of q  idf(w) · tf / (tf + k1 (1 - b + b |d| / mean |d|))
    idf(w) = ln(1 + (N - df + ½) / (df + ½))

N documents of which df have the word. A word is what stands between spaces and signs, in lower case; of scripts that put no
space between words each character is one. Nothing is stemmed. A document is a number; one that is put again or removed is passed
over in the first index and is kept, or not, in a second one of plain dictionaries, whose idf counts both. So what is put is there
at once, and the scores of the first index stay what they were when it was made.
Cost: a query O(documents + documents with its words); a put O(its words); the second index some 100 bytes a word: for some
thousand documents, so whoever put more makes the index anew. Papers: Robertson et al., TREC-3 1994; Lucene's form, Kamphuis et
al., ECIR 2020; scores held as a sparse matrix, Lù 2024 (bm25s).
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.contracts.requests import Bool, Float32, Int32, Int64
from headrace.text.libraries import library

K1, B = 1.5, 0.75
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}"
_WORD = rf"[{_UNSPACED}]|[\w--[{_UNSPACED}]]+"
_LONGEST = 64  # characters of a word that count: what is longer is no word
_FACTS = "lexical.json"


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """As documents and queries alike are read."""
    said = pl.Series(texts, dtype=pl.String).str.normalize("NFKC").str.to_lowercase()
    found: list[list[str]] = said.str.extract_all(_WORD).list.eval(pl.element().str.head(_LONGEST)).to_list()
    return found


class Lexical:
    """index: bm25s' own, None where no document has a word. documents: how many it holds, numbered from 0."""

    def __init__(self, index: Any, documents: int, mean_words: float):
        self._index, self._documents, self._mean = index, documents, max(mean_words, 1.0)
        self._stays: Bool = np.ones(documents, np.bool_)
        self._later: dict[int, Counter[str]] = {}
        self._having: dict[str, dict[int, int]] = {}
        self._size = documents

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Lexical":
        """Document n is texts[n]. Cost: some 10 seconds for 100,000 of a few lines."""
        said = words_of(texts)
        vocabulary: dict[str, int] = {}
        ids = [[vocabulary.setdefault(word, len(vocabulary)) for word in words] for words in said]
        if not vocabulary:
            return cls(None, len(texts), 0.0)
        index = library("bm25s", "Search by words").BM25(k1=K1, b=B, method="lucene", backend="numpy")
        index.index((ids, vocabulary), create_empty_token=False, show_progress=False)
        return cls(index, len(texts), float(np.mean([len(words) for words in ids])))

    def __len__(self) -> int:
        """One more than the largest number that was ever there."""
        return self._size

    def put(self, number: int, text: str) -> None:
        """In place of what that number said before."""
        self.remove(number)
        said = Counter(words_of([text])[0])
        self._size = max(self._size, number + 1)
        self._later[number] = said
        for word, count in said.items():
            self._having.setdefault(word, {})[number] = count

    def remove(self, number: int) -> None:
        if number < self._documents:
            self._stays[number] = False
        for word in self._later.pop(number, ()):
            having = self._having[word]
            del having[number]
            if not having:
                del self._having[word]

    def scores(self, query: str) -> Float32:
        """[len(self)], 0 for what has none of its words. A word that is said twice counts once."""
        words = list(dict.fromkeys(words_of([query])[0]))
        found = np.zeros(self._size, np.float32)
        known = [word for word in words if word in self._vocabulary]
        if known:
            found[: self._documents] = self._index.get_scores(known) * self._stays
        for word in words:
            for number, count in self._having.get(word, {}).items():
                length = self._later[number].total() / self._mean
                found[number] += self._idf(word) * count / (count + K1 * (1 - B + B * length))
        return found

    def matched(self, query: str, numbers: Sequence[int]) -> list[list[str]]:
        """The query's words that each of these has."""
        words = list(dict.fromkeys(words_of([query])[0]))
        wanted, found = np.array(numbers, np.int64), [list[str]() for _ in numbers]
        for word in words:
            first = np.isin(wanted, self._documents_with(word)) & self._first(wanted)
            later = np.isin(wanted, list(self._having.get(word, {})))
            for place in np.flatnonzero(first | later).tolist():
                found[place].append(word)
        return found

    def save(self, folder: Path) -> None:
        """Of the first index: what was put since is not in it."""
        facts = {"documents": self._documents, "mean_words": self._mean, "empty": self._index is None}
        (folder / _FACTS).write_text(json.dumps(facts))
        if self._index is not None:
            self._index.save(folder, show_progress=False)

    @classmethod
    def load(cls, folder: Path) -> "Lexical":
        """Memory-mapped, so that processes share it."""
        facts = json.loads((folder / _FACTS).read_text())
        index = None
        if not facts["empty"]:
            index = library("bm25s", "Search by words").BM25.load(folder, mmap=True, show_progress=False)
        return cls(index, facts["documents"], facts["mean_words"])

    @property
    def _vocabulary(self) -> Mapping[str, int]:
        found: Mapping[str, int] = {} if self._index is None else self._index.vocab_dict
        return found

    def _documents_with(self, word: str) -> Int32:
        place = self._vocabulary.get(word)
        if place is None:
            return np.zeros(0, np.int32)
        begin, end = self._index.scores["indptr"][place : place + 2]
        found: Int32 = self._index.scores["indices"][begin:end]
        return found

    def _first(self, numbers: Int64) -> Bool:
        """Which of them the first index speaks for."""
        held = numbers < self._documents
        held[held] = self._stays[numbers[held]]
        return held

    def _idf(self, word: str) -> float:
        having = len(self._documents_with(word)) + len(self._having.get(word, {}))
        return math.log1p((self._documents + len(self._later) - having + 0.5) / (having + 0.5))
