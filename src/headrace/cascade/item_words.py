"""What is said of each item as of a cut, part by part, for those who write of items in words: preferences and summaries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headrace.cascade.item_vectors import rows_at
from headrace.contracts.requests import Bool
from headrace.data.log import Log


@dataclass(frozen=True, eq=False)
class SaidOfItems:
    """By item number, "" and () for nothing. known: items that were there before the cut; later ones have no say in which words
    are rare."""

    titles: list[str]
    texts: list[str]
    categories: list[Sequence[str]]
    known: Bool

    @property
    def whole(self) -> list[str]:
        """Title and text, a line each."""
        return [f"{title}\n{text}" for title, text in zip(self.titles, self.texts, strict=True)]


def said_of_items(log: Log, cut_us: int) -> SaidOfItems:
    held, first = rows_at(log, cut_us)
    n = len(log.items)
    titles, texts, categories = [""] * n, [""] * n, [()] * n  # type: list[str], list[str], list[Sequence[str]]
    columns = held.select("title", "text", "categories").iter_rows()
    for number, (title, text, named) in zip(log.items.encode(held["item_id"]).tolist(), columns, strict=True):
        titles[number], texts[number], categories[number] = title or "", text or "", tuple(named or ())
    known = np.zeros(n, np.bool_)
    known[log.items.encode(first["item_id"])] = first["since"].to_numpy() < cut_us
    return SaidOfItems(titles, texts, categories, known)
