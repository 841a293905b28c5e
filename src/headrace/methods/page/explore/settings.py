"""[page.explore] of the TOML, and its [[page.explore.rules]]."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from annotated_types import Ge, Gt, Le

from headrace.contracts.config import config

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ACTIONS = ("pin", "block", "block_category", "boost_category")


@config
class Rule:
    """One action, and when and where it holds: since <= time of the request < until (ISO, UTC without a zone), one surface.

    pin: the item stands in `slot` (from 1). block, block_category: it is not shown. boost_category: the odds of what is in it,
    at temperature 1, are `factor` times as high. name: how an answer calls the rule; left out, what it does.
    """

    pin: str | None = None
    slot: Annotated[int, Ge(1)] | None = None
    block: str | None = None
    block_category: str | None = None
    boost_category: str | None = None
    factor: Annotated[float, Gt(0)] | None = None
    since: str | None = None
    until: str | None = None
    surface: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        given = [action for action in _ACTIONS if getattr(self, action) is not None]
        if len(given) != 1:
            raise ValueError(f"a rule does one of {', '.join(_ACTIONS)}; this one has {' and '.join(given) or 'none'}")
        for action, how in (("pin", "slot"), ("boost_category", "factor")):
            if (given == [action]) != (getattr(self, how) is not None):
                raise ValueError(f"{action} and {how} go together, and alone: received {given[0]} and {how} {getattr(self, how)}")
        if self.since is not None and self.until is not None and self.since_us >= self.until_us:
            raise ValueError(f"since ({self.since}) is not before until ({self.until}), so the rule never holds")
        _ = self.since_us, self.until_us

    @property
    def action(self) -> str:
        return next(action for action in _ACTIONS if getattr(self, action) is not None)

    @property
    def target(self) -> str:
        """The item's id or the category's name."""
        found: str = getattr(self, self.action)
        return found

    @property
    def label(self) -> str:
        how = f" in slot {self.slot}" if self.slot else f" by {self.factor:g}" if self.factor else ""
        return self.name or f'{self.action.replace("_", " ")} "{self.target}"{how}'

    @property
    def since_us(self) -> int:
        return _us(self.since) if self.since is not None else -(2**63)

    @property
    def until_us(self) -> int:
        return _us(self.until) if self.until is not None else 2**63 - 1


@config
class ExploreConfig:
    slots: Annotated[int, Gt(0)] = 10
    temperature: Annotated[float, Ge(0)] = 0.1
    epsilon: Annotated[float, Ge(0), Le(1)] = 0.02
    most_per_category: Annotated[int, Ge(0)] = 0
    """At most so many items of any one category on a page; 0 for no limit."""
    mmr: Annotated[float, Ge(0), Le(1)] = 0.0
    """Weight of being unlike what stands above: 0 the score alone, 1 unlikeness alone."""
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for rule in self.rules:
            if rule.slot is not None and rule.slot > self.slots:
                raise ValueError(f"{rule.label} is beyond the page's {self.slots} slots")


def _us(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text}" is no ISO time: expected one as 2026-11-27 or 2026-11-27T18:00:00Z') from None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
