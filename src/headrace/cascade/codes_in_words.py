"""An item's codes as people read them: the numbers, and the words that stand out among the items that share its first code.

    183-70-232-0 (space, alien, crew)

Codes are those of the cascade's first retriever that writes any (tiger, liger, mender); a cascade without one has none. Cost of
the words: one pass over all items' texts, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.cascade.item_vectors import texts_at
from headrace.contracts.seams import Retriever
from headrace.data.log import Log
from headrace.encode.semantic_ids.coded import WritesCodes
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.words import words_of_codes

_SHOWN = 4


@dataclass(frozen=True)
class CodesInWords:
    """words: of each first code, the most telling first."""

    ids: SemanticIds
    words: Mapping[int, Sequence[str]]

    @classmethod
    def of(cls, retrievers: Iterable[Retriever], log: Log, cut_us: int) -> "CodesInWords | None":
        """Texts as of the cut. None where no retriever writes codes."""
        for retriever in retrievers:
            if isinstance(retriever, WritesCodes):
                return cls.told(retriever.coded.ids, log, cut_us)
        return None

    @classmethod
    def told(cls, ids: SemanticIds, log: Log, cut_us: int) -> "CodesInWords":
        """Texts as of the cut."""
        return cls(ids, words_of_codes(ids, texts_at(log, cut_us)[0], top=_SHOWN))

    def said(self, item: int, levels: int | None = None) -> str:
        """ "" for an item without codes. levels: so many of its codes; None: all."""
        if item >= len(self.ids) or not self.ids.there[item]:
            return ""
        codes = self.ids.codes[item, :levels].tolist()
        words = ", ".join(self.words.get(codes[0], ()))
        return "-".join(map(str, codes)) + (f" ({words})" if words else "")
