"""A decoder alone at work on codes, as `beam_search` asks for it: each row goes on from what it has read, beams share that past.

The past is read once, and its keys are kept once for all beams that go on from it (`nn.body.cache`, a fork). A level reads one
token a beam; keys and values of what was written follow the beams that won. Relation to `codes`: there what is gone on from is an
encoder's memory, here it is the decoder's own past.
Shapes: R rows of T tokens, W beams. Cost: the past O(R T · layers · (d² + T d)), a level O(R W · layers · (d² + T d)).
Rows of one search are of one length: padding would stand between a past and what follows it, and positions would count it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from headrace.nn.body.call import Inputs
from headrace.nn.body.transformer import Transformer


class Continuing:
    """tokens [R, T], without padding. starts, sizes: of each level that is written. For one search."""

    @torch.inference_mode()
    def __init__(self, body: Transformer, starts: Sequence[int], sizes: Sequence[int], tokens: Tensor):
        self.body, self.output, self.width = body, body.output_vectors(), 1
        self.blocks = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        self.cache = body.cache(rows=len(tokens), extent=tokens.shape[1] + len(self.blocks) - 1)
        self.read = self._states(tokens)

    @torch.inference_mode()
    def first(self) -> Tensor:
        """[R, sizes[0]]."""
        return log_softmax(self.read @ self.output[self.blocks[0]].T, -1)

    @torch.inference_mode()
    def next(self, origin: Tensor, codes: Tensor, level: int) -> Tensor:
        """[R, W] -> [R, W, sizes[level]]."""
        if level == 1:
            self.cache = self.cache.fork(origin.numel())
        else:
            row = torch.arange(len(origin), device=origin.device).unsqueeze(1)
            self.cache.reorder((row * self.width + origin).flatten())
        self.width = origin.shape[1]
        states = self._states((codes + self.blocks[level - 1].start).view(-1, 1))
        return log_softmax(states @ self.output[self.blocks[level]].T, -1).view(*origin.shape, -1)

    def _states(self, tokens: Tensor) -> Tensor:
        """[N, d]: of each row's last token."""
        found: Tensor = self.body(Inputs(ids=tokens), cache=self.cache).last
        return found[:, -1]
