"""Texts a second, one thread: our encoder, and sentence-transformers where the Python named on the command line has it.

    python -m benchmarks.encoding [--texts 1000] [--reference /path/to/its/own/python]

Loading, exporting and two batches to warm up are not counted. Rounds of the two alternate; each figure is the median of its five.
The texts are product lines of 3 to 60 words, three in four of them short.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record
from headrace.contracts.rng import rng
from headrace.data.datasets.placing import default_home
from headrace.encode.minilm import minilm
from headrace.encode.sentences import SentencesConfig
from headrace.encode.tfidf import Tfidf
from headrace.encode.weights import weights

ROUNDS = 5
LINE = "a cast iron teapot in green with a handle of oak, for six cups; dishwasher safe; red kettle of steel, organic gift box"
WORDS = LINE.split()
REFERENCE = """
import json, sys, time, numpy, torch
from sentence_transformers import SentenceTransformer, __version__, models
torch.set_num_threads(1)
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
    started = time.perf_counter()
    vectors = model.encode(texts, batch_size=32, show_progress_bar=False)
    print(json.dumps([time.perf_counter() - started, vectors[:64].tolist()]), flush=True)
"""


def product_lines(n: int) -> list[str]:
    draw = rng(0, "texts")
    lengths = np.where(draw.random(n) < 0.75, draw.integers(3, 13, n), draw.integers(13, 61, n))
    return [" ".join(draw.choice(WORDS, length)) for length in lengths]


class Reference:
    """sentence-transformers in an environment of its own, with the same weights."""

    def __init__(self, python: str):
        command = [python, "-c", REFERENCE, str(weights(default_home()).path)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._answer()

    def encode(self, texts: list[str]) -> tuple[float, np.ndarray[Any, Any]]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(texts) + "\n")
        self.process.stdin.flush()
        taken_s, vectors = self._answer()
        return taken_s, np.array(vectors, np.float32)

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--reference", type=Path)
    asked = parser.parse_args()
    texts = product_lines(asked.texts)
    started = time.perf_counter()
    encoder = minilm(SentencesConfig(threads=1))
    figures: dict[str, Any] = {"texts": len(texts), "opening, s": round(time.perf_counter() - started, 2)}
    encoder.encode(texts[:64], "item")
    reference = Reference(str(asked.reference)) if asked.reference else None
    if reference:
        figures["sentence-transformers, version"] = reference.version
        reference.encode(texts[:64])
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        vectors = encoder.encode(texts, "item")
        ours.append(len(texts) / (time.perf_counter() - started))
        if reference:
            taken_s, first = reference.encode(texts)
            theirs.append(len(texts) / taken_s)
            figures["least cosine of the two"] = round(float((vectors[: len(first)] * first).sum(1).min()), 6)
    figures["minilm, texts/s"] = round(float(np.median(ours)), 1)
    if reference:
        figures["sentence-transformers, texts/s"] = round(float(np.median(theirs)), 1)
        figures["ratio"] = round(float(np.median(ours) / np.median(theirs)), 2)
        reference.close()
    tfidf, started = Tfidf(), time.perf_counter()
    tfidf.fit(texts, np.zeros(len(texts), np.int64), 1)
    figures["tfidf, fit, s"] = round(time.perf_counter() - started, 2)
    started = time.perf_counter()
    tfidf.encode(texts, "item")
    figures["tfidf, texts/s"] = round(len(texts) / (time.perf_counter() - started))
    record("encoding", figures)


if __name__ == "__main__":
    main()
