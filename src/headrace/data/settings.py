"""[data] of the TOML: which files hold the log, and how they write it."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge, Le

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.kinds import Kind

ONLY_KIND = "interaction"


@config
class Columns:
    """ours = theirs, for each table."""

    events: dict[str, str] = field(default_factory=dict)
    items: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    candidates: dict[str, str] = field(default_factory=dict)


@config
class DataConfig:
    """Paths count from the TOML's folder: a file, a folder of Parquet files, or a pattern.

    requests, candidates: what was asked, and what was shown for it. deterministic_policies: policy ids whose answers nothing was
    drawn for, so that what they showed may be without position and propensity.
    clock "ordinal": the file has no times, its order is the signal; `at` is then the row number in microseconds.
    kind: of every event, where the file has no kind column. timezone: of times without a zone; epoch numbers are UTC.
    max_quarantined: share of a table's rows that may be set aside before the import refuses the file.
    """

    events: str | None = None
    items: str | None = None
    users: str | None = None
    requests: str | None = None
    candidates: str | None = None
    dataset: str | None = None
    timezone: str | None = None
    clock: Literal["time", "ordinal"] = "time"
    kind: str | None = None
    deterministic_policies: tuple[str, ...] = ()
    max_quarantined: Annotated[float, Ge(0), Le(1)] = 0.01
    columns: Columns = field(default_factory=Columns)


TABLES = ("events", "items", "users", "requests", "candidates")


def check_sources(settings: DataConfig) -> None:
    """Either a data set's name or a log's own files."""
    if settings.dataset is None and settings.events is None:
        raise ConfigError('[data] names no log. Set events = "events.csv" (and items, users), or dataset = "movielens-100k".')
    named = [name for name in TABLES if getattr(settings, name) is not None]
    if settings.dataset is not None and named:
        raise ConfigError(f'[data] has both dataset = "{settings.dataset}" and {listed(named)}. Keep one of the two.')
    if settings.candidates is not None and settings.requests is None:
        raise ConfigError(
            '[data] has candidates and no requests, which say who asked and when. Add requests = "requests.parquet".'
        )
    if settings.requests is not None and settings.clock == "ordinal":
        raise ConfigError('[data] requests have times, but the clock is "ordinal". Leave them out, or set [data] clock = "time".')


def kind_of_all(settings: DataConfig, kinds: Mapping[str, Kind]) -> str:
    """The kind of every event of a file that has no kind column."""
    if settings.kind is not None:
        if kinds and settings.kind not in kinds:
            raise ConfigError(
                f'[data] kind = "{settings.kind}" is not declared.{nearest(settings.kind, kinds)} '
                f"Declare it with [kinds.{settings.kind}], or use one of: {listed(kinds)}."
            )
        return settings.kind
    if len(kinds) > 1:
        raise ConfigError(
            f"[data] events: the file has no kind column, and several kinds are declared ({listed(kinds)}). "
            'Say which its events are, [data] kind = "...", or name the column, [data.columns.events] kind = "...".'
        )
    return next(iter(kinds), ONLY_KIND)
