"""The decoder of the one Transformer at work on codes, as `beam_search` asks for it.

It reads token 0, then the tokens of the codes chosen so far (starts[level] + code); what it says next over the tokens
starts[level] .. starts[level] + sizes[level] is the level's block. Beams are rows of self-attention, whose past is a token a
level and follows the beams that won; across to the encoder, the beams of one row are queries side by side on its one memory,
whose keys and values are made once. Cost a level O(R W · layers · (d² + S d)) for S tokens of memory.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from headrace.nn.body.call import Inputs
from headrace.nn.body.transformer import Transformer


class CodeDecoding:
    """memory [R, S, d]: the encoder's last states, of which `there` [R, S] are no padding. For one search."""

    def __init__(self, decoder: Transformer, starts: Sequence[int], sizes: Sequence[int], memory: Tensor, there: Tensor):
        self.decoder, self.memory, self.there = decoder, memory, there
        self.starts, self.sizes = [int(start) for start in starts], [int(size) for size in sizes]
        self.cache = decoder.cache(rows=len(memory), extent=len(self.sizes))

    def first(self) -> Tensor:
        """[R, sizes[0]]."""
        begin = torch.zeros(len(self.memory), 1, dtype=torch.int64, device=self.memory.device)
        return self._read(begin, 0)

    def next(self, origin: Tensor, codes: Tensor, level: int) -> Tensor:
        """[R, W] -> [R, W, sizes[level]]."""
        rows, width = origin.shape
        before = self.cache.rows // max(rows, 1)
        row = torch.arange(rows, device=origin.device).unsqueeze(1)
        self.cache.reorder((row * before + origin).flatten(), across=False)
        tokens = (codes + self.starts[level - 1]).view(-1, 1)
        return self._read(tokens, level).view(rows, width, -1)

    @torch.inference_mode()
    def _read(self, tokens: Tensor, level: int) -> Tensor:
        read = self.decoder(Inputs(ids=tokens), memory=self.memory, memory_there=self.there, cache=self.cache)
        block = slice(self.starts[level], self.starts[level] + self.sizes[level])
        return log_softmax(read.last[:, -1] @ self.decoder.output_vectors()[block].T, -1)
