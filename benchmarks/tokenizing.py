"""Tokenizers: megabytes a CPU second of each kind on film reviews, beside the library's own byte-pair encoding.

    python -m benchmarks.tokenizing [--megabytes 10] [--size 8000] [--rounds 3]

The reviews are imdb-reviews' (headrace data get imdb-reviews). Learning and reading take the same texts. The peer is Hugging Face
tokenizers' encode_batch_fast with our merges and our words; it gives the same ids (checked). Medians over rounds. CPU seconds of
all threads, since a busy machine's wall says little; one_text is the wall of a single query, its least, in microseconds.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.record import record
from headrace.data.documents import documents
from headrace.data.tokens import Tokens
from headrace.text.bpe import BPE, _letters
from headrace.text.tokenizer import TokenizerConfig, train_tokenizer

QUERY = ["a film about a thief and a cop in winter"]


def cpu_s(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def least_us(work: Callable[[], Any]) -> float:
    found = []
    for _ in range(200):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found) * 1e6


def library(kind: BPE) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    letters = _letters()
    names = ["".join(letters[byte] for byte in piece) for piece in kind.pieces.all]
    merges = [(names[left], names[right]) for left, right in kind.pairs]
    made = Tokenizer(models.BPE(vocab={name: place for place, name in enumerate(names)}, merges=merges))
    cut = pre_tokenizers.Split(Regex(kind.pattern), behavior="isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return made


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--megabytes", type=float, default=10)
    asked.add_argument("--size", type=int, default=8_000)
    asked.add_argument("--rounds", type=int, default=3)
    of = asked.parse_args()
    texts = documents("imdb-reviews", "train")
    sizes = np.cumsum([len(text.encode()) for text in texts])
    texts = texts[: int(np.searchsorted(sizes, of.megabytes * 1e6)) + 1]
    megabytes = float(sizes[len(texts) - 1]) / 1e6
    figures: dict[str, Any] = {"megabytes": round(megabytes, 2), "documents": len(texts), "size": of.size}
    for name in ("bytes", "bpe", "unigram"):
        started = time.process_time()
        tokenizer = train_tokenizer(texts, TokenizerConfig(kind=name, size=0 if name == "bytes" else of.size))
        figures[f"{name}_train_cpu_s"] = round(time.process_time() - started, 2)
        tokens: Tokens = tokenizer.encode(texts, eos=False)
        figures[f"{name}_tokens_per_byte"] = round(len(tokens.ids) / megabytes / 1e6, 4)
        works: dict[str, Callable[[], Any]] = {
            "encode": partial(tokenizer.encode, texts),
            "decode": partial(tokenizer.decode, tokens),
            "offsets": partial(tokenizer.encode_with_offsets, texts),
        }
        one = {"": partial(tokenizer.encode, QUERY)}
        if name != "bytes":
            works["drawn"] = partial(tokenizer.encode, texts, alpha=0.1, seed=0)
        if name == "bpe":
            peer = library(tokenizer._kind)  # type: ignore[arg-type]
            same = np.concatenate([found.ids for found in peer.encode_batch_fast(texts)]) + tokenizer.reserved
            assert np.array_equal(same, tokens.ids)
            works["of_library"] = partial(peer.encode_batch_fast, texts)
            one["_of_library"] = partial(peer.encode_batch_fast, QUERY)
        for what, work in works.items():
            took = statistics.median(cpu_s(work) for _ in range(of.rounds))
            figures[f"{name}_{what}_mb_per_cpu_s"] = round(megabytes / took, 2)
        figures |= {f"{name}_one_text{whose}_us": round(least_us(work)) for whose, work in one.items()}
    print(record("tokenizing", figures))


if __name__ == "__main__":
    main()
