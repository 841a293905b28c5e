"""Byte-pair encoding of many words at once: in each round every word joins the pair that was learned first, wherever it has it.

    symbols = bytes;  while some neighbours can be joined:  join the pair of least rank, from left to right

A joined symbol's own merges all have a later rank, so one round may join all of a pair's places. dropout: each pair is passed
over with this chance, drawn anew each round; a word whose every pair was passed over is done (BPE-dropout; a pair that stands
several times in a word is drawn for each of its places). Rounds: at most a word's length. Cost O(symbols · rounds · log merges).
"""

import numpy as np

from headrace.contracts.requests import Bool, Int64
from headrace.data.tokens import Tokens

_NONE = np.int64(1) << 40


class Merges:
    """pairs [M, 2]: in the order they were learned. made [M]: the symbol each pair becomes."""

    def __init__(self, pairs: Int64, made: Int64):
        keys = _keys(pairs[:, 0], pairs[:, 1])
        self._rank: Int64 = np.argsort(keys)
        self._keys, self._made = keys[self._rank], made

    def apply(self, words: Tokens, dropout: float = 0.0, draw: np.random.Generator | None = None) -> Tokens:
        ids, word = words.ids.astype(np.int64), np.repeat(np.arange(len(words)), words.lengths)
        done = []
        while len(ids):
            ranks = self._ranks(ids, word)
            if draw is not None:
                ranks[draw.random(len(ranks)) < dropout] = _NONE
            begins = np.flatnonzero(np.concatenate([[True], word[1:] != word[:-1]]))
            best = np.minimum.reduceat(ranks, begins)
            best = np.repeat(best, np.diff(np.append(begins, len(ids))))
            joined = _apart((ranks == best) & (best < _NONE))
            left = np.flatnonzero(joined)
            ids[left] = self._made[ranks[left]]
            goes_on = best < _NONE
            done.append((word[~goes_on], ids[~goes_on]))
            goes_on[left + 1] = False
            ids, word = ids[goes_on], word[goes_on]
        of = np.concatenate([np.zeros(0, np.int64), *(word for word, _ in done)])
        symbols = np.concatenate([np.zeros(0, np.int64), *(ids for _, ids in done)])
        counts = np.bincount(of, minlength=len(words))
        return Tokens(symbols[np.argsort(of, kind="stable")].astype(np.int32), np.concatenate([[0], np.cumsum(counts)]))

    def _ranks(self, ids: Int64, word: Int64) -> Int64:
        """Of the pair that each symbol begins, _NONE where it begins none."""
        ranks = np.full(len(ids), _NONE)
        keys = _keys(ids[:-1], ids[1:])
        if not len(self._keys):
            return ranks
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        ranks[:-1] = np.where((self._keys[at] == keys) & (word[:-1] == word[1:]), self._rank[at], _NONE)
        return ranks


def _keys(left: Int64, right: Int64) -> Int64:
    return (left << 32) | right


def _apart(chosen: Bool) -> Bool:
    """Of neighbours that are chosen, every second: in "aaa" the pair "aa" stands twice and can be joined once."""
    place = np.arange(len(chosen))
    begin = np.maximum.accumulate(np.where(chosen & ~np.concatenate([[False], chosen[:-1]]), place, 0))
    every_second: Bool = chosen & ((place - begin) % 2 == 0)
    return every_second
