"""Pages that were shown, with the chance of each and what came of it, as columns; from the project's own tables.

    rows   = rewarded(tables, task, cut_us)                          # request_id, item_id, user_id, position, propensity, reward
    logged = LoggedSlates.from_rows(rows, users.encode, items.encode, policies=policies_of(tables))
    target = target_log_prob(policy, requests, logged)               # [n, S], requests in the order of logged.request_ids
    judge(logged, target)

A shown item without a propensity is an error that names it. Policies may be mixed: each row is weighed by its own propensity. A
policy whose every propensity is 1 showed its pages without chance; a log that holds one says so in `refusal`, and estimates from
it are refused: leave that policy's requests out.
Slots are positions, counted from 1 (from 0 where some position is 0); a hole has item 0, chance 1 and reward 0.
Cost O(rows log rows), memory O(n S).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headrace.contracts.errors import DataError, listed
from headrace.contracts.requests import Candidates, Float64, Int32, Requests, Slates
from headrace.contracts.seams import Policy
from headrace.data.consent import refusing_users
from headrace.data.event_parts import scan_events
from headrace.data.labels import TaskConfig, labels_of
from headrace.evaluate.offpolicy.propensities import checked_propensities
from headrace.evaluate.offpolicy.terms import checked_rewards

Encode = Callable[[pl.Series], Int32]
_COLUMNS = ("request_id", "item_id", "user_id", "position", "propensity", "reward")


@dataclass(frozen=True)
class LoggedSlates:
    """request_ids, users [n]; items, propensity, reward [n, S]; policies [n]: whose page it was."""

    request_ids: NDArray[np.str_]
    users: Int32
    items: Int32
    propensity: Float64
    reward: Float64
    policies: NDArray[np.str_]

    def __post_init__(self) -> None:
        shape = self.items.shape
        if len(shape) != 2 or self.propensity.shape != shape or self.reward.shape != shape:
            raise DataError(
                f"logged slates: items are {shape}, propensities {self.propensity.shape} and rewards {self.reward.shape}; "
                "expected [n, slots] each."
            )
        checked_propensities(self.propensity)
        checked_rewards(self.reward)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def log_prob(self) -> Float64:
        return np.log(self.propensity)

    @property
    def deterministic(self) -> list[str]:
        """The policies that left nothing to chance."""
        names, row = np.unique(self.policies, return_inverse=True)
        chance = np.bincount(row, (self.propensity < 1).any(1), minlength=len(names))
        return [str(name) for name in names[chance == 0]]

    @property
    def refusal(self) -> str:
        names = self.deterministic
        if not names:
            return ""
        return (
            f"{listed(names)} showed every page without chance (all propensities are 1), so the log says nothing of other pages"
        )

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> "LoggedSlates":
        return LoggedSlates(
            self.request_ids[rows], self.users[rows], self.items[rows], self.propensity[rows], self.reward[rows],
            self.policies[rows],
        )  # fmt: skip

    def slates(self) -> Slates:
        """For a policy's `log_prob`."""
        policy_id = str(self.policies[0]) if len(np.unique(self.policies)) == 1 else "mixed"
        return Slates(self.items, self.log_prob, policy_id, bool(self.refusal))

    @classmethod
    def from_rows(
        cls, rows: pl.DataFrame, users: Encode, items: Encode, policies: Mapping[str, str] | None = None
    ) -> "LoggedSlates":
        """rows: one a shown item, of the columns request_id, item_id, user_id, position (from 1 or 0), propensity, reward.

        policies: request_id -> policy_id; one policy where not given. Requests keep the order they first come in.
        """
        if missing := [name for name in _COLUMNS if name not in rows.columns]:
            raise DataError(f"logged slates: there is no column {listed(missing)}. Columns: {listed(rows.columns)}.")
        if not len(rows):
            raise DataError("logged slates: nothing was shown, so there is nothing to estimate from.")
        _need(rows, "position", "an item without one can't be put in its slot")
        _need(rows, "propensity", "it is never read as 1: log it when the page is drawn, or leave the request out")
        if (twice := rows.select("request_id", "position").is_duplicated()).any():
            row = rows.filter(twice).row(0, named=True)
            raise DataError(f'logged slates: request "{row["request_id"]}" shows two items at position {row["position"]}.')
        requests = rows.unique("request_id", keep="first", maintain_order=True).select("request_id", "user_id")
        places = rows.select("request_id").join(
            requests.with_row_index("row"), on="request_id", how="left", maintain_order="left"
        )
        position = rows["position"].to_numpy().astype(np.int64)
        at = (places["row"].to_numpy(), position - min(1, int(position.min())))
        shape = (len(requests), int(at[1].max()) + 1)
        numbers, chance, reward = np.zeros(shape, np.int32), np.ones(shape), np.zeros(shape)
        numbers[at], chance[at], reward[at] = items(rows["item_id"]), rows["propensity"].to_numpy(), rows["reward"].to_numpy()
        ids = requests["request_id"].to_list()
        whose = [""] * len(ids) if policies is None else [policies[one] for one in ids]
        return cls(np.array(ids, np.str_), users(requests["user_id"]), numbers, chance, reward, np.array(whose, np.str_))


def rewarded(tables: Path, task: TaskConfig, cut_us: int) -> pl.DataFrame:
    """Rows for `from_rows`: reward 1 where the task's outcome came in its window (`data.labels`); open windows are left out."""
    return labels_of(tables, task, cut_us).rows.rename({"label": "reward"})


def rewarded_by_name(tables: Path, event: str, cut_us: int, *, value: bool = False) -> pl.DataFrame:
    """The same where each event names its request: whether one came before the cut, or with value=True the sum of their values.

    No window is waited for: cut where outcomes have come in. Outcomes taken back and users who refuse training are left out.
    """
    requests = pl.scan_parquet(tables / "requests.parquet").select("request_id", "user_id", "at").filter(_before(cut_us))
    requests = requests.join(refusing_users(tables, cut_us).lazy(), on="user_id", how="anti")
    shown = pl.scan_parquet(tables / "candidates.parquet").filter(pl.col("stage") == "shown")
    events = scan_events(tables, ["event_id", "request_id", "item_id", "at", "kind", "value", "undoes"]).filter(_before(cut_us))
    named = events.filter(pl.col("kind") == event, pl.col("request_id").is_not_null())
    taken_back = events.filter(pl.col("undoes").is_not_null()).select(event_id="undoes")
    worth = pl.col("value").sum().alias("reward") if value else pl.lit(1.0).alias("reward")
    outcomes = named.join(taken_back, on="event_id", how="anti").group_by("request_id", "item_id").agg(worth)
    rows = shown.select("request_id", "item_id", "position", "propensity").join(requests, on="request_id")
    rows = rows.join(outcomes, on=["request_id", "item_id"], how="left").with_columns(pl.col("reward").fill_null(0.0))
    return rows.sort("at", "request_id", "position").select(_COLUMNS).collect()


def policies_of(tables: Path) -> dict[str, str]:
    """request_id -> policy_id."""
    rows = pl.read_parquet(tables / "requests.parquet", columns=["request_id", "policy_id"])
    return dict(zip(rows["request_id"], rows["policy_id"], strict=True))


def target_log_prob(policy: Policy, requests: Requests, logged: LoggedSlates, candidates: Candidates | None = None) -> Float64:
    """How likely the target would have shown the logged pages, [n, S]; requests as they stood then, in the log's order."""
    if len(requests) != len(logged) or (requests.ids != logged.request_ids).any():
        raise DataError("off-policy: the requests are not the logged ones in their order; take them by logged.request_ids.")
    return policy.log_prob(requests, logged.slates(), candidates)


def _before(cut_us: int) -> pl.Expr:
    return pl.col("at").dt.timestamp("us") < cut_us


def _need(rows: pl.DataFrame, column: str, why: str) -> None:
    values = rows[column]
    empty = values.is_null() | (values.is_nan() if values.dtype.is_float() else False)
    if empty.any():
        row = rows.filter(empty).row(0, named=True)
        raise DataError(
            f"logged slates: {column}: {int(empty.sum())} of {len(rows)} shown items have none, the first in request "
            f'"{row["request_id"]}", item "{row["item_id"]}"; {why}.'
        )
