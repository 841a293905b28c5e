"""A user and an answer to look at: what is known of them, and each item's way through the stages. Nothing of it is logged.

The answer is the one `/v1/recommend` would give now, worked out by the same stages; a request of the console leaves neither an
impression nor a count of an answer behind.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from headrace.cascade.answers import pages
from headrace.serve.asked import Asked
from headrace.serve.explain import worked_out
from headrace.serve.messages import Explanation
from headrace.serve.service import Service

_NEWEST, _LOOKED_THROUGH = 40, 200_000
REQUEST = "console"


@dataclass(frozen=True)
class Event:
    item_id: str
    title: str
    at_us: int


@dataclass(frozen=True)
class Answer:
    """reasons: of each item, in words. handed_on: (stage, items it gave a score), in order."""

    told: Explanation
    reasons: list[list[str]]
    handed_on: list[tuple[str, int]]

    @property
    def places(self) -> dict[str, int]:
        return {one.item_id: one.position for one in self.told.items}


def ask(service: Service, user_id: str, *, seed: int, exclude: Sequence[str], preference: str) -> Answer:
    asked = Asked(
        REQUEST, user_id, service.now_us(), seed, service.cascade.slots, tuple(sorted(set(exclude))), REQUEST, preference
    )
    walked = service.walk(asked, counted=False)
    page = pages(service.cascade, service.names, walked)[0]
    reached = [(name, int((~np.isnan(scores[0])).sum())) for name, scores in walked.recalled.scores.items()]
    reached += [(stage, int((~np.isnan(found.scores[stage][0])).sum())) for stage, found in walked.scored.items()]
    return Answer(worked_out(service, asked, walked), [one.reasons for one in page], reached)


def history(service: Service, user_id: str) -> list[Event]:
    """The newest events of items the generation knows, the last first. None of who does not consent to being known by them."""
    now = service.now_us()
    if service.impersonal.holds(user_id, now):
        return []
    found = service.state.history([user_id], np.array([now]), _NEWEST)
    seen = list(zip(found.items.tolist(), found.at_us.tolist(), strict=True))[-_NEWEST:]
    return [Event(service.shelf.item_id(item), service.shelf.title(item), at) for item, at in reversed(seen)]


def standing(service: Service, user_id: str, known: Sequence[Event]) -> str:
    """Why there is no history, "" where there is one."""
    if service.state.erased([user_id])[0]:
        return "This user was erased: nothing of theirs is kept, and they are answered as nobody."
    if service.impersonal.holds(user_id, service.now_us()):
        return "This user does not consent to personalisation: their history is not looked at, here neither."
    if not known:
        return "No event of an item this generation knows: they are answered as a newcomer."
    return ""


def users_like(service: Service, part: str, most: int) -> list[str]:
    """Ids that begin with the part, then such that hold it, of the first users of the log; the first of all for ""."""
    some = list(islice(service.state.users, _LOOKED_THROUGH))
    first = [one for one in some if one.startswith(part)]

    def ordered() -> Iterator[str]:
        yield from first
        yield from (one for one in some if part in one and not one.startswith(part))

    shown = list(islice(ordered(), 4 * most))
    gone = service.state.erased(shown) if shown else ()
    return [one for one, erased in zip(shown, gone, strict=True) if not erased][:most]


def pictures(service: Service, item_ids: Sequence[str]) -> dict[str, str]:
    """Addresses of those that have one, https alone. Empty where the console shows none."""
    if not service.settings.console_images:
        return {}
    found = {one: _picture(service, one) for one in dict.fromkeys(item_ids)}
    return {one: address for one, address in found.items() if address.startswith("https://")}


def _picture(service: Service, item_id: str) -> str:
    number = service.shelf.number(item_id)
    if number is None:
        return ""
    kept = service.shelf.kept(number)
    if kept is not None:
        return str(kept.row.get("image") or "")
    return str(service.shelf.table.column("image")[number] or "")
