"""Preferences without a model: "Find crime drama" of what was liked, "Avoid heist detective" of what was disliked.

    phrases = Phrases.of(texts, categories)       templates(Opinions.of_log(log), phrases) -> Preferences

An item's first phrase is its two rarest categories, the next ones two of its key terms each (`key_terms`), the highest first, so
no term is one item's own. A state takes the first phrase of each of its liked and disliked items, the newest first, then each
one's second, until it has five that differ; fewer where there is no more to say.
Cost O(words) once and O(states × newest × phrases). It loses to a language model where what matters is in no single word.
Source: our stand-in for the paper's model (arXiv 2412.08604, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Bool, Int32
from headrace.data.key_terms import key_terms
from headrace.data.preferences import NEWEST, Opinions, Preferences

SOURCE = "template"
FIND, AVOID = "Find ", "Avoid "


@dataclass(frozen=True, eq=False)
class Phrases:
    """ids [n_items, depth]: an item's phrases, the first first, -1 where there are fewer. texts: each once."""

    ids: Int32
    texts: tuple[str, ...]

    @classmethod
    def of(
        cls, texts: Sequence[str], categories: Sequence[Sequence[str]], known: Bool | None = None, *, depth: int = NEWEST
    ) -> "Phrases":
        """By item number, "" and () for none. known [n_items]: items that count where terms are weighed, all if None."""
        counted = np.ones(len(texts), np.bool_) if known is None else known
        first, terms = _rarest(categories, counted), _terms(texts, counted, 2 * (depth - 1))
        said: dict[str, int] = {}
        ids = np.full((len(texts), depth), -1, np.int32)
        for item, words in enumerate(terms):
            pairs = [" ".join(words[at : at + 2]) for at in range(0, len(words), 2)]
            mine = list(dict.fromkeys(filter(None, [first[item], *pairs])))[:depth]
            ids[item, : len(mine)] = [said.setdefault(one, len(said)) for one in mine]
        return cls(ids, tuple(said))


def templates(opinions: Opinions, phrases: Phrases, *, newest: int = NEWEST) -> Preferences:
    """newest: events a state is made of, and instructions it has, at most."""
    places = opinions.windows(newest)
    mark, items = (np.append(values, 0)[places] for values in (opinions.mark, opinions.events.items))  # [states, newest]
    # a phrase and its refusal are two instructions; the first phrases of all stand before the second of any
    offered = np.where((mark != 0)[:, :, None], phrases.ids[items], -1)
    offered = np.where(offered >= 0, 2 * offered + (mark < 0)[:, :, None], -1).transpose(0, 2, 1).reshape(len(places), -1)
    for column in range(1, offered.shape[1]):
        again = (offered[:, :column] == offered[:, column, None]).any(1)
        offered[again, column] = -1
    order = np.argsort(offered < 0, axis=1, kind="stable")[:, :newest]
    chosen = np.take_along_axis(offered, order, 1)
    used, ids = np.unique(chosen[chosen >= 0], return_inverse=True)
    chosen[chosen >= 0] = ids
    said = tuple((AVOID if one % 2 else FIND) + phrases.texts[one // 2] for one in used.tolist())
    return Preferences(opinions.events, chosen.astype(np.int32), said, np.where(used % 2, -1, 1).astype(np.int8), SOURCE)


def _rarest(categories: Sequence[Sequence[str]], counted: Bool) -> list[str]:
    """The two rarest of each item, the rarest first, in lower case."""
    counts: dict[str, int] = {}
    for item in np.flatnonzero(counted).tolist():
        for one in set(categories[item]):
            counts[one] = counts.get(one, 0) + 1
    return [" ".join(sorted(set(mine), key=lambda one: (counts.get(one, 0), one))[:2]).lower() for mine in categories]


def _terms(texts: Sequence[str], counted: Bool, most: int) -> list[list[str]]:
    """Each text's key terms, the highest weight first."""
    terms: list[list[str]] = [[] for _ in texts]
    for row, mine in key_terms(texts, counted, most).group_by("row", maintain_order=True).agg("word").iter_rows():
        terms[row] = mine
    return terms
