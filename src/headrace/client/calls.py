"""What a server can be asked. Made by docs/make_client.py from the server's OpenAPI; not to be edited."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

from headrace.client.answers import (
    Deleted,
    Described,
    Explanation,
    Hits,
    Page,
    Received,
    Similar,
    Stored,
)
from headrace.client.asked import Event, Wanted
from headrace.client.connection import Connection, all_have, given, part
from headrace.client.running import (
    AllGenerations,
    Forgotten,
    OneExperiment,
    Ready,
    Said,
)


class Client(Connection):
    """Of one server. It may be used by several threads.

    Any call may raise what `failures` has: NotAllowed (401, 403), Refused (another 4xx, such as 413 and 422), Busy (408, 429,
    503, after the attempts), Broken (another 5xx) and Unreachable. What a call has of its own stands with it.
    """

    def recommend(
        self,
        user_id: str,
        *,
        request_id: str | None = None,
        seed: int = 0,
        n: int | None = None,
        exclude: Sequence[str] = (),
        surface: str = "home",
        preference: str | None = None,
        filters: Mapping[str, Wanted] | None = None,
        deadline_ms: float | None = None,
    ) -> Page:
        """A page for a user.

        user_id: Who asks, as the log names them; one it does not know gets a page too.
        request_id: Send it again to get the same page; a new one is made where it is missing.
        seed: What the page leaves to chance is drawn by it and the request's id.
        n: Items wanted, at most as many as the page has slots; all of them by default.
        exclude: Items not to be shown.
        surface: Where the page is shown; it is logged.
        preference: What they want, in words: the page follows it. Of a long one the beginning is read.
        filters: By column of the items table: any, none, min, max. All have to hold.
        deadline_ms: Within which the answer is wanted, from its arrival on: stages there is no time for are left out.
        """
        return self._call(
            "POST",
            "/v1/recommend",
            Page,
            body=given(
                {
                    "user_id": user_id,
                    "request_id": request_id or uuid4().hex,
                    "seed": seed,
                    "n": n,
                    "exclude": exclude,
                    "surface": surface,
                    "preference": preference,
                    "filters": filters,
                    "deadline_ms": deadline_ms,
                }
            ),
            again=True,
        )

    def events(self, sent: Event | Sequence[Event]) -> Received:
        """What users did: one event or a list."""
        return self._call("POST", "/v1/events", Received, body=sent, again=all_have("event_id", sent))

    def put_items(self, sent: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Stored:
        """One item or a list: new, or changed."""
        return self._call("PUT", "/v1/items", Stored, body=sent, again=True)

    def similar_items(self, item_id: str, *, n: int = 10) -> Similar:
        """Items like an item.

        item_id: As the catalogue has it.
        n: Items wanted.
        NotThere: No such item.
        """
        return self._call("GET", f"/v1/items/{part(item_id)}/similar", Similar, query={"n": n}, again=True)

    def get_item(self, item_id: str) -> Described:
        """An item as it stands.

        item_id: As the catalogue has it.
        NotThere: No such item.
        """
        return self._call("GET", f"/v1/items/{part(item_id)}", Described, again=True)

    def delete_item(self, item_id: str) -> Deleted:
        """An item is gone until it is put again.

        item_id: As the catalogue has it.
        """
        return self._call("DELETE", f"/v1/items/{part(item_id)}", Deleted, again=True)

    def search(
        self,
        query: str,
        *,
        user_id: str | None = None,
        n: int = 10,
        filters: Mapping[str, Wanted] | None = None,
        mode: Literal["lexical", "vector", "hybrid"] | None = None,
        personal: bool = False,
        explain: bool = False,
    ) -> Hits:
        """Items that fit a query.

        query: In words.
        user_id: Who asks; needed for `personal` alone.
        n: Items wanted.
        filters: By column of the items table: any, none, min, max. All have to hold.
        mode: Where it is not said: hybrid if the generation has a text encoder, else lexical.
        personal: The ranker orders the best 100 by what is known of the user.
        explain: Say of each item which words it has and where each way of finding put it.
        """
        return self._call(
            "POST",
            "/v1/search",
            Hits,
            body=given(
                {
                    "query": query,
                    "user_id": user_id,
                    "n": n,
                    "filters": filters,
                    "mode": mode,
                    "personal": personal,
                    "explain": explain,
                }
            ),
            again=True,
        )

    def explain(self, request_id: str) -> Explanation:
        """Why a page was as it was.

        request_id: As the page's answer has it.
        NotThere: Neither a recent request nor in the log.
        """
        return self._call("GET", f"/v1/explain/{part(request_id)}", Explanation, again=True)

    def health(self) -> dict[str, str]:
        """Whether the process answers, and with which generation."""
        return self._call("GET", "/healthz", dict[str, str], again=True)

    def ready(self) -> Ready:
        """Whether requests should be sent here."""
        return self._call("GET", "/readyz", Ready, again=True, also=(503,))

    def metrics(self) -> str:
        """Counts and latencies, for Prometheus."""
        return self._call("GET", "/metrics", str, again=True)

    def generations(self) -> AllGenerations:
        """Which generations there are, and how they fare."""
        return self._call("GET", "/v1/generations", AllGenerations, again=True)

    def reload(self) -> Said:
        """Look at the ledger now, and follow it.

        Refused: It can't be opened, and why.
        """
        return self._call("POST", "/v1/generations/reload", Said, again=False)

    def shadow(self, number: int) -> Said:
        """Let it answer silently.

        number: Of a generation, as /v1/generations has them.
        NotThere: There is no such generation.
        Refused: It can't be opened, and why.
        """
        return self._call("POST", f"/v1/generations/{number}/shadow", Said, again=False)

    def end_shadow(self) -> Said:
        """Let none answer silently any more."""
        return self._call("DELETE", "/v1/generations/shadow", Said, again=True)

    def experiments(self) -> list[OneExperiment]:
        """What runs, its arms and their counts."""
        return self._call("GET", "/v1/experiments", list[OneExperiment], again=True)

    def forget(self, user_id: str) -> Forgotten:
        """Nothing of a user is kept, shown or taken in any more.

        user_id: As events name them.
        """
        return self._call("DELETE", f"/v1/users/{part(user_id)}", Forgotten, again=True)
