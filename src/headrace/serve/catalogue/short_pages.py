"""What a page says of its filters: who filled it where the retrievers proposed too little that fits, and where nobody could."""

import numpy as np

from headrace.serve.given import Given
from headrace.serve.service import Service

_FALLBACK = "fallback"


def said_of_filters(service: Service, given: Given) -> list[str]:
    """Nothing where they left the page as full as any other."""
    asked, shelf = given.asked, service.shelf
    if not asked.filters:
        return []
    wanted = shelf.rules.again(asked.filters)
    said = []
    if filled := _filled_by_fallback(given):
        said.append(
            f"fallback: the retrievers proposed too little that fits the filters; {service.cascade.fallback[0]} put {filled} here"
        )
    if len(given.page) < asked.slots:
        fit = int((shelf.fitting(wanted)[: shelf.n_items] & shelf.shown_now).sum())
        said.append(f"filters: {fit} items fit them and may be shown; {len(given.page)} of {asked.slots} slots are filled")
        said += shelf.rules.unmet(wanted)
    return said


def _filled_by_fallback(given: Given) -> int:
    """Items of the page that nobody else proposed; none where retrievers had no time to, which the page says for itself."""
    if any(stage.startswith("retrieve.") for stage in given.asked.skipped):
        return 0
    if given.walked is None or _FALLBACK not in given.walked.recalled.scores:
        return 0
    recalled, shown = given.walked.recalled, given.walked.slates.items[0, : given.asked.slots]
    others = np.stack([scores[0] for name, scores in recalled.scores.items() if name != _FALLBACK])
    alone = np.isnan(others).all(0) & ~np.isnan(recalled.scores[_FALLBACK][0])
    return int(np.isin(shown[shown > 0], recalled.items[0][alone]).sum())
