"""USS: 3,500 dialogues with how satisfied the user was, turn by turn and overall, on 1 to 5 by three to seven annotators.

turns: the dialogues of MWOZ, SGD, ReDial (1,000 each) and CCPE (500); the fifth corpus, JDDC in Chinese, is left out, and so is
the publisher's column of acts. satisfaction (conversation_id, index): ratings as given, their mean, and the corpus; index is the
rated user turn's, and null for the rating of the whole dialogue. No users and no times are named: each dialogue has its own
user, and `at` is the row's number in microseconds. Most ratings are 3, so agreement by chance is high: read kappa, not shares.
Paper: Sun et al., SIGIR 2021.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from headrace.contracts.errors import DataError
from headrace.contracts.tables import TIME, TURNS
from headrace.data.datasets import fetching
from headrace.data.datasets.about import DataSet
from headrace.data.datasets.fetching import Files
from headrace.data.shape import in_shape

ADDRESS = "https://github.com/sunnweiwei/user-satisfaction-simulation/raw/HEAD/dataset"
CORPORA = ("MWOZ", "SGD", "ReDial", "CCPE")
SATISFACTION: dict[str, pl.DataType | type[pl.DataType]] = {
    "conversation_id": pl.String, "index": pl.Int32, "corpus": pl.String, "ratings": pl.List(pl.Int8), "mean": pl.Float64,
}  # fmt: skip
_FILES = tuple(f"{corpus}.txt" for corpus in CORPORA)
_ROLES = {"USER": "user", "SYSTEM": "assistant"}
_OVERALL = "OVERALL"


def make(folder: Path) -> None:
    how = f"Download {', '.join(_FILES)} from {ADDRESS} elsewhere."
    write(folder, fetching.first_of("uss-satisfaction", "uss-satisfaction", (_own, _official), how))


def write(folder: Path, files: Files) -> None:
    turns: list[dict[str, Any]] = []
    ratings: list[dict[str, Any]] = []
    for corpus in CORPORA:
        for row in _rows(corpus, files[f"{corpus}.txt"].decode()):
            if row["content"] is not None:
                turns.append(row)
            if row["ratings"]:
                ratings.append(row)
    numbered = pl.DataFrame(turns).with_columns(user_id="conversation_id", at=pl.int_range(1, pl.len() + 1).cast(TIME))
    in_shape(numbered, TURNS).write_parquet(folder / "turns.parquet")
    rated = pl.DataFrame(ratings, schema_overrides={"index": pl.Int32, "ratings": pl.List(pl.Int8)})
    rated = rated.with_columns(mean=pl.col("ratings").list.mean())
    typed = (pl.col(name).cast(dtype) for name, dtype in SATISFACTION.items())
    rated.select(*typed).write_parquet(folder / "satisfaction.parquet")


def _rows(corpus: str, text: str) -> Iterator[dict[str, Any]]:
    """Its turns in order, then a row without content for the rating of the whole."""
    dialogue, index = 0, 0
    for place, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip():
            index = 0
            continue
        columns = line.split("\t")
        if len(columns) != 4 or columns[0] not in _ROLES:
            raise DataError(f'{corpus}.txt: line {place} is "{line[:60]}", expected USER or SYSTEM, text, act, ratings by tabs.')
        role, content, _, rated = columns
        dialogue += index == 0
        whole = content == _OVERALL
        yield {
            "conversation_id": f"{corpus}-{dialogue:04d}", "corpus": corpus, "index": None if whole else index,
            "role": _ROLES[role], "content": None if whole else content,
            "ratings": _ratings(rated, f"{corpus}.txt: line {place}"),
        }  # fmt: skip
        index += 1


def _ratings(text: str, where: str) -> list[int]:
    found = text.split(",") if text.strip() else []
    if any(one.strip() not in ("1", "2", "3", "4", "5") for one in found):
        raise DataError(f'{where}: ratings "{text}", expected 1 to 5 by commas.')
    return [int(one) for one in found]


def _own() -> Files:
    return fetching.local("uss-satisfaction", (_FILES,))


def _official() -> Files:
    return {name: fetching.download(f"{ADDRESS}/{name}") for name in _FILES}


ABOUT = DataSet(
    name="uss-satisfaction",
    says="3,500 dialogues of four corpora, each user turn and each whole rated 1 to 5 for satisfaction by three to seven people.",
    source=ADDRESS,
    licence="User Satisfaction Simulation (USS). https://github.com/sunnweiwei/user-satisfaction-simulation\n"
    "The repository states no licence. What was annotated: MultiWOZ under MIT; Schema-Guided Dialogue and CCPE under\n"
    "CC-BY-SA-4.0; ReDial under CC-BY-4.0. For research: do not redistribute. Cite in publications:\n"
    "Weiwei Sun, Shuo Zhang, Krisztian Balog, Zhaochun Ren, Pengjie Ren, Zhumin Chen, Maarten de Rijke. 2021.\n"
    "Simulating User Satisfaction for the Evaluation of Task-oriented Dialogue Systems. SIGIR 2021.\n",
    clock="ordinal",
    rows={"turns": 81_168, "satisfaction": 45_052},
    make=make,
)
