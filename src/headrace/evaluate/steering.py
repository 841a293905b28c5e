"""Whether a list follows a wish and its opposite: the combined hit of sentiment following.

    m@k   1 where the item is in the top k of what was asked to be found and not in the top k of what was asked to be avoided

Shapes: two lists of the same R requests -> float64 [R], NaN where a request has no right item. Both must hold: a model that does
not hear the difference, or proposes the item to nobody, gets 0. Cost O(R k).
Source: Paischer et al., arXiv 2412.08604, section 4 (sentiment following); "any right item" where a request has several.
"""

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64
from headrace.evaluate.lists import RankedLists, Relevant, hits
from headrace.evaluate.ranking import hit_rate


def combined_hit(found: RankedLists, avoided: RankedLists, relevant: Relevant, k: int) -> Float64:
    """found, avoided: the lists given to the wish and to its opposite, row by row."""
    for name, lists in (("found", found), ("avoided", avoided)):
        if lists.depth < k:
            raise DataError(
                f"m@{k}: the {name} lists have {lists.depth} slots. Give longer ones, or pad with 0 if there are none."
            )
    in_found, in_avoided = (hit_rate(hits(lists, relevant, k), relevant.counts, k) for lists in (found, avoided))
    combined: Float64 = in_found * (1 - in_avoided)
    return combined
