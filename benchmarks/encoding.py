"""Texts a second: our encoder in 32 and 8 bits, and sentence-transformers where the Python named on the command line has it.

    python -m benchmarks.encoding [--texts 1000] [--threads 1] [--reference /path/to/its/own/python]

Loading, exporting and two batches to warm up are not counted. Rounds alternate; each figure is the median of its five, on
the clock and by CPU seconds of all threads. The texts are product lines of 3 to 60 words, three in four of them short.
The cosine of 8 bits to 32 is also that of films' titles and overviews (MovieLens latest-small), 300 of each.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.record import record
from headrace.contracts.requests import Float32
from headrace.contracts.rng import rng
from headrace.data import datasets
from headrace.data.datasets.placing import default_home
from headrace.encode.minilm import minilm
from headrace.encode.sentences import SentenceEncoder, SentencesConfig
from headrace.encode.tfidf import Tfidf
from headrace.encode.weights import weights

ROUNDS = 5
LINE = "a cast iron teapot in green with a handle of oak, for six cups; dishwasher safe; red kettle of steel, organic gift box"
WORDS = LINE.split()
REFERENCE = """
import json, sys, time, numpy, torch
from sentence_transformers import SentenceTransformer, __version__, models
torch.set_num_threads(int(sys.argv[2]))
config = {"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
          "intermediate_size": 1536, "vocab_size": 30522, "max_position_embeddings": 512, "architectures": ["BertModel"]}
from pathlib import Path
from tempfile import TemporaryDirectory
with TemporaryDirectory() as folder:
    for name in ("model.safetensors", "tokenizer.json"):
        (Path(folder) / name).symlink_to(Path(sys.argv[1]) / name)
    (Path(folder) / "config.json").write_text(json.dumps(config))
    body = models.Transformer(folder, max_seq_length=256)
    model = SentenceTransformer(modules=[body, models.Pooling(384, "mean"), models.Normalize()], device="cpu")
print(json.dumps(__version__), flush=True)
for line in sys.stdin:
    texts = json.loads(line)
    started, before = time.perf_counter(), time.process_time()
    vectors = model.encode(texts, batch_size=32, show_progress_bar=False)
    print(json.dumps([time.perf_counter() - started, time.process_time() - before, vectors[:64].tolist()]), flush=True)
"""


def product_lines(n: int) -> list[str]:
    draw = rng(0, "texts")
    lengths = np.where(draw.random(n) < 0.75, draw.integers(3, 13, n), draw.integers(13, 61, n))
    return [" ".join(draw.choice(WORDS, length)) for length in lengths]


class Reference:
    """sentence-transformers in an environment of its own, with the same weights."""

    def __init__(self, python: str, threads: int):
        command = [python, "-c", REFERENCE, str(weights(default_home()).path), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._answer()

    def encode(self, texts: list[str]) -> tuple[float, float, np.ndarray[Any, Any]]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(texts) + "\n")
        self.process.stdin.flush()
        taken_s, cpu_s, vectors = self._answer()
        return taken_s, cpu_s, np.array(vectors, np.float32)

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def films(n: int = 300) -> dict[str, list[str]]:
    table = pl.read_parquet(datasets.get("movielens-latest-small") / "items.parquet").filter(pl.col("text").is_not_null())
    return {"titles": table["title"].to_list()[:n], "overviews": table["text"].to_list()[:n]}


def timed(encoder: SentenceEncoder, texts: list[str]) -> tuple[float, float, Float32]:
    started, before = time.perf_counter(), time.process_time()
    vectors = encoder.encode(texts, "item")
    return time.perf_counter() - started, time.process_time() - before, vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reference", type=Path)
    asked = parser.parse_args()
    texts = product_lines(asked.texts)
    started = time.perf_counter()
    ours = {f"minilm {bits}": minilm(SentencesConfig(threads=asked.threads, precision=bits)) for bits in ("fp32", "int8")}
    figures: dict[str, Any] = {"texts": len(texts), "threads": asked.threads}
    figures["opening both, s"] = round(time.perf_counter() - started, 2)
    works: dict[str, Callable[[list[str]], tuple[float, float, Float32]]] = {
        name: partial(timed, encoder) for name, encoder in ours.items()
    }
    reference = Reference(str(asked.reference), asked.threads) if asked.reference else None
    if reference:
        figures["sentence-transformers, version"] = reference.version
        works["sentence-transformers"] = reference.encode
    for work in works.values():
        work(texts[:64])
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    vectors: dict[str, Float32] = {}
    for _ in range(ROUNDS):
        for name, work in works.items():
            clock_s, cpu_s, vectors[name] = work(texts)
            taken[name].append((clock_s, cpu_s))
    medians = {name: np.median(rounds, 0) for name, rounds in taken.items()}
    for name, (clock_s, cpu_s) in medians.items():
        figures[f"{name}, texts/s"] = round(len(texts) / clock_s, 1)
        figures[f"{name}, texts/CPU s"] = round(len(texts) / cpu_s, 1)
    if reference:
        reference.close()
        for name in ours:
            ratio = medians["sentence-transformers"] / medians[name]
            figures[f"{name}, ratio on the clock"], figures[f"{name}, ratio by CPU"] = np.round(ratio, 2).tolist()
            first = vectors["sentence-transformers"]
            figures[f"{name}, least cosine to theirs"] = round(float((vectors[name][: len(first)] * first).sum(1).min()), 6)
    for kind, some in {"lines": texts, **films()}.items():
        cosine = (ours["minilm fp32"].encode(some, "item") * ours["minilm int8"].encode(some, "item")).sum(1)
        figures[f"int8, cosine of {kind}, mean"] = round(float(cosine.mean()), 5)
        figures[f"int8, cosine of {kind}, least"] = round(float(cosine.min()), 5)
    tfidf, started = Tfidf(), time.perf_counter()
    tfidf.fit(texts, np.zeros(len(texts), np.int64), 1)
    figures["tfidf, fit, s"] = round(time.perf_counter() - started, 2)
    started = time.perf_counter()
    tfidf.encode(texts, "item")
    figures["tfidf, texts/s"] = round(len(texts) / (time.perf_counter() - started))
    record("encoding" if asked.threads == 1 else f"encoding-{asked.threads}-threads", figures)


if __name__ == "__main__":
    main()
