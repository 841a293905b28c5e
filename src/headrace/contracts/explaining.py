"""What a part of a cascade can say of its own reasons. Each is asked of whoever has it; none is needed to answer a request.

R requests, C candidates a request, S slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from headrace.contracts.requests import Float32, Int32, Int64, Requests, Slates


@runtime_checkable
class Ruled(Protocol):
    """A page policy that can name the rules that acted on each shown item: [R][S] lists of names."""

    def explain(self, requests: Requests, slates: Slates) -> list[list[list[str]]]: ...


@runtime_checkable
class Reasoned(Protocol):
    """A retriever that can say which past item spoke most for a candidate: items [R, C] -> items [R, C], 0 for none."""

    def because(self, requests: Requests, items: Int32) -> Int32: ...


@dataclass(frozen=True)
class Interests:
    """What a scorer holds a user's past to be about, the strongest first. votes [R, M]: events behind each, 0 where there are
    fewer. weights [R, M]: what it counts for, 1 on average. of_event [R, T]: the interest of each of the newest T events, oldest
    first, -1 where it is behind none or there is no event."""

    votes: Int64
    weights: Float32
    of_event: Int64


@runtime_checkable
class Interested(Protocol):
    """A scorer that reads a user's past as a few interests (HiSAC's agents) and can say which.

    needs: with "semantic_ids" among them, the items behind an interest share all codes but the one that tells items apart.
    """

    needs: tuple[str, ...]

    def agents_of(self, requests: Requests) -> Interests: ...


@runtime_checkable
class Summarising(Protocol):
    """A scorer that reads a user as words too, and can say which (SPAR's profile, EmbSum's own summary)."""

    def summaries_of(self, requests: Requests) -> list[str]:
        """[R] sentences, "" where there is nothing to say."""
        ...
