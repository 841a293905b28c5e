import numpy as np
import torch

from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.trie import Trie
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.unbound import Unbound

SIZES = (3, 2, 2)


class Said:
    """A decoder that says the same whatever was written before: the sum of a code's own log-probabilities."""

    def __init__(self, rows=2):
        draw = torch.Generator().manual_seed(0)
        self.levels = [torch.randn(rows, size, generator=draw).log_softmax(-1) for size in SIZES]

    def first(self):
        return self.levels[0]

    def next(self, origin, codes, level):
        return self.levels[level].unsqueeze(1).expand(-1, codes.shape[1], -1)


def test_every_sequence_of_codes_is_written_once_best_first():
    said, free = Said(), Unbound(SIZES)
    written, scores = beam_search(said, free, len(free))
    every = torch.cartesian_prod(*(torch.arange(size) for size in SIZES))
    numbers = free.number(every)
    assert sorted(numbers.tolist()) == list(range(1, len(free) + 1))
    for row in range(2):
        assert sorted(written[row].tolist()) == sorted(numbers.tolist())
        wanted = torch.stack([level[row, every[:, place]] for place, level in enumerate(said.levels)]).sum(0)
        right = dict(zip(numbers.tolist(), wanted.tolist(), strict=True))
        assert np.allclose([right[number] for number in written[row].tolist()], scores[row].tolist(), atol=1e-6)
        assert (scores[row].diff() <= 0).all()


def test_a_tree_of_every_sequence_gives_the_same_scores():
    every = np.array(np.meshgrid(*(np.arange(size) for size in SIZES), indexing="ij")).reshape(3, -1).T.astype(np.int32)
    codes = np.concatenate([np.full((1, 3), -1, np.int32), every])
    _, free = beam_search(Said(), Unbound(SIZES), 5)
    _, bound = beam_search(Said(), Trie(SemanticIds(codes, SIZES)), 5)
    torch.testing.assert_close(free, bound)
