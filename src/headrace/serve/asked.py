"""What was asked, in full: with the generation it says all that an answer hangs on."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """at_us: as of when it is answered. slots: how many of the page's are wanted. excluded: items not to be shown.

    preference: what they say they want, in words.
    """

    request_id: str
    user_id: str
    at_us: int
    seed: int
    slots: int
    excluded: Sequence[str] = ()
    surface: str = "home"
    preference: str = ""

    def same(self, other: "Asked") -> bool:
        """But for the moment: whether it is the same request, sent again."""
        return vars(self) | {"at_us": 0} == vars(other) | {"at_us": 0}
