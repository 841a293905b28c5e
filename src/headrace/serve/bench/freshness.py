"""From an event to an answer that knows of it: an item a user was shown is consumed, and asked for until it is shown no more.

Counted from when the event is sent to when the first page without the item is there. A page may also lack it by chance, so what
is measured is what a caller sees, not a proof; the proof is a test of the server's.
"""

import asyncio
import time
from typing import Any

from headrace.serve.bench.traffic import Traffic

_PATIENCE_S, _PAUSE_S = 5.0, 0.002


async def event_to_answer(http: Any, traffic: Traffic, times: int) -> list[float | None]:
    """Seconds, one an event; None where the item was still shown after 5 s."""
    found: list[float | None] = []
    for number in range(times):
        user = traffic.user()
        shown = await _page(http, user)
        if not shown:
            continue
        sent = time.perf_counter()
        event = traffic.event(user, shown[0], f"{user}-{number}-{time.time_ns()}")
        (await http.post("/v1/events", json=event)).raise_for_status()
        while shown[0] in await _page(http, user):
            if time.perf_counter() - sent > _PATIENCE_S:
                found.append(None)
                break
            await asyncio.sleep(_PAUSE_S)
        else:
            found.append(time.perf_counter() - sent)
    return found


async def _page(http: Any, user: str) -> list[str]:
    answer = (await http.post("/v1/recommend", json={"user_id": user})).raise_for_status()
    return [one["item_id"] for one in answer.json()["items"]]
