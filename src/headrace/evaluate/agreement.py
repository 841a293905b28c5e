"""Judges against people, with intervals: how far a judge's labels agree with those that people gave the same conversations.

    value      figures (kappa, DSAT precision, F1, ...) of the confusion matrix over all rows
    interval   conversations are drawn with replacement, with all their rows, and the figures are made anew; 2.5% and 97.5%

A conversation that the judge gave no usable answer for is not guessed: it is left out, counted, and the share stands beside the
figures. People don't agree fully either: `people` gives the same figures for two annotators of each conversation. Where theirs
are low, the labels are noisy, and no judge can be told from a good one by a single annotator's.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Int64
from headrace.contracts.rng import rng
from headrace.evaluate.bootstrap import Means, held, resampled_sums
from headrace.llm.agreement import FIGURES, confusion, figures


@dataclass(frozen=True)
class Figure:
    value: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Agreement:
    """judge_id, rubrics: whose labels, by which versions. n: conversations. unparsed: share of those asked that it gave no usable
    answer for. figures: by name, see FIGURES."""

    judge_id: str
    rubrics: tuple[str, ...]
    n: int
    unparsed: float
    figures: Mapping[str, Figure]

    def says(self, name: str) -> str:
        one = self.figures[name]
        return f"{name} {one.value:.3f} [{one.lo:.3f}, {one.hi:.3f}]"


def agreement(
    judge_id: str, judged: Mapping[str, int], people: Mapping[str, int], *, rubrics: Sequence[str] = (),
    conversations: Mapping[str, str] | None = None, classes: int = 2, resamples: int = 2000, seed: int = 0,
) -> Agreement:  # fmt: skip
    """judged, people: row -> class, 0 is DSAT; a row that people labelled and the judge did not counts as unparsed.

    conversations: row -> conversation, where one has several rows. Rows that the judge was fitted on do not belong here.
    """
    rows = [row for row in people if row in judged]
    if not rows:
        raise DataError(f'agreement: judge "{judge_id}" and people rated no row in common.')
    truth, said = (np.array([labels[row] for row in rows], np.int64) for labels in (people, judged))
    of = rows if conversations is None else [conversations[row] for row in rows]
    found = _intervals(truth, said, of, classes, resamples, seed)
    named = {name: Figure(*map(float, column)) for name, *column in zip(FIGURES, found.value, found.lo, found.hi, strict=True)}
    return Agreement(judge_id, tuple(rubrics), found.n, 1 - len(rows) / len(people), named)


def people(ratings: Mapping[str, Sequence[int]], *, classes: int = 2, resamples: int = 2000, seed: int = 0) -> Agreement:
    """Two annotators of each conversation, drawn by the seed, the second as the judge of the first.

    ratings: conversation -> classes as rated; one with a single rating is left out and counted.
    """
    stream = rng(seed, "annotators")
    first, second = {}, {}
    for conversation, rated in ratings.items():
        if len(rated) > 1:
            one, other = stream.choice(len(rated), size=2, replace=False)
            first[conversation], second[conversation] = rated[one], rated[other]
    made = agreement("people", second, first, classes=classes, resamples=resamples, seed=seed)
    return Agreement(made.judge_id, (), made.n, 1 - len(first) / len(ratings), made.figures)


def table(rows: Mapping[str, Agreement], names: Sequence[str] = FIGURES) -> str:
    """As it is printed: a line a judge."""
    return "\n".join(_lines(rows, names))


def _lines(rows: Mapping[str, Agreement], names: Sequence[str]) -> Iterator[str]:
    width = max(map(len, rows), default=0)
    yield f"{'judge':{width}}  {'n':>5}  " + "  ".join(f"{name:<21}" for name in names) + "  unparsed"
    for label, one in rows.items():
        cells = (f"{f.value:.3f} [{f.lo:.3f}, {f.hi:.3f}]" for f in (one.figures[name] for name in names))
        yield f"{label:{width}}  {one.n:>5}  " + "  ".join(f"{cell:<21}" for cell in cells) + f"  {one.unparsed:.3f}"


def _intervals(truth: Int64, said: Int64, of: Sequence[str], classes: int, resamples: int, seed: int) -> Means:
    """Confusion matrices add up, so a resample is a weighted sum of the conversations' own."""
    whole = confusion(truth, said, classes)
    _, group = np.unique(np.array(of), return_inverse=True)
    users = int(group.max()) + 1
    cells = np.zeros((users, classes**2))
    np.add.at(cells, (group, truth * classes + said), 1.0)
    resampled = figures(resampled_sums(cells, resamples=resamples, seed=seed).reshape(-1, classes, classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a judge that never says DSAT has no precision in any resample
        return held(figures(whole), resampled, users)
