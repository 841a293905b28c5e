"""Who may not be learned from: users whose last row before a cut says consent_train = false.

Consent is a history like all of a user's row: the last row valid before the cut holds. A user whose first row is later than the
cut is held to that row, and one without a row consents by default.
"""

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
