"""The decoder of the one Transformer at work on codes, as `beam_search` asks for it.

It reads token 0, then the tokens of the codes chosen so far (starts[level] + code); what it says next over the tokens
starts[level] .. starts[level] + sizes[level] is the level's block. Beams are rows of self-attention, whose past is a token a
level and follows the beams that won; across to the encoder, the beams of one row are queries side by side on its one memory,
whose keys and values are made once. Cost a level O(R W · layers · (d² + S d)) for S tokens of memory.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from headrace.contracts.requests import Int64
from headrace.nn.body.call import Hidden, Inputs
from headrace.nn.body.transformer import Transformer
from headrace.nn.decode.plain import PlainSteps, is_plain


class Steps(Protocol):
    def follow(self, rows: Tensor) -> None:
        """[N]: row i goes on from what was row rows[i]."""
        ...

    def read(self, tokens: Tensor) -> Tensor:
        """[N] -> states [N, d]."""
        ...


class BodySteps:
    """Any decoder's."""

    def __init__(self, decoder: Transformer, memory: Tensor, there: Tensor, extent: int):
        self.decoder, self.memory, self.there = decoder, memory, there
        self.cache = decoder.cache(rows=len(memory), extent=extent)

    def follow(self, rows: Tensor) -> None:
        self.cache.reorder(rows, across=False)

    def read(self, tokens: Tensor) -> Tensor:
        inputs = Inputs(ids=tokens.unsqueeze(1))
        read: Hidden = self.decoder(inputs, memory=self.memory, memory_there=self.there, cache=self.cache)
        return read.last.squeeze(1)


class CodeDecoding:
    """memory [R, S, d]: the encoder's last states, of which `there` [R, S] are no padding. For one search."""

    @torch.inference_mode()
    def __init__(self, decoder: Transformer, starts: Sequence[int] | Int64, sizes: Sequence[int], memory: Tensor, there: Tensor):
        self.output, self.rows, self.width, self.device = decoder.output_vectors(), len(memory), 1, memory.device
        self.blocks = [slice(int(start), int(start) + int(size)) for start, size in zip(starts, sizes, strict=True)]
        kind = PlainSteps if is_plain(decoder) else BodySteps
        self.steps: Steps = kind(decoder, memory, there, len(self.blocks))

    def first(self) -> Tensor:
        """[R, sizes[0]]."""
        return self._read(torch.zeros(self.rows, dtype=torch.int64, device=self.device), 0)

    def next(self, origin: Tensor, codes: Tensor, level: int) -> Tensor:
        """[R, W] -> [R, W, sizes[level]]."""
        row = torch.arange(self.rows, device=self.device).unsqueeze(1)
        with torch.inference_mode():
            self.steps.follow((row * self.width + origin).flatten())
        self.width = origin.shape[1]
        tokens = (codes + self.blocks[level - 1].start).flatten()
        return self._read(tokens, level).view(*origin.shape, -1)

    @torch.inference_mode()
    def _read(self, tokens: Tensor, level: int) -> Tensor:
        return log_softmax(self.steps.read(tokens) @ self.output[self.blocks[level]].T, -1)
