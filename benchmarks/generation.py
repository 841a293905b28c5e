"""Ten items a user by their codes: beam search in the tree against Hugging Face's T5 with `generate` held to the same tree.

    python -m benchmarks.generation [--rounds 3] [--no-peer]

12,000 items of random codes, 3 levels of 256 symbols and one that tells equal ones apart; histories of 20 items, 80 tokens; 4 + 4
layers, 128 wide, feed-forward 1,024, random weights, 10 beams. Ours as near to T5 as its config comes: relative positions, RMS
norms, ReLU, no biases, 8 heads of 16, since heads share out the width. So T5 is measured twice: with 6 heads of 64, as TIGER has
it, and with 8 of 16, which is the same work in every matrix product but for its logits, which are over all tokens. Its
`prefix_allowed_tokens_fn` looks prefixes up in a table made beforehand. Both sides read the history too.
CPU seconds of one thread, users in batches of 64 and one by one; rounds alternate, a ratio is the median over rounds and above 1
where ours is faster. Every list is checked: ten different items of the catalogue. Latencies: a user at a time, encoder and all,
on the clock; without its waits for a core; in CPU time.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when torch loads

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import record
from headrace.contracts.requests import Int64
from headrace.contracts.rng import rng
from headrace.encode.semantic_ids.ids import SemanticIds, told_apart
from headrace.encode.semantic_ids.trie import Trie
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import EncoderDecoder
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.codes import CodeDecoding
from headrace.nn.seeded import seeded

ITEMS, SYMBOLS, HISTORY, BEAMS, BATCH, BLOCKED = 12_000, 256, 20, 10, 64, 500
ONE_BY_ONE, LATENCIES = 20, 400
Answer = Callable[[Tensor], Int64]
"""Histories' tokens [R, 80] -> codes of the items found, [R, 10, 4]."""


def catalogue() -> SemanticIds:
    codes = rng(0, "codes").integers(0, SYMBOLS, (ITEMS + 1, 3)).astype(np.int32)
    codes[0] = -1
    return told_apart(codes, (SYMBOLS,) * 3, at_least=SYMBOLS)


def ours(ids: SemanticIds, position: Any = "t5") -> tuple[EncoderDecoder, Callable[..., tuple[Tensor, Tensor]]]:
    of = TransformerConfig(
        dim=128, encoder_layers=4, decoder_layers=4, heads=8, hidden=1024, vocabulary=ids.vocabulary, norm="rms",
        activation="relu", bias="none", position=position, cross="standard", init="bert",
    )  # fmt: skip
    with seeded(0, "benchmark"):
        both = EncoderDecoder(of).eval()
    trie = Trie(ids)

    @torch.inference_mode()
    def found(tokens: Tensor, blocked: Tensor | None = None) -> tuple[Tensor, Tensor]:
        there = tokens > 0
        memory = both.encoder(Inputs(ids=tokens, there=there)).last
        decoding = CodeDecoding(both.decoder, ids.starts, ids.sizes, memory, there)
        return beam_search(decoding, trie, BEAMS, blocked=blocked)

    return both, found


def theirs(ids: SemanticIds, heads: int, width: int) -> tuple[Answer, Answer]:
    """Held to the tree, and not."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=ids.vocabulary, d_model=128, d_ff=1024, num_heads=heads, d_kv=width, num_layers=4, num_decoder_layers=4,
        dropout_rate=0.0, pad_token_id=0, decoder_start_token_id=0, eos_token_id=None,
    )  # fmt: skip
    with seeded(0, "benchmark"):
        model = T5ForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id = None
    follow: dict[tuple[int, ...], set[int]] = {}
    for row in ids.tokens[1:].tolist():
        for level, token in enumerate(row):
            follow.setdefault((0, *row[:level]), set()).add(token)
    allowed = {prefix: sorted(tokens) for prefix, tokens in follow.items()}

    @torch.inference_mode()
    def generate(tokens: Tensor, held: bool) -> Int64:
        found = model.generate(
            input_ids=tokens, attention_mask=(tokens > 0).long(), num_beams=BEAMS, num_return_sequences=BEAMS, do_sample=False,
            max_new_tokens=ids.levels,
            prefix_allowed_tokens_fn=(lambda _, sent: allowed[tuple(sent.tolist())]) if held else None,
        )  # fmt: skip
        answer: Int64 = found[:, 1:].view(len(tokens), BEAMS, ids.levels).numpy() - ids.starts
        return answer

    return partial(generate, held=True), partial(generate, held=False)


def cpu_s(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def one_by_one(answer: Callable[[Tensor], Any], tokens: Tensor) -> None:
    for row in range(ONE_BY_ONE):
        answer(tokens[row : row + 1])


def latencies(answer: Callable[[Tensor], Any], tokens: Tensor) -> dict[str, float]:
    queue, all_ms = Path("/proc/thread-self/schedstat"), []
    for number in range(LATENCIES):
        one, waited = tokens[number % len(tokens)][None], int(queue.read_text().split()[1])
        began, before = time.perf_counter(), time.thread_time()
        answer(one)
        own, taken = time.thread_time() - before, time.perf_counter() - began
        all_ms.append((1000 * taken, 1000 * taken - (int(queue.read_text().split()[1]) - waited) / 1e6, 1000 * own))
    found = {}
    for name, values in zip(("", "undisturbed ", "cpu "), np.array(all_ms[10:]).T, strict=True):
        for share in (50, 99):
            found[f"one user, ours, {name}p{share}_ms"] = round(float(np.percentile(values, share)), 1)
    return found


def invalid(codes: Int64, ids: SemanticIds) -> float:
    """The share of lists' places that hold no item, or one that stands in the list already."""
    real = set(map(tuple, ids.codes[1:].tolist()))
    good = sum(len(set(map(tuple, row)) & real) for row in codes.tolist())
    return 1 - good / (len(codes) * BEAMS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    ids = catalogue()
    draw = rng(0, "histories")
    tokens = torch.from_numpy(ids.tokens[draw.integers(1, ITEMS + 1, (BATCH, HISTORY))].reshape(BATCH, -1))
    blocked = torch.from_numpy(draw.integers(1, ITEMS + 1, (BATCH, BLOCKED)))
    both, found = ours(ids)
    with torch.inference_mode():
        encoder_s = cpu_s(lambda: both.encoder(Inputs(ids=tokens, there=tokens > 0)))
    sides: dict[str, Callable[[Tensor], Any]] = {"ours": found, "ours, RoPE": ours(ids, "rope")[1]}
    lists, figures = {"ours": ids.codes[found(tokens)[0].numpy()]}, {"rounds": asked.rounds, "torch": torch.__version__}
    if not asked.no_peer:
        import transformers

        figures["peer"] = f"transformers {transformers.__version__}"
        for heads, width in ((6, 64), (8, 16)):
            held, free = theirs(ids, heads, width)
            sides[f"T5 {heads} x {width}"] = held
            lists |= {f"T5 {heads} x {width}": held(tokens), f"T5 {heads} x {width}, free": free(tokens)}
    figures |= {f"{name}, places without an item": round(invalid(codes, ids), 4) for name, codes in lists.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    blocked_s = []
    for _ in range(asked.rounds):
        for name, answer in sides.items():
            one_by_one(answer, tokens[:1].expand(ONE_BY_ONE, -1)) if not taken[name] else None
            taken[name].append((cpu_s(partial(answer, tokens)), cpu_s(partial(one_by_one, answer, tokens))))
        blocked_s.append(cpu_s(partial(found, tokens, blocked)))
    for at, (batch, users) in enumerate(((BATCH, BATCH), (1, ONE_BY_ONE))):
        for name, rounds in taken.items():
            figures[f"batch of {batch}, {name}, users/cpu_s"] = round(users / statistics.median(one[at] for one in rounds), 1)
            if name.startswith("T5"):
                ratios = [one[at] / mine[at] for one, mine in zip(rounds, taken["ours"], strict=True)]
                figures[f"batch of {batch}, {name} / ours"] = round(statistics.median(ratios), 2)
    figures[f"batch of {BATCH}, ours, {BLOCKED} blocked a user, users/cpu_s"] = round(BATCH / statistics.median(blocked_s), 1)
    figures["encoder of a batch of 64, cpu_s"] = round(encoder_s, 3)
    record("generation", figures | latencies(found, tokens))


if __name__ == "__main__":
    main()
