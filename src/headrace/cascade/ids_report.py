"""The report on a plan's semantic ids: what they are like, what the codes say, how far they have moved since another fit."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.artifacts.atomic import place
from headrace.build.components import load_component
from headrace.cascade.item_vectors import load_item_vectors, texts_at
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import trusted
from headrace.cascade.semantic_ids import load_semantic_ids
from headrace.encode.semantic_ids import QUANTISERS
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.measures import Drift, Measured, drift, measured
from headrace.encode.semantic_ids.words import words_of_codes
from headrace.evaluate.bar_charts import BarPanel, bars_svg


@dataclass(frozen=True)
class IdsReport:
    """words: first code -> its words. moved: against another fit, over `matched` items; empty without one."""

    name: str
    method: str
    measured: Measured
    words: dict[int, list[str]]
    moved: list[Drift]
    matched: int = 0
    against: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "method": self.method, **self.measured.as_dict(),
            "words": {str(code): words for code, words in self.words.items()},
            "drift": {"against": self.against, "items": self.matched, "depths": [asdict(one) for one in self.moved]},
        }  # fmt: skip

    def svg(self) -> str:
        found = self.measured
        used = [(f"level {at}", level.used / level.of) for at, level in enumerate(found.levels, 1)]
        evenly = [(f"level {at}", level.perplexity / level.of) for at, level in enumerate(found.levels, 1)]
        cosine = [(f"depth {depth}", value) for depth, value in enumerate(found.cosine)]
        error = [(f"depth {depth}", value / (found.error[0] or 1.0)) for depth, value in enumerate(found.error)]
        panels = [
            BarPanel("share of codes in use", used, 1),
            BarPanel("perplexity / codes", evenly, 1),
            BarPanel("cosine of two items with as many codes in common", cosine, 1),
            BarPanel("mean square error / that of no code", error, 1),
        ]
        if self.moved:
            panels += [
                BarPanel(f"items moved since {self.against}", [(f"depth {one.depth}", one.moved) for one in self.moved], 1),
                BarPanel("groups alike (adjusted Rand)", [(f"depth {one.depth}", one.rand) for one in self.moved], 1),
            ]
        return bars_svg(f"{self.name}: semantic ids by {self.method}, {found.with_codes:,} of {found.items:,} items", panels)


def ids_report(pipeline: Pipeline, name: str, other: Pipeline | None = None, against: str = "") -> IdsReport:
    """Of the codes that the final retrievers read. other: whose are older."""
    ids, log = codes_of(pipeline), pipeline.log
    vectors = pipeline.need_item_vectors("the report")
    quantiser = load_component(pipeline.quantiser(pipeline.cuts.test_us), QUANTISERS, trusted(pipeline.plan))
    texts, _ = texts_at(log, vectors.manifest.config["cut_us"])
    seen = measured(ids, quantiser, load_item_vectors(vectors), seed=pipeline.plan.seed)
    words, moved, matched = words_of_codes(ids, texts), list[Drift](), 0
    if other is not None:
        rows = other.log.items.encode(log.items.ids)
        both = {row: int(there) for row, there in enumerate(rows.tolist(), 1) if there}
        older = codes_of(other)
        moved = drift(ids, older, both)
        matched = sum(bool(ids.there[mine] and older.there[theirs]) for mine, theirs in both.items())
    return IdsReport(name, pipeline.plan.ids.method, seen, words, moved, matched, against)


def codes_of(pipeline: Pipeline) -> SemanticIds:
    return load_semantic_ids(pipeline.semantic_ids(pipeline.cuts.test_us))


def write_ids(folder: Path, report: IdsReport) -> list[Path]:
    """ids.json and ids.svg."""
    paths = [folder / "ids.json", folder / "ids.svg"]
    place(paths[0], json.dumps(report.as_dict(), indent=1, allow_nan=False))
    place(paths[1], report.svg())
    return paths
