"""The layers of an encoder or a decoder, with their positions, from vectors to vectors.

Shapes [B, T, d] -> [B, T, d]. A decoder sees no later token (or, of a prefix, all); an encoder sees every token that is there.
With `recompute`, of every block its input alone is kept for the backward, which runs the block again: the same draws, the same
gradients to the bit, a forward more and memory for the inside of one block.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from headrace.contracts.errors import DataError
from headrace.nn.attention.masks import BlockSparse, Causal, MaskSpec, Prefix, Present, Window
from headrace.nn.attention.places import Places, Span
from headrace.nn.body.block import Block
from headrace.nn.body.cache import Cache
from headrace.nn.body.call import Call, Hidden, Inputs
from headrace.nn.body.config import Side, TransformerConfig
from headrace.nn.body.initialise import STD, initialise
from headrace.nn.body.projection import norm
from headrace.nn.positions.absolute import Learned, Sinusoidal
from headrace.nn.positions.relative import RelativeBias
from headrace.nn.positions.rotary import Rotary


class Stack(nn.Module):
    def __init__(self, of: TransformerConfig, side: Side):
        super().__init__()
        self.of, self.side, self.recompute = of, side, False
        self.added = _added(of)
        layers = of.encoder_layers if side == "encoder" else of.decoder_layers
        self.blocks = nn.ModuleList(Block(of, side, layer) for layer in range(layers))
        self.drop = nn.Dropout(of.dropout)
        self.first_norm = norm(of, of.dim) if of.norm_place == "post" else None
        self.last_norm = norm(of, of.dim) if of.norm_place != "post" else None
        self.bias = self._relative() if of.position in ("t5", "gated") else None
        self.rotary = self._rotary() if of.position in ("rope", "xpos") else None
        initialise(self.blocks, of, side)
        for table in (self.added, self.bias):
            if isinstance(table, Learned | RelativeBias):
                nn.init.normal_(table.table.weight, std=STD)

    def forward(
        self, x: Tensor, inputs: Inputs, *, memory: Tensor | None = None, memory_there: Tensor | None = None,
        memory_branch: Tensor | None = None, cache: Cache | None = None,
    ) -> Hidden:  # fmt: skip
        """x [B, T, d]: the embedded inputs. memory [B, S, d]: an encoder's states, for a decoder that attends across."""
        if cache is not None:
            cache.room_for(len(x), x.shape[1])
        start = cache.start if cache else 0
        if self.added is not None:
            x = self.added(x, start)
        call = self._call(x, inputs, cache)
        call.memory, call.memory_branch = memory, memory_branch
        call.memory_mask = MaskSpec() if memory_there is None else MaskSpec(Present(memory_there))
        if self.first_norm is not None:
            x = self.first_norm(x, call)
        x = self.drop(x)
        exits = {0: x} if 0 in self.of.exits else {}
        again = self.recompute and cache is None and torch.is_grad_enabled()
        for number, block in enumerate(self.blocks, 1):
            x = _again(block, x, call) if again else block(x, call, cache.slots[number - 1] if cache else None)
            if number in self.of.exits:
                exits[number] = x
                x = x.detach() if self.of.detach_exits else x
        if self.last_norm is not None:
            x = self.last_norm(x, call)
        if cache is not None:
            cache.filled += x.shape[1]
        balance = torch.stack(call.balance).mean() if call.balance else x.new_zeros(())
        return Hidden(x, exits, balance, tuple(call.chosen))

    def sharded_parts(self) -> list[nn.Module]:
        """What a trainer may lay out over processes one by one."""
        return list(self.blocks)

    def _call(self, x: Tensor, inputs: Inputs, cache: Cache | None) -> Call:
        rows, length, _ = x.shape
        start, shared = (cache.start, cache.shared) if cache else (0, 0)
        extent = cache.extent if cache else length
        whole = self._mask(inputs, cached=cache is not None)
        pattern, window = self.of.block_pattern, self.of.window
        limited = whole & BlockSparse(pattern) if pattern else whole & Window(window) if window else whole
        call = Call(
            Places(Span(start, length), Span(shared, start + length - shared), x.device), whole, limited,
            inputs.backend, self.of.dropout if self.training else 0.0, cache, bias=self.bias, branch=inputs.branch,
            adapter=inputs.adapter,
            counted=None if inputs.there is None else inputs.there[:, start : start + length],
        )  # fmt: skip
        if cache is not None and cache.prefix is not None:
            if whole.by_row:
                raise DataError("Rows that share a prefix have the same mask: leave there, prefix and masks a row out.")
            call.before = Places(Span(start, length, rows // cache.prefix.rows), Span(0, shared), x.device)
        if self.rotary is not None:
            call.turn = self.rotary(extent, x.device)
        return call

    def _mask(self, inputs: Inputs, *, cached: bool) -> MaskSpec:
        rules: Sequence[Causal | Prefix] = ()
        if self.side == "decoder":
            rules = [Causal() if inputs.prefix is None else Prefix(inputs.prefix)]
        mask = MaskSpec(*rules) & inputs.mask
        # padding stands behind, where causality alone keeps it out
        needed = self.side == "encoder" or inputs.prefix is not None or cached
        return mask & Present(inputs.there) if inputs.there is not None and needed else mask

    def _relative(self) -> RelativeBias:
        of = self.of
        both = self.side == "encoder"
        return RelativeBias(of.heads, of.head_dim, of.buckets, of.furthest, both_ways=both, gated=of.position == "gated")

    def _rotary(self) -> Rotary:
        of = self.of
        decay = of.decay if of.position == "xpos" else 0.0
        return Rotary(
            of.rotary_dims,
            of.position_base,
            decay=decay,
            short=of.short_factors,
            long=of.long_factors,
            trained=of.length,
            longest=of.longest,
        )


def _again(block: nn.Module, x: Tensor, call: Call) -> Tensor:
    """block(x, call, None), run a second time in the backward; what it adds to the call is added once."""

    def run(x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        own = replace(call, balance=[], chosen=[])
        return block(x, own, None), own.balance, own.chosen

    x, balance, chosen = checkpoint(run, x, use_reentrant=False)
    call.balance += balance
    call.chosen += chosen
    return x


def _added(of: TransformerConfig) -> Learned | Sinusoidal | None:
    if of.position == "learned":
        return Learned(of.length, of.dim)
    return Sinusoidal(of.dim, of.position_base) if of.position == "sinusoidal" else None
