"""How far two raters agree: people, models, rules. Figures of a confusion matrix, so that resampled matrices cost no more.

    confusion [..., K, K]   how often the first said k (rows) and the second l (columns); for a judge, people stand first
    kappa                   (o - e) / (1 - e),  o = share on the diagonal, e = the same if both drew by their own shares
    weighted kappa          the same with weights 1 - (k - l)^2 / (K - 1)^2: near misses count partly (ordered classes)
    f1 of a class           2 hits / (how often one said it + how often the other did), 0 where neither did

Class 0 is DSAT. Where classes are uneven, accuracy and weighted F1 look good for a judge that says one word; kappa is then 0 and
macro F1 low, so all stand side by side. Kappa is NaN where both always said one and the same class.
Source: Cohen, Educ. Psychol. Meas. 1960; Cohen, Psychol. Bull. 1968 (weighted).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64, Int64
from headrace.llm.judge import Scores

FIGURES = ("kappa", "weighted_kappa", "dsat_precision", "dsat_recall", "macro_f1", "weighted_f1", "accuracy")


def confusion(first: Int64, second: Int64, classes: int = 2) -> Float64:
    """[K, K] of ratings 0..K-1 of the same things."""
    if len(first) != len(second):
        raise DataError(f"agreement: {len(first)} ratings against {len(second)}; both must rate the same things.")
    for name, ratings in (("first", first), ("second", second)):
        if len(ratings) and not 0 <= ratings.min() <= ratings.max() < classes:
            raise DataError(f"agreement: the {name} rater's are {ratings.min()} to {ratings.max()}, expected 0 to {classes - 1}.")
    cells = np.bincount(np.asarray(first) * classes + np.asarray(second), minlength=classes**2)
    return cells.reshape(classes, classes).astype(np.float64)


def figures(counts: Float64) -> Float64:
    """FIGURES, behind the leading axes of counts [..., K, K]: [..., 7]."""
    classes = counts.shape[-1]
    place = np.arange(classes)
    near = 1 - (place[:, None] - place) ** 2 / max(classes - 1, 1) ** 2
    rows, columns = counts.sum(-1), counts.sum(-2)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        said = rows + columns
        f1 = np.where(said > 0, 2 * hits / said, 0.0)
        found = [
            _kappa(counts, np.eye(classes)),
            _kappa(counts, near),
            hits[..., 0] / columns[..., 0],
            hits[..., 0] / rows[..., 0],
            f1.sum(-1) / (said > 0).sum(-1),
            (f1 * rows).sum(-1) / rows.sum(-1),
            hits.sum(-1) / rows.sum(-1),
        ]
    return np.stack(found, axis=-1)


def agreed(first: Int64, second: Int64, classes: int = 2) -> dict[str, float]:
    """The figures by name, without intervals."""
    return dict(zip(FIGURES, figures(confusion(first, second, classes)).tolist(), strict=True))


def learned_threshold(totals: Mapping[str, float], labels: Mapping[str, int]) -> float:
    """The threshold on totals that gives training rows the best weighted F1; of equals the one nearest 0, where the paper's sum
    of two rubrics would have it. labels: 1 (satisfied) or 0, of training rows alone: every total must have one."""
    if lost := [target for target in totals if target not in labels]:
        raise DataError(f'threshold: target "{lost[0]}" has a total and no label. Give the totals of training rows alone.')
    if not totals:
        raise DataError("threshold: there are no totals to learn from.")
    targets = list(totals)
    values = np.array([totals[target] for target in targets])
    truth = np.array([labels[target] for target in targets])
    steps = np.unique(values)
    # halfway between two neighbours, and one beyond each end: rounding then moves no row across
    tried = np.concatenate([[steps[0] - 1.0], (steps[1:] + steps[:-1]) / 2, [steps[-1] + 1.0]])
    tried = np.concatenate([tried, [0.0]])
    matrices = np.stack([confusion(truth, (values >= one).astype(np.int64)) for one in tried])
    reached = figures(matrices)[:, FIGURES.index("weighted_f1")]
    best = tried[reached == reached.max()]
    return float(best[np.abs(best).argmin()])


def between_judges(judges: Sequence[Scores]) -> pl.DataFrame:
    """Each two judges on the items and targets that both scored: first, second, key, n, kappa and share of present, and the
    correlation of scores (null where one of them never varies). Low agreement on an item says that the item is unclear."""
    rows = []
    for one, other in combinations(judges, 2):
        both = one.rows.join(other.rows, on=["target_id", "rubric_id", "key"], suffix="_other", maintain_order="left")
        for (first, second, key), part in both.group_by("judge_id", "judge_id_other", "key", maintain_order=True):
            present, theirs = part["present"].cast(pl.Int64).to_numpy(), part["present_other"].cast(pl.Int64).to_numpy()
            vary = part["score"].n_unique() > 1 and part["score_other"].n_unique() > 1
            rows.append({
                "first": first, "second": second, "key": key, "n": len(part), "kappa": agreed(present, theirs)["kappa"],
                "present": float(present.mean()), "present_other": float(theirs.mean()),
                "correlation": part.select(pl.corr("score", "score_other")).item() if vary else None,
            })  # fmt: skip
    schema = {
        "first": pl.String, "second": pl.String, "key": pl.String, "n": pl.Int64, "kappa": pl.Float64, "present": pl.Float64,
        "present_other": pl.Float64, "correlation": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame(rows, pl.Schema(schema))


def _kappa(counts: Float64, weights: Float64) -> Float64:
    n = counts.sum((-2, -1))
    observed = (counts * weights).sum((-2, -1)) / n
    by_chance = np.einsum("...k,...l,kl->...", counts.sum(-1), counts.sum(-2), weights) / n**2
    kappa: Float64 = (observed - by_chance) / np.where(by_chance < 1, 1 - by_chance, np.nan)
    return kappa
