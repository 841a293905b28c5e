"""A plan's own sections: what each stage is asked for, beside the settings of its components."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.evaluate.ranking import parse_metric

LearnFrom = Literal["proposals", "impressions"]


def named(task: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The tasks of a stage, the main one first."""
    return (task,) if isinstance(task, str) else task or ()


@config
class Retrieve:
    """use: the retrievers whose proposals are joined. k: how many each proposes.

    fallback: who answers where they leave a page short.
    """

    use: tuple[str, ...] = ("popularity", "itemknn", "sasrec")
    k: Annotated[int, Gt(0)] = 100
    fallback: str = "popularity"


@config
class Prerank:
    """use: the pre-ranker; without one all that is retrieved is ranked. keep: the best so many go on. The rest as in Rank.

    pseudo: who labels the candidates of its impressions' requests that were not shown, for it to learn from them too.
    """

    use: str | None = None
    keep: Annotated[int, Gt(0)] = 100
    most_requests: Annotated[int, Gt(0)] = 20_000
    learn_from: LearnFrom = "proposals"
    task: str | None = None
    pseudo: str | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        return named(self.task)


@config
class Rank:
    """keep: the page is chosen from the best so many. most_requests: steps to learn from, a seeded sample of more.

    learn_from: which of what the retrievers propose was the next step's, or what became of items that were shown. task: the
    [tasks.NAME] that says what is to become of them, or several, the main one first. calibrate: how a pointwise ranker's scores
    (of the main task) are made probabilities that hold, on the part of its window that stops its training; calibrate_by: a
    feature of users with a shift a value. pseudo: as in Prerank.
    """

    use: str = "dcnv2"
    keep: Annotated[int, Gt(0)] = 50
    most_requests: Annotated[int, Gt(0)] = 20_000
    learn_from: LearnFrom = "proposals"
    task: str | tuple[str, ...] | None = None
    calibrate: Literal["platt", "isotonic", "beta"] | None = None
    calibrate_by: str | None = None
    pseudo: str | None = None

    def __post_init__(self) -> None:
        if self.calibrate_by is not None and self.calibrate is None:
            raise ConfigError(f'calibrate_by = "{self.calibrate_by}" shifts what calibrate makes. Set calibrate = "platt".')

    @property
    def tasks(self) -> tuple[str, ...]:
        return named(self.task)


@config
class Page:
    use: str = "explore"
    seen_items: bool = False
    """True: an item the user had before may be recommended again (groceries, music)."""
    preference: Annotated[float, Ge(0)] = 1.0
    """How far a preference in words moves the scores, in their standard deviations; it needs [features] item_vectors."""


@config
class Evaluate:
    metrics: tuple[str, ...] = ("recall@10", "ndcg@10")
    baseline: str = "popularity"
    most_requests: Annotated[int, Gt(0)] = 20_000
    resamples: Annotated[int, Ge(100)] = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        for metric in self.metrics:
            parse_metric(metric)
