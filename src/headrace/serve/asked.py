"""What was asked, in full: with the generation it says all that an answer hangs on."""

from collections.abc import Sequence
from dataclasses import dataclass

HISTORY = "history"
"""Skipped, where the online state did not answer: the page reads what the build holds of the user, no event since."""
ITEMS = "items"
"""Nothing was skipped, but what was said of items since Redis was last heard is not known here: one may have been deleted."""


@dataclass(frozen=True)
class Asked:
    """at_us: as of when it is answered. slots: how many of the page's are wanted. excluded: items not to be shown.

    preference: what they say they want, in words. skipped: stages that were left out for want of time. filters: which items they
    want to hear of at all, in the one form that `filters` gives them.
    """

    request_id: str
    user_id: str
    at_us: int
    seed: int
    slots: int
    excluded: Sequence[str] = ()
    surface: str = "home"
    preference: str = ""
    skipped: tuple[str, ...] = ()
    filters: str = ""

    def same(self, other: "Asked") -> bool:
        """But for the moment and what there was no time for: whether it is the same request, sent again."""
        apart = {"at_us": 0, "skipped": ()}
        return vars(self) | apart == vars(other) | apart
