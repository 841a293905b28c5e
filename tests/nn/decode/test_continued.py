"""A decoder alone writing codes behind a past: step by step, beams sharing it, as if each were read whole."""

from itertools import product

import pytest
import torch

from headrace.encode.semantic_ids.trie import Trie
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.continued import Continuing
from headrace.nn.seeded import seeded
from tests.nn.decode.tables import drawn_ids, scores_of

IDS = drawn_ids(1, 40, 4, 2)
ROWS, LENGTH = 3, 6


def body_of(**switches) -> Transformer:
    of = TransformerConfig(dim=16, decoder_layers=2, heads=4, vocabulary=IDS.vocabulary, init="xavier", **switches)
    with seeded(0, "init"):
        body = Transformer(of, "decoder").eval()
        with torch.no_grad():  # biases and norms that begin as 0 and 1 would tell nothing
            for weight in body.parameters():
                weight.add_(0.1 * torch.randn(weight.shape))
    return body


def past_of(rows=ROWS):
    return torch.randint(1, IDS.vocabulary, (rows, LENGTH), generator=torch.Generator().manual_seed(0))


def tables_of(body, past):
    """Every prefix read from its beginning, by itself."""
    found = []
    for level in range(IDS.levels):
        sizes, start = IDS.sizes[: level + 1], int(IDS.starts[level])
        table = torch.zeros(ROWS, *sizes)
        for prefix in product(*[range(size) for size in sizes[:-1]]):
            tokens = torch.tensor([int(IDS.starts[at]) + code for at, code in enumerate(prefix)], dtype=torch.int64)
            read = body(Inputs(ids=torch.cat([past, tokens.expand(ROWS, -1)], 1))).last[:, -1]
            table.movedim(0, -2)[prefix] = body.logits(read)[:, start : start + IDS.sizes[level]].log_softmax(-1)
        found.append(table)
    return found


def searched(body, past, beams):
    decoding = Continuing(body, IDS.starts.tolist(), IDS.sizes, past)
    return beam_search(decoding, Trie(IDS), beams)


@pytest.mark.parametrize(
    "switches", [{"tie": False, "norm": "rms", "bias": "none"}, {"position": "t5"}, {"kv_heads": 2}], ids=str
)
def test_an_item_gets_what_its_prefixes_read_alone_give(switches):
    with torch.inference_mode():
        body, past = body_of(**switches), past_of()
        items, log_prob = searched(body, past, 40)
        wanted = scores_of(tables_of(body, past), IDS)
    assert all(sorted(row) == list(range(1, 41)) for row in items.tolist())
    torch.testing.assert_close(log_prob, wanted.gather(1, items), rtol=1e-5, atol=1e-5)


def test_rows_alone_are_as_together():
    with torch.inference_mode():
        body, past = body_of(), past_of()
        together = searched(body, past, 5)
        for row in range(ROWS):
            alone = searched(body, past[row : row + 1], 5)
            assert torch.equal(alone[0][0], together[0][row])
            torch.testing.assert_close(alone[1][0], together[1][row], rtol=1e-5, atol=1e-5)
