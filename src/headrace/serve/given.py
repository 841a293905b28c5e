"""An answer that was worked out, and what is kept of it for a while, for all processes of a server."""

from dataclasses import dataclass

from headrace.cascade.answers import Answered, Walk
from headrace.serve.asked import Asked
from headrace.serve.live.tally import Shown, Tally
from headrace.serve.state.lately import Lately
from headrace.serve.state.recent import Assigned, Recent, Remembered


@dataclass(frozen=True)
class Given:
    """An answer and what it answers. walked: None where it had been given before, perhaps by another generation."""

    asked: Asked
    page: list[Answered]
    generation: str
    deterministic: bool
    assigned: Assigned | None = None
    walked: Walk | None = None
    took_s: float = 0.0

    @property
    def again(self) -> bool:
        return self.walked is None


def noted(given: Given, lately: Lately, tally: Tally, recent: Recent | None, expected: float) -> bool:
    """In one transaction: the page, that it was shown, how long it took, whose arm's it was. False, and nothing is noted, where
    another process answered the request meanwhile.

    recent: None where it is nobody's to remember. expected: the chance that something of the page is clicked."""
    asked, page = given.asked, given.page
    shown = None if recent is None else Shown(asked.request_id, [one.item_id for one in page], expected)

    def also() -> None:
        with lately.noting():
            tally.answered(given.took_s, shown)
            if given.assigned is not None:
                lately.add(given.assigned.counted)

    if recent is None:
        also()
        return True
    answer = Remembered.of(asked, given.generation, page, deterministic=given.deterministic, assigned=given.assigned)
    return recent.put(answer, also)
