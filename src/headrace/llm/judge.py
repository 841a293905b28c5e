"""Judges: whatever scores conversations by a rubric or says which of two answers meets it better. Models and rules alike.

    scores = judge.score(conversations, [satisfied, dissatisfied])     a row a conversation and item
    scores.totals()                 total = sum over items of sign(polarity) weight score
    judge.compare(requests, a, b, criteria)     asked in both orders; where they disagree it is a tie

Each item is present or not; a score is 0 exactly where it is not. A conversation whose answer could not be used has no rows: it
stands in `unparsed`, and what share that is belongs beside every figure. Scores of another judge, or of another version of a
rubric, are other scores: each row names both. A judge may decide nothing before people's labels bore it out
(`evaluate.agreement`, the gate "judge_bar").
Paper: Lin et al., SPUR, ACL 2024, phase 3. How it finds the threshold on the total is not known to us; here training rows set it
(`agreement.learned_threshold`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import polars as pl

from headrace.contracts.errors import DataError
from headrace.llm.asking import Tally
from headrace.llm.rubric import SIGN, Rubric
from headrace.llm.transcript import Conversation

SCORES = pl.Schema(
    {
        "target_id": pl.String, "rubric_id": pl.String, "version": pl.Int32, "polarity": pl.String, "key": pl.String,
        "weight": pl.Float64, "present": pl.Boolean, "score": pl.Float64, "evidence": pl.String, "judge_id": pl.String,
    }
)  # fmt: skip
VERDICTS = pl.Schema(
    {
        "place": pl.Int32, "verdict": pl.String, "as_given": pl.String, "swapped": pl.String, "rubric_id": pl.String,
        "version": pl.Int32, "judge_id": pl.String,
    }
)  # fmt: skip
Verdict = Literal["a", "b", "tie"]


@dataclass(frozen=True)
class ItemScore:
    """score: 0 where the item is not present. evidence: one line, with the turn's number where there is one."""

    score: float
    evidence: str = ""


@dataclass(frozen=True)
class Scores:
    """rows: by SCORES, checked. unparsed: targets without rows, in order."""

    rows: pl.DataFrame
    unparsed: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        wrong = self.rows.filter(pl.col("present") != (pl.col("score") > 0))
        if len(wrong):
            row = wrong.row(0, named=True)
            raise DataError(
                f'scores: target "{row["target_id"]}", item "{row["key"]}": score {row["score"]:g} with present '
                f"{row['present']}; a score is 0 exactly where the item is not present."
            )

    @classmethod
    def of(
        cls, targets: Sequence[Conversation], found: Sequence[Sequence[Sequence[ItemScore]] | None],
        rubrics: Sequence[Rubric], judge_id: str, tally: Tally,
    ) -> "Scores":  # fmt: skip
        """found[target][rubric][item], None where the answer could not be used."""
        rows = [
            (target.id, rubric.id, rubric.version, rubric.polarity, item.key, item.weight, one.score > 0, float(one.score),
             one.evidence, judge_id)
            for target, scores in zip(targets, found, strict=True)
            for rubric, of_rubric in zip(rubrics, scores or (), strict=scores is not None)
            for item, one in zip(rubric.items, of_rubric, strict=True)
        ]  # fmt: skip
        lost = tuple(target.id for target, scores in zip(targets, found, strict=True) if scores is None)
        return cls(pl.DataFrame(rows, SCORES, orient="row"), lost, tally)

    def totals(self) -> pl.DataFrame:
        """target_id, total: more is more satisfied. Unparsed targets are not among them."""
        if "CONTRAST" in self.rows["polarity"]:
            raise DataError("scores: a CONTRAST has no total, for what one group wants the other may not. Read its rows by item.")
        sign = pl.col("polarity").replace_strict(SIGN, return_dtype=pl.Float64)
        signed = sign * pl.col("weight") * pl.col("score")
        return self.rows.group_by("target_id", maintain_order=True).agg(total=signed.sum())

    def labels(self, threshold: float = 0.0) -> dict[str, int]:
        """target id -> 1 (satisfied) where its total reaches the threshold, else 0."""
        return {target: int(total >= threshold) for target, total in self.totals().rows()}


@dataclass(frozen=True)
class Verdicts:
    """rows: by VERDICTS, one a pair that both orders gave an answer for. as_given, swapped: what each order said, in terms of a
    and b. unparsed: places of the others."""

    rows: pl.DataFrame
    unparsed: tuple[int, ...]
    tally: Tally

    @classmethod
    def of(
        cls, as_given: Sequence[Verdict | None], swapped: Sequence[Verdict | None], rubric: Rubric, judge_id: str, tally: Tally
    ) -> "Verdicts":
        rows, lost = [], []
        for place, (one, other) in enumerate(zip(as_given, swapped, strict=True)):
            if one is None or other is None:
                lost.append(place)
            else:
                verdict = one if one == other else "tie"
                rows.append((place, verdict, one, other, rubric.id, rubric.version, judge_id))
        return cls(pl.DataFrame(rows, VERDICTS, orient="row"), tuple(lost), tally)

    @property
    def order_share(self) -> float:
        """Share of pairs in which another order gave another answer: how much of the verdict is the order's."""
        return float((self.rows["as_given"] != self.rows["swapped"]).mean()) if len(self.rows) else 0.0  # type: ignore[arg-type]

    def counts(self) -> tuple[int, int, int]:
        """How often a won, neither did, b won: what `WinRate` takes."""
        found = self.rows["verdict"]
        return int((found == "a").sum()), int((found == "tie").sum()), int((found == "b").sum())


@runtime_checkable
class Judge(Protocol):
    """id: changes when scores would (model, prompts, rules)."""

    @property
    def id(self) -> str: ...
    def score(self, targets: Sequence[Conversation], rubrics: Sequence[Rubric]) -> Scores: ...
    def compare(self, requests: Sequence[str], a: Sequence[str], b: Sequence[str], rubric: Rubric) -> Verdicts: ...


def refuse_unfit(targets: Sequence[Conversation], rubrics: Sequence[Rubric]) -> None:
    """DataError for what no judge could give rows with one key: a target or an item that stands there twice, or no rubric."""
    ids = [one.id for one in targets]
    if len(set(ids)) < len(ids):
        raise DataError(f'judge: target "{next(one for one in ids if ids.count(one) > 1)}" is given twice.')
    keys = [key for rubric in rubrics for key in rubric.keys]
    if len(set(keys)) < len(keys):
        raise DataError(
            f'judge: item "{next(key for key in keys if keys.count(key) > 1)}" stands in two of the rubrics. Rename one of them.'
        )
    if not rubrics:
        raise DataError("judge: no rubric was given, so there is nothing to look for.")


def refuse_uneven(requests: Sequence[str], a: Sequence[str], b: Sequence[str]) -> None:
    if not len(requests) == len(a) == len(b):
        raise DataError(f"judge: {len(requests)} requests with {len(a)} and {len(b)} answers; each request needs one of both.")
