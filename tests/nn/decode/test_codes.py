"""The one Transformer's decoder writing codes: step by step, beams of a row on one memory, as if each prefix were read alone."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from headrace.encode.semantic_ids.trie import Trie
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.codes import BodySteps, CodeDecoding
from headrace.nn.decode.plain import is_plain
from headrace.testing.transformer import made
from tests.nn.decode.tables import drawn_ids, scores_of

IDS = drawn_ids(1, 40, 4, 2)
ROWS, LENGTH = 3, 6
PLAIN: list[dict[str, Any]] = [
    {},
    {"position": "t5", "norm": "rms", "bias": "none", "activation": "swiglu"},
    {"position": "none", "bias": "feed_forward", "tie": False},
]
OTHERS: list[dict[str, Any]] = [
    {"kv_heads": 2},
    {"position": "t5", "norm": "rms", "norm_place": "sub", "bias": "none", "activation": "swiglu"},
    {"position": "learned", "cross": "interleaved", "norm_place": "post", "kv_heads": 2, "tie": False},
]


def memory_of(of: TransformerConfig) -> tuple[Any, Tensor, Tensor]:
    """Every parameter is moved, since biases and norms that begin as 0 and 1 would tell nothing."""
    both, draw = made(of), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in both.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=draw)
    source = torch.randint(1, IDS.vocabulary, (ROWS, LENGTH), generator=draw)
    there = torch.arange(LENGTH) < torch.tensor([[6], [4], [1]])
    return both, both.encoder(Inputs(ids=source, there=there)).last, there


def config(**switches: Any) -> TransformerConfig:
    given = {"cross": "standard", "init": "bert"} | switches
    return TransformerConfig(dim=16, encoder_layers=1, decoder_layers=2, heads=4, vocabulary=IDS.vocabulary, **given)


def tables_of(both: Any, memory: Tensor, there: Tensor) -> list[Tensor]:
    """Every prefix read from its beginning, by itself."""
    found = []
    for level in range(IDS.levels):
        sizes = IDS.sizes[: level + 1]
        table = torch.zeros(ROWS, *sizes)
        for prefix in product(*[range(size) for size in sizes[:-1]]):
            tokens = torch.tensor([0, *(int(IDS.starts[at]) + code for at, code in enumerate(prefix))])
            read = both.decoder(Inputs(ids=tokens.expand(ROWS, -1)), memory=memory, memory_there=there).last[:, -1]
            start = int(IDS.starts[level])
            block = both.decoder.logits(read)[:, start : start + IDS.sizes[level]]
            table.movedim(0, -2)[prefix] = block.log_softmax(-1)
        found.append(table)
    return found


@pytest.mark.parametrize("switches", PLAIN + OTHERS, ids=str)
def test_an_item_gets_what_its_prefixes_read_alone_give(switches: dict[str, Any]) -> None:
    with torch.inference_mode():
        both, memory, there = memory_of(config(**switches))
        assert is_plain(both.decoder) == (switches in PLAIN)
        items, log_prob = beam_search(CodeDecoding(both.decoder, IDS.starts, IDS.sizes, memory, there), Trie(IDS), 40)
        wanted = scores_of(tables_of(both, memory, there), IDS)
    assert all(sorted(row) == list(range(1, 41)) for row in items.tolist())
    torch.testing.assert_close(log_prob, wanted.gather(1, items), rtol=1e-5, atol=1e-5)


def test_rows_alone_are_as_together() -> None:
    with torch.inference_mode():
        both, memory, there = memory_of(config())
        trie = Trie(IDS)
        together = beam_search(CodeDecoding(both.decoder, IDS.starts, IDS.sizes, memory, there), trie, 5)
        for row in range(ROWS):
            one = slice(row, row + 1)
            decoding = CodeDecoding(both.decoder, IDS.starts, IDS.sizes, memory[one], there[one])
            items, log_prob = beam_search(decoding, trie, 5)
            assert torch.equal(items[0], together[0][row])
            torch.testing.assert_close(log_prob[0], together[1][row])


def test_the_memorys_keys_are_made_once_and_not_copied_for_beams() -> None:
    both, memory, there = memory_of(config(kv_heads=2))
    decoding = CodeDecoding(both.decoder, IDS.starts, IDS.sizes, memory, there)
    steps = decoding.steps
    assert isinstance(steps, BodySteps)

    def kept() -> list[tuple[int, int]]:
        return [(len(part), part.data_ptr()) for slot in steps.cache.slots for part in slot.across or ()]

    decoding.first()
    before = kept()
    decoding.next(torch.zeros(ROWS, 4).long(), torch.arange(4).expand(ROWS, -1), 1)
    assert len(before) == 4
    assert kept() == before
    assert steps.cache.rows == 4 * ROWS


def test_a_decoder_in_training_goes_through_its_modules() -> None:
    both, _, _ = memory_of(config())
    assert is_plain(both.decoder)
    assert not is_plain(both.decoder.train())
