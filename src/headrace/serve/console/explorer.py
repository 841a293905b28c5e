"""One user: their history, their answer as of now, each item's way through the stages, and what another wish would change.

What is asked stands in the address, so a page can be sent to somebody, and no JavaScript is needed to ask.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from headrace.serve.console.explored import Answer, ask, history, pictures, standing, users_like
from headrace.serve.console.view import Link, View
from headrace.serve.service import Service

LINK = Link("/explorer", "Explorer")
_OFFERED, _LONGEST, _PREFERENCE = 24, 10_000, 200_000


@dataclass(frozen=True)
class Wish:
    """What the form says. exclude: item ids. trouble: what of it can't be used, and why."""

    user: str
    preference: str
    exclude: list[str]
    seed: int
    trouble: list[str]

    def without(self, item_id: str) -> str:
        """The address of the same with one item more left out."""
        left_out = "\n".join([*self.exclude, item_id])
        asked = {"user": self.user, "preference": self.preference, "exclude": left_out, "seed": self.seed}
        return f"{LINK.url}?{urlencode(asked)}"


def routes(view: View) -> APIRouter:
    router = APIRouter()

    @router.get(LINK.url)
    async def explorer(user: str = "", preference: str = "", exclude: str = "", seed: str = "0") -> Response:
        service = view.serving.service
        wish = read(service, user, preference, exclude, seed)
        values = await view.serving.alone(looked_at, service, wish)
        return view.page("explorer.html.jinja", here=LINK, wish=wish, **values)

    return router


def read(service: Service, user: str, preference: str, exclude: str, seed: str) -> Wish:
    """exclude: an id a line."""
    user, preference, trouble = user.strip(), preference.strip(), []
    if len(user) > _LONGEST:
        trouble.append(f"The user id has {len(user):,} letters: at most {_LONGEST:,} are taken.")
        user = ""
    if len(preference) > _PREFERENCE:
        trouble.append(f"The preference has {len(preference):,} letters: at most {_PREFERENCE:,} are taken.")
        preference = ""
    if preference and not speaks(service):
        trouble.append("The preference can't be read: this generation's items have no vectors ([features] item_vectors).")
        preference = ""
    number = int(seed) if seed.isascii() and seed.isdecimal() and int(seed) < 2**63 else None
    if number is None:
        trouble.append(f"The seed is {seed!r:.80}: a whole number from 0 is wanted. 0 was taken.")
    return Wish(user, preference, [one.strip() for one in exclude.splitlines() if one.strip()], number or 0, trouble)


def looked_at(service: Service, wish: Wish) -> dict[str, Any]:
    """All that the page shows of it."""
    shown: dict[str, Any] = {"speaks": speaks(service), "answers": [], "events": [], "images": {}}
    if not wish.user:
        return {**shown, "offered": users_like(service, "", _OFFERED), "standing": ""}
    events = history(service, wish.user)
    answers = answers_to(service, wish)
    ids = [one.item_id for one in events] + [one.item_id for _, answer in answers for one in answer.told.items]
    why = standing(service, wish.user, events)
    return {
        **shown, "events": events, "answers": answers, "standing": why, "images": pictures(service, ids),
        "offered": users_like(service, wish.user, _OFFERED) if wish.user not in service.state.users else [],
    }  # fmt: skip


def answers_to(service: Service, wish: Wish) -> list[tuple[str, Answer]]:
    """As they are answered now; with a preference also so, beside it."""
    plain = ask(service, wish.user, seed=wish.seed, exclude=wish.exclude, preference="")
    found = [("The answer now", plain)]
    if wish.preference:
        wanted = ask(service, wish.user, seed=wish.seed, exclude=wish.exclude, preference=wish.preference)
        found.append(("With the preference", wanted))
    return found


def speaks(service: Service) -> bool:
    """Whether a preference in words can be read."""
    return service.pipeline.plan.features.item_vectors is not None
