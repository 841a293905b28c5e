"""A causal block pattern through the Triton kernels: the same table and answers as the plain walk, with gradients and lse.

    out, lse = kernelled(q, k, v, pattern)          shapes q, out [B, H, T, d], k and v [B, G, T, d], lse [B, H, T] float32

Attention over other keys joins by `merge`, gradients and all, since lse has its own. Needs the `gpu` extra, and blocks of 16
tokens or more, a power of two, as a matrix unit takes them. Triton's own TRITON_INTERPRET=1 runs it on a CPU, to test it.
Cost O(T (local·block + T / (2 stride)) d) a head; no score leaves the chip.
"""

import os
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from headrace.contracts.errors import MissingExtra
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.attention.table import Listed, Table, table

LONG, SPARSE = 8192, 0.5
"""Tokens, and share of a causal mask's blocks, from which `auto` takes the kernels. A guess: no GPU has measured it yet."""


@lru_cache(maxsize=64)
def pays(pattern: BlockPattern, length: int) -> bool:
    return length >= LONG and fits(pattern) and find_spec("triton") is not None and pattern.density(length) <= SPARSE


def fits(pattern: BlockPattern) -> bool:
    return pattern.block >= 16 and pattern.block & (pattern.block - 1) == 0


def kernelled(q: Tensor, k: Tensor, v: Tensor, pattern: BlockPattern) -> tuple[Tensor, Tensor]:
    if find_spec("triton") is None:
        raise MissingExtra("triton", "gpu", "The triton backend of attention")
    if not q.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(f"The triton backend needs tensors on a GPU; these are on {q.device}. Take backend='auto' there.")
    if not fits(pattern):
        raise ValueError(f"The triton backend needs blocks of 16, 32, 64 .. tokens; the pattern's are {pattern.block}.")
    found: tuple[Tensor, Tensor] = _Kernelled.apply(q, k, v, pattern)  # type: ignore[no-untyped-call]
    return found


class _Kernelled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, pattern: BlockPattern) -> tuple[Tensor, Tensor]:
        from headrace.nn.attention import kernel

        q, k, v = (x.contiguous() for x in (q, k, v))
        out, lse = torch.empty_like(q), q.new_empty(q.shape[:-1], dtype=torch.float32)
        of = ctx.of = table(pattern, q.shape[2], q.device)
        _launch(kernel.forward, of, of.by_query, (q, k, v, out, lse), over=q)
        ctx.save_for_backward(q, k, v, out, lse)
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, out_grad: Tensor, lse_grad: Tensor) -> tuple[Tensor | None, ...]:
        from headrace.nn.attention import kernel

        q, k, v, out, lse = ctx.saved_tensors
        q_grad, k_grad, v_grad = (torch.empty_like(x) for x in (q, k, v))
        delta = (out.float() * out_grad.float()).sum(-1) - lse_grad
        given = (q, k, v, out_grad.contiguous(), lse, delta)
        _launch(kernel.of_queries, ctx.of, ctx.of.by_query, (*given, q_grad), over=q)
        _launch(kernel.of_keys, ctx.of, ctx.of.by_key, (*given, k_grad, v_grad), over=k)
        return q_grad, k_grad, v_grad, None


def _launch(kernel: Any, of: Table, listed: Listed, tensors: tuple[Tensor, ...], *, over: Tensor) -> None:
    """One program for each row of the table and each head of `over`."""
    q, k = tensors[:2]
    stages = 1 if q.dtype == torch.float32 else 2  # more would not fit on the chip with heads of 128
    heads, length, width = q.shape[1:]
    kernel[listed.starts.shape[1] - 1, over.shape[0] * over.shape[1]](
        *tensors, *listed, width**-0.5, length, width, heads, heads // k.shape[1],
        BLOCK=of.block, MERGED=of.merged, WIDTH=max(16, 1 << (width - 1).bit_length()), num_stages=stages,
    )  # fmt: skip
