"""How far judges agree with people on real dialogues (uss-satisfaction): rules, one that always says satisfied, a person.

    python -m benchmarks.judges [--train 0.05] [--splits 5]

A dialogue is DSAT where the annotators' mean overall rating is below 3. The threshold on the rules' totals is learned on a share
of each corpus's dialogues, and their figures are of the others. "one annotator" is a person drawn from each dialogue against the
mean of its others: about what a judge as good as one person would get. The first split's figures have intervals (dialogues drawn
2,000 times); the ranges over all splits say how much hangs on which rows set the threshold.
"""

import argparse
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from benchmarks.record import record
from headrace.contracts.rng import rng
from headrace.data import datasets
from headrace.evaluate.agreement import Agreement, agreement, table
from headrace.llm.agreement import FIGURES, learned_threshold
from headrace.llm.satisfaction import DISSATISFIED, RULES, SATISFIED
from headrace.llm.transcript import conversations

SHOWN = ("kappa", "dsat_precision", "dsat_recall", "macro_f1", "weighted_f1")
_DSAT_BELOW = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--train", type=float, default=0.05)
    parser.add_argument("--splits", type=int, default=5)
    asked = parser.parse_args()
    folder = datasets.get("uss-satisfaction")
    talks = conversations(pl.read_parquet(folder / "turns.parquet"))
    whole = pl.read_parquet(folder / "satisfaction.parquet").filter(pl.col("index").is_null())
    started = time.process_time()
    totals = dict(RULES.score(talks, [SATISFIED, DISSATISFIED]).totals().rows())
    figures: dict[str, Any] = {"judge": RULES.id, "dialogues": len(talks), "cpu_s": round(time.process_time() - started, 2)}
    rows: dict[str, Agreement] = {}
    for (corpus,), part in whole.group_by("corpus", maintain_order=True):
        ratings = dict(part.select("conversation_id", "ratings").rows())
        labels = {name: label(rated) for name, rated in ratings.items()}
        splits = [_by_rules(totals, labels, asked.train, split) for split in range(asked.splits)]
        rows[f"{corpus} rules"] = splits[0]
        rows[f"{corpus} always satisfied"] = agreement("constant", dict.fromkeys(labels, 1), labels)
        rows[f"{corpus} one annotator"] = one_annotator(ratings)
        for name in SHOWN:
            found = [one.figures[name].value for one in splits]
            figures[f"{corpus}_{name}_over_{len(splits)}_splits"] = [round(min(found), 3), round(max(found), 3)]
    print(table(rows, SHOWN))
    figures |= {label: {"n": one.n, **{name: rounded(one, name) for name in FIGURES}} for label, one in rows.items()}
    record("judges", figures)


def _by_rules(totals: Mapping[str, float], labels: Mapping[str, int], train: float, split: int) -> Agreement:
    names = sorted(labels)
    fitted = {names[place] for place in rng(split, "train").permutation(len(names))[: round(train * len(names))]}
    threshold = learned_threshold({name: totals[name] for name in fitted}, labels)
    held = {name: label for name, label in labels.items() if name not in fitted}
    return agreement(RULES.id, {name: int(totals[name] >= threshold) for name in held}, held)


def one_annotator(ratings: Mapping[str, list[int]]) -> Agreement:
    stream = rng(0, "annotator")
    drawn = {name: int(stream.integers(len(rated))) for name, rated in ratings.items()}
    others = {name: label(rated[: drawn[name]] + rated[drawn[name] + 1 :]) for name, rated in ratings.items()}
    return agreement("one annotator", {name: label([ratings[name][place]]) for name, place in drawn.items()}, others)


def label(ratings: list[int]) -> int:
    return int(np.mean(ratings) >= _DSAT_BELOW)


def rounded(one: Agreement, name: str) -> list[float | None]:
    figure = one.figures[name]
    return [None if value != value else round(value, 3) for value in (figure.value, figure.lo, figure.hi)]


if __name__ == "__main__":
    main()
