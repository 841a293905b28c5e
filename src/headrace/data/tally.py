"""What the events of a log add up to, counted a part at a time and joined: memory follows users, items and kinds, not events."""

from dataclasses import dataclass

import polars as pl

from headrace.contracts.tables import EVENTS

COLUMNS = ("user_id", "item_id", "at", "kind")


@dataclass(frozen=True)
class Tally:
    """tied: events whose user has another at the same moment. kinds: kind, len. seen: "user_id", "item_id" -> the id and the
    first time `at` it is seen."""

    events: int
    tied: int
    last_us: int
    kinds: pl.DataFrame
    seen: dict[str, pl.DataFrame]

    @classmethod
    def of(cls, events: pl.DataFrame) -> "Tally":
        """Over events that hold all of their users' own, sorted by user and time."""
        again = (pl.col("user_id") == pl.col("user_id").shift()) & (pl.col("at") == pl.col("at").shift())
        again = again.fill_null(False)
        tied = events.select((again | again.shift(-1, fill_value=False)).sum()).item()
        seen = {key: events.group_by(key).agg(pl.col("at").min()) for key in ("user_id", "item_id")}
        last_us = int(events["at"].dt.timestamp("us").max() or 0)  # type: ignore[arg-type]
        return cls(len(events), int(tied), last_us, events.group_by("kind").len(), seen)

    def __add__(self, other: "Tally") -> "Tally":
        kinds = pl.concat([self.kinds, other.kinds]).group_by("kind").agg(pl.col("len").sum())
        users = pl.concat([self.seen["user_id"], other.seen["user_id"]])  # no user stands in two parts
        items = pl.concat([self.seen["item_id"], other.seen["item_id"]]).group_by("item_id").agg(pl.col("at").min())
        seen = {"user_id": users, "item_id": items}
        return Tally(self.events + other.events, self.tied + other.tied, max(self.last_us, other.last_us), kinds, seen)

    @property
    def first_us(self) -> int:
        return int(self.seen["user_id"]["at"].dt.timestamp("us").min())  # type: ignore[arg-type]

    @property
    def tied_share(self) -> float:
        return self.tied / self.events if self.events else 0.0

    def kind_counts(self) -> dict[str, int]:
        """Events of each kind, the commonest first."""
        return dict(self.kinds.sort(["len", "kind"], descending=[True, False]).iter_rows())


NOTHING = Tally.of(pl.DataFrame(schema={name: EVENTS.schema()[name] for name in COLUMNS}))
