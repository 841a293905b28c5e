"""Search over made-up catalogues of 10,000 and 100,000 items, and how soon what is said of an item counts in a served run.

    python -m benchmarks.search            # the catalogues alone
    python -m benchmarks.search RUN        # and puts and deletes beside recommendations of a finished build

A made-up item has a title and 20 words drawn by Zipf's law (exponent 1.3) from 30,000, a category of 50 and a price; its vector
of 256 numbers is drawn too, and queries are read by a `tfidf` fitted on 5,000 of the texts. Queries are two words of an item. In
the process, one thread, 500 queries of each kind; percentiles of the clock and of the thread's own CPU time, since others may use
the machine. 1,000 items are put anew first, so that the second index has a share. A delete is timed until it is acknowledged, and
until the answer of a request sent then, over ASGI in the process.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl

from benchmarks.record import record, resident_mb
from headrace.cascade.answers import Names
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import planned
from headrace.contracts.rng import rng
from headrace.contracts.tables import ITEMS
from headrace.encode.tfidf import Tfidf, TfidfConfig
from headrace.serve.catalogue.kept import Catalogue
from headrace.serve.catalogue.messages import Search
from headrace.serve.catalogue.search import search
from headrace.serve.catalogue.searched import Searched
from headrace.serve.catalogue.shelf import Shelf
from headrace.serve.service import Service
from headrace.serve.state.database import Database

QUERIES, WORDS, PUT = 500, 30_000, 1000
SIZES = (10_000, 100_000)
MOVES = 200
TOML = """
[data]
events = "events.parquet"
items = "items.parquet"
"""


def catalogue(folder: Path, items: int) -> Path:
    draw = rng(0, "benchmark of search", items)
    words = np.array([f"word{n}" for n in range(WORDS)], object)[np.minimum(draw.zipf(1.3, (items, 20)), WORDS) - 1]
    pl.DataFrame({
        "item_id": [f"i{n}" for n in range(items)], "title": [f"Thing {n}" for n in range(items)],
        "text": [" ".join(row) for row in words], "categories": [[f"kind {n % 50}"] for n in range(items)],
        "price": draw.uniform(1, 100, items).round(2), "valid_from": 1_600_000_000,
    }).write_parquet(folder / "items.parquet")  # fmt: skip
    pl.DataFrame({
        "user_id": [f"u{n % 500}" for n in range(10_000)], "item_id": [f"i{n}" for n in draw.integers(0, items, 10_000)],
        "at": 1_700_000_000 + 1000 * np.arange(10_000), "kind": "view",
    }).write_parquet(folder / "events.parquet")  # fmt: skip
    (folder / "made_up.toml").write_text(TOML)
    return folder / "made_up.toml"


def with_vectors(pipeline: Pipeline, texts: list[str]) -> Pipeline:
    """What a search reads of a pipeline, as if its items had vectors: drawn ones, for fitting some would take minutes."""
    encoder = Tfidf(TfidfConfig())
    encoder.fit(texts[1:5001], np.zeros(len(texts[1:5001]), np.int64), 1)
    drawn = rng(0, "vectors", len(texts)).standard_normal((len(texts), encoder.dim), np.float32)
    vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return cast(Pipeline, SimpleNamespace(
        plan=pipeline.plan, graph=pipeline.graph, tables=pipeline.tables, item_vectors=True, text_encoder=encoder,
        feature_object=SimpleNamespace(item_vectors=vectors),
    ))  # fmt: skip


def percentiles(name: str, taken_s: list[float]) -> dict[str, float]:
    return {f"{name}_p{at}_ms": round(1000 * float(np.percentile(taken_s, at)), 2) for at in (50, 99)}


def timed(work: Callable[[int], object], times: int) -> dict[str, float]:
    clock, own = list[float](), list[float]()
    for number in range(times):
        started, before = time.perf_counter(), time.thread_time()
        work(number)
        own.append(time.thread_time() - before)
        clock.append(time.perf_counter() - started)
    return percentiles("clock", clock) | percentiles("cpu", own)


def searching(items: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pipeline = planned(catalogue(folder, items), folder / "run")
        database = Database(folder, 1.0, sole=True)
        kept, names = Catalogue(database, ITEMS.schema()), Names.of(pipeline.log)
        shelf = Shelf(pipeline, kept, names, pipeline.log.available(2**62))
        read = with_vectors(pipeline, shelf.table.texts())
        service = cast(Service, SimpleNamespace(shelf=shelf, searched=Searched(read, shelf), generation="made up"))
        started = time.perf_counter()
        service.searched.ready()
        found: dict[str, Any] = {"index_made_s": round(time.perf_counter() - started, 1)}
        started = time.perf_counter()
        Searched(read, shelf).ready()
        found["index_opened_s"] = round(time.perf_counter() - started, 2)
        rows = [{"item_id": f"i{n}", "text": f"word7 word{n} fresh"} for n in range(PUT)]
        started = time.perf_counter()
        kept.put(rows, shelf.table.rows([row["item_id"] for row in rows]), 1)
        found |= {"put_1000_s": round(time.perf_counter() - started, 2)}
        draw, texts = rng(0, "queries", items), shelf.table.texts()
        queries = [" ".join(draw.permutation(texts[n].split()[2:])[:2]) for n in draw.integers(1, items, QUERIES)]
        started = time.perf_counter()
        search(service, Search(query="fresh", mode="hybrid"))
        found["first_search_after_1000_puts_s"] = round(time.perf_counter() - started, 2)
        for mode in ("lexical", "vector", "hybrid"):
            found[mode] = timed(lambda n, mode=mode: search(service, Search(query=queries[n], mode=mode)), QUERIES)  # type: ignore[misc]
        narrow: Any = {"categories": {"any": ["kind 7"]}, "price": {"max": 50}}
        found["hybrid, filtered"] = timed(lambda n: search(service, Search(query=queries[n], filters=narrow)), QUERIES)
        found["memory_mb"] = resident_mb("VmRSS")
        database.close()
        return found


def moving(run: Path) -> dict[str, Any]:
    """Deleted and put again in turn, by a client that asks for a page at once and looks whether the item is there."""
    from fastapi.testclient import TestClient

    from headrace.serve.app import create_app

    acknowledged, visible, wrong = list[float](), list[float](), 0
    with TestClient(create_app(run)) as client:
        service: Service = cast(Any, client.app).state.serving.service
        users = service.pipeline.log.users.ids.to_list()
        for number in range(MOVES):
            ask = {"user_id": users[number % len(users)]}
            page = [one["item_id"] for one in client.post("/v1/recommend", json=ask).json()["items"]]
            started = time.perf_counter()
            client.delete(f"/v1/items/{page[0]}")
            acknowledged.append(time.perf_counter() - started)
            again = [one["item_id"] for one in client.post("/v1/recommend", json=ask).json()["items"]]
            visible.append(time.perf_counter() - started)
            wrong += page[0] in again
            row = service.shelf.table.rows([page[0]])[page[0]]
            client.put("/v1/items", json={"item_id": page[0], "title": row["title"]})
    return {
        "items": service.shelf.n_items - 1, "moves": MOVES, **percentiles("acknowledged", acknowledged),
        **percentiles("in_an_answer", visible), "shown_after_a_delete": wrong,
    }  # fmt: skip


if __name__ == "__main__":
    figures: dict[str, Any] = {f"{size:,} items": searching(size) for size in SIZES}
    if len(sys.argv) > 1:
        figures["put and delete"] = moving(Path(sys.argv[1]))
    for name, values in figures.items():
        print(name, *(f"  {key}: {value}" for key, value in values.items()), sep="\n")
    print(record("search", figures))
