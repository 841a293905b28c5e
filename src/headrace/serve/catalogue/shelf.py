"""A generation's items with what was said of them since: which may be shown, what they are called, and what finds them.

    shown   [n_items]   may be recommended: the generation can, and nobody withdrew or deleted it
    found   [size]      may be found by search and likeness: of the build's items the last row's word, and those put since

Items that were put and are not the build's stand behind its numbers: n_items, n_items + 1, … in this process, in the order it
heard of them. They are searched, and recommended as newcomers (`newcomers`): a model has no place for an item it was not fitted
with. Each request looks at the catalogue's counter first, one read, so a change is seen by the first request after it was
acknowledged, in every process.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from headrace.cascade.answers import Answered, Names
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.requests import Bool
from headrace.serve.asked import Asked
from headrace.serve.catalogue.filters import Filter, FilterRules
from headrace.serve.catalogue.item_table import ItemTable
from headrace.serve.catalogue.kept import Catalogue, Kept

_REMEMBERED = 64  # filters


class Shelf:
    """names: the generation's; `self.names` also has the items that were put since. available [n_items]: what its cascade may
    show."""

    def __init__(self, pipeline: Pipeline, catalogue: Catalogue, names: Names, available: Bool):
        self.pipeline, self.catalogue, self.available, self.n_items = pipeline, catalogue, available, len(available)
        self.names = Names(names.ids[: self.n_items], names.titles[: self.n_items])
        self.table = ItemTable(pipeline.log.tables, pipeline.log.items.ids)
        self.rules = FilterRules(self.table)
        self.numbers = {name: number for number, name in enumerate(self.names.ids) if number}
        self.lock = threading.RLock()
        self._kept: dict[int, Kept] = {}
        self.since: dict[int, Kept] = {}
        """What was said of items that are not the build's, by number."""
        self.arrivals = 0  # changes of these
        self._stamp, self._moved_us = -1, 0
        self._shown, self._found = available, pipeline.log.available(2**62)
        self._fitting: OrderedDict[str, Bool] = OrderedDict()  # of this stamp
        catalogue.schema = self.table.schema

    def offered(self, asked: Asked, *, now: bool) -> Bool:
        """[n_items]: what the request may be shown, as of its moment; the answer's to write to. now: and may be shown now."""
        with self.lock:
            self.refresh()
            found = self._shown if asked.at_us > self._moved_us else self._shown_at(asked.at_us)
            found = found & self._shown if now else found.copy()
            if asked.filters:
                found &= self.fitting(self.rules.again(asked.filters))[: self.n_items]
        found[[number for one in asked.excluded if (number := self.numbers.get(one, 0)) < self.n_items]] = False
        return found

    def still(self, page: Sequence[Answered]) -> list[Answered]:
        """Those of a page that nobody has withdrawn or deleted since, in the places they had."""
        self.refresh()
        kept = [self._kept.get(self.numbers.get(one.item_id, 0)) for one in page]
        return [one for one, found in zip(page, kept, strict=True) if found is None or found.shown]

    @property
    def moved_us(self) -> int:
        """When an item last came or went."""
        self.refresh()
        return self._moved_us

    @property
    def shown_now(self) -> Bool:
        self.refresh()
        return self._shown

    def found(self, wanted: Filter) -> Bool:
        """[size]: what a search may find now."""
        with self.lock:
            self.refresh()
            return self._found if not wanted.said else self._found & self.fitting(wanted)

    def fitting(self, wanted: Filter) -> Bool:
        """[size]: what fits the filters, whether or not it may be shown."""
        with self.lock:
            if wanted.said not in self._fitting:
                mask = np.zeros(len(self.names.ids), np.bool_)
                mask[: self.n_items] = self.rules.mask(wanted)
                for number, kept in self._kept.items():
                    mask[number] = not kept.deleted and wanted.fits(kept.row)
                self._fitting[wanted.said] = mask
                while len(self._fitting) > _REMEMBERED:
                    self._fitting.popitem(last=False)
            return self._fitting[wanted.said]

    def number(self, item_id: str) -> int | None:
        """None of one that neither the build nor anybody since spoke of."""
        self.refresh()
        return self.numbers.get(item_id)

    def item_id(self, number: int) -> str:
        return self.names.ids[number]

    def title(self, number: int) -> str:
        kept = self._kept.get(number)
        if kept is not None and not kept.deleted:
            return kept.row.get("title") or kept.item_id
        return self.names.titles[number]

    def kept(self, number: int) -> Kept | None:
        """What was said of it since the build."""
        return self._kept.get(number)

    def said(self) -> list[Kept]:
        """All that was said since the build, of any item."""
        self.refresh()
        return list(self._kept.values())

    def refresh(self) -> None:
        with self.lock:
            self._stamp, changed = self.catalogue.since(self._stamp)
            if changed:
                self._take(changed)

    def _take(self, changed: Sequence[Kept]) -> None:
        for kept in changed:
            if kept.item_id not in self.numbers:
                self.names.titles.append(kept.item_id)  # before its id, by whose number others come
                self.numbers[kept.item_id] = len(self.names.ids)
                self.names.ids.append(kept.item_id)
            number = self.numbers[kept.item_id]
            self._kept[number] = kept
            self._moved_us = max([self._moved_us, *(at_us for at_us, _ in kept.moves)])
            if number >= self.n_items:
                words = kept.was[-1][1] if kept.deleted and kept.was else kept.row
                self.names.titles[number] = words.get("title") or kept.item_id
                self.since[number] = kept
                self.arrivals += 1
                self._moved_us = max(self._moved_us, kept.at_us)
        self._fitting.clear()
        shown, found = self._shown.copy(), np.zeros(len(self.names.ids), np.bool_)
        found[: len(self._found)] = self._found
        for kept in changed:
            number = self.numbers[kept.item_id]
            found[number] = kept.shown
            if number < self.n_items:
                shown[number] = self.available[number] and kept.shown
        self._shown, self._found = shown, found

    def _shown_at(self, at_us: int) -> Bool:
        found = self.available.copy()
        for number, kept in self._kept.items():
            if number < self.n_items and kept.shown_at(at_us) is False:
                found[number] = False
        return found
