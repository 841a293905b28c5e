"""What a world is made of: its size, its people, how it is asked, how its logger answers, and what a click leads to."""

from datetime import UTC, datetime
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from headrace.contracts.config import config
from headrace.contracts.requests import Int64

DAY_US = 86_400_000_000
START_US = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""Midnight of day 0. In the past, so that an import takes no event for one of the future."""

Count = Annotated[int, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]


@config
class Effect:
    """What a click leads to: x(u, i) = base + match cos(θ_u, e_i) + quality q_i + price p_i, q_i and p_i of mean 0 and sd 1.

    p_i is the standardised log price. x is a logit, or for dwell the mean of the log of the seconds.
    """

    base: float
    match: float = 0.0
    quality: float = 0.0
    price: float = 0.0


@config
class Worth:
    """Utility = the sum of these times what is expected (or was seen) of each task."""

    click: float = 1.0
    dwell_s: float = 0.01
    purchase: float = 5.0
    satisfied: float = 1.0


@config
class WorldConfig:
    """Defaults are the generator's; what is ours among them is named in docs/world.md."""

    users: Count = 2000
    items: Count = 4000
    topics: Count = 40
    dim: Count = 32
    days: Count = 10
    """New items and users arrive over so many days; it is also how long a log is."""
    history_days: Count = 30
    new_item_share: Annotated[float, Ge(0), Lt(1)] = 0.2
    new_user_share: Annotated[float, Ge(0), Lt(1)] = 0.05
    activity: Annotated[float, Gt(0)] = 40.0
    """Median number of a user's views before day 0; they visit and go on viewing in proportion to theirs."""
    activity_spread: Annotated[float, Ge(0)] = 0.8
    visits: Annotated[float, Gt(0)] = 1.5
    """Requests a day of a user of mean activity; at most one is made."""
    browsing: Annotated[float, Ge(0)] = 1.0
    """Views a day beside the pages, relative to those before day 0."""
    off_topic: Share = 0.1
    drift: Share = 0.05
    """The chance, each day, that a user takes up an interest."""

    nearest: Count = 120
    popular: Count = 60
    uniform: Count = 20
    considered: Count = 40
    slots: Count = 4
    user_noise: Annotated[float, Ge(0)] = 1.0
    """Standard deviation, in logits, of what stage 1 does not know."""
    history_weight: Share = 0.5
    recent_weight: float = 0.5

    temperature: Annotated[float, Ge(0)] = 0.5
    """Of the logger's page, in logits; 0 with epsilon 0 is the deterministic noisy top."""
    epsilon: Share = 0.02
    random_share: Share = 0.02
    """Of the requests, answered uniformly from all that was recalled and flagged."""

    ctr: Annotated[float, Gt(0), Lt(1)] = 0.04
    position_bias: Annotated[float, Ge(0)] = 0.5
    """Slot k (from 1) is looked at with probability k ** -position_bias; 0 switches it off."""
    dwell: Effect = Effect(base=3.0, match=0.8, quality=0.5)
    dwell_spread: Annotated[float, Ge(0)] = 0.8
    purchase: Effect = Effect(base=-2.5, match=1.0, quality=0.5, price=-0.5)
    satisfied: Effect = Effect(base=-0.5, match=1.0, quality=1.0)
    worth: Worth = Worth()

    def __post_init__(self) -> None:
        if self.recalled > self.old_items:
            raise ValueError(
                f"{self.recalled} items are recalled ({self.nearest} nearest, {self.popular} popular, {self.uniform} uniform) "
                f"and only {self.old_items} are there on day 0: raise items or recall fewer"
            )
        if not self.slots <= self.considered <= self.recalled:
            raise ValueError(
                f"slots ({self.slots}), considered ({self.considered}) and recalled ({self.recalled}) have to grow in this order"
            )

    @property
    def recalled(self) -> int:
        return self.nearest + self.popular + self.uniform

    @property
    def old_items(self) -> int:
        """There before day 0; the others arrive on days 1 to days - 1."""
        return self.items - (round(self.items * self.new_item_share) if self.days > 1 else 0)

    @property
    def deterministic(self) -> bool:
        return self.temperature == 0 and self.epsilon == 0


def day_of(at_us: Int64) -> Int64:
    return (at_us - START_US) // DAY_US


SIZES = {
    "small": WorldConfig(),
    "medium": WorldConfig(users=8000, items=10_000, visits=0.8),
    "large": WorldConfig(users=20_000, items=20_000, visits=0.8),
}
