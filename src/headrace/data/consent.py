"""Who may not be learned from: users whose last row before a cut says consent_train = false. And who may not be personalised for:
consent_personalise = false.

Consent is a history like all of a user's row: the last row valid before the cut holds. A user whose first row is later than the
cut is held to that row, and one without a row consents by default.
"""

from bisect import bisect_left
from pathlib import Path

import polars as pl


def refusing_users(tables: Path, cut_us: int) -> pl.DataFrame:
    """One column, user_id."""
    path = tables / "users.parquet"
    if not path.is_file() or "consent_train" not in pl.read_parquet_schema(path):
        return pl.DataFrame(schema={"user_id": pl.String})
    rows = pl.scan_parquet(path).select("user_id", "consent_train", since=pl.col("valid_from").dt.timestamp("us").fill_null(0))
    before = pl.col("since") < cut_us
    held = rows.sort("since", maintain_order=True).group_by("user_id").agg(
        pl.coalesce(pl.col("consent_train").filter(before).last(), pl.col("consent_train").first()).alias("consent")
    )  # fmt: skip
    return held.filter(~pl.col("consent")).select("user_id").collect().sort("user_id")


class Impersonal:
    """Whose answers may not draw on them, and when. Holds the rows of users who ever refused; a look-up is O(log their rows)."""

    def __init__(self, tables: Path):
        path, self._rows = tables / "users.parquet", dict[str, tuple[list[int], list[bool]]]()
        if not path.is_file() or "consent_personalise" not in pl.read_parquet_schema(path):
            return
        since = pl.col("valid_from").dt.timestamp("us").fill_null(0)
        rows = pl.scan_parquet(path).select("user_id", consent=pl.col("consent_personalise").fill_null(True), since=since)
        refused = pl.col("consent").not_().any().over("user_id")
        held = rows.filter(refused).sort("since", maintain_order=True).group_by("user_id").agg("since", "consent").collect()
        self._rows = {user: (since, consent) for user, since, consent in held.select("user_id", "since", "consent").iter_rows()}

    def holds(self, user_id: str, at_us: int) -> bool:
        """Whether the last row before the moment refuses; before a user's first row, that one."""
        if user_id not in self._rows:
            return False
        since, consent = self._rows[user_id]
        return not consent[max(bisect_left(since, at_us) - 1, 0)]

    def users(self, at_us: int) -> list[str]:
        """All of whom it holds at a moment."""
        return [user for user in self._rows if self.holds(user, at_us)]
