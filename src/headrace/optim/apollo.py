"""APOLLO: a matrix's gradient, scaled channel by channel with Adam's step sizes as a small random projection shows them.

Adam divides every element by its own second moment, and keeps two numbers an element for it. Here both moments live in a random
projection R of the gradient G [rows, columns], and only how much they would lengthen or shorten each channel is used:

    R = G Pᵀ, P [r, columns], channels are rows     where rows >= columns
    R = Pᵀ G, P [rows, r], channels are columns     else                       P ~ N(0, 1/r)
    M = β1 M + (1 - β1) R;   V = β2 V + (1 - β2) R²;   R̃ = M / (sqrt(V) + ε)
    s_j = |R̃_j| / (|R_j| + 1e-8) for each channel, or one s = |R̃| / (|R| + 1e-8) for the matrix (APOLLO-Mini, r = 1)
    U = s G, shortened to 1.01 times the last update's length where it is longer
    W <- W - lr sqrt(1 - β2^t) / (1 - β1^t) α U;   W <- W - lr λ W

P is drawn anew every `refresh_every` steps from (seed, parameter, t / refresh_every) and is not kept, so a resumed run draws the
same. The moments stay. s is smaller than Adam's by about sqrt(r / min(rows, columns)), which α makes up: 1 for APOLLO, sqrt(128)
for Mini. A parameter that is no matrix, or whose smaller side is not above r, gets torch's AdamW; give embeddings a group with
rank = 0, which does the same: most of their rows have no gradient (`optim.choice` does so).

State: 2 r max(rows, columns) + 2 numbers a matrix, against AdamW's 2 rows columns. Time: O(rows columns r) a matrix and step.
Use it where AdamW's moments don't fit, with about ten times AdamW's rate; where they do, AdamW is a faster step and has no rank
to choose.
Sharded matrices break a channel's norm, so it is for whole ones. Parameters and their state are of one type.
Our reading: a step without any gradient leaves the limiter's memory as it was, since 1.01 times nothing would stop the matrix
for good. Paper: Zhu et al., MLSys 2025 (arXiv 2412.05270), algorithm 1.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf, sqrt
from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.optim import Optimizer

from headrace.contracts.errors import ConfigError
from headrace.contracts.rng import seed_of
from headrace.optim.fused import step_with_adamw

Projection = Callable[[tuple[int, ...], Tensor, int], Tensor]

Numbered = tuple[int, Tensor, Tensor]
"""A parameter's number, its weight and its gradient."""

_BLOCK = 2**18
"""Elements of gradients that are worked on at once: 1 MiB of float32, which a core's cache holds."""


def gaussian(shape: tuple[int, ...], like: Tensor, seed: int) -> Tensor:
    """Standard normal draws of the stream `seed`, on the device and of the type of `like`."""
    draws = torch.Generator(like.device).manual_seed(seed)
    return torch.randn(shape, generator=draws, device=like.device, dtype=like.dtype)


class APOLLO(Optimizer):
    """params: parameters, or groups that may set each of these for themselves.

    rank: r, 0 for AdamW. scaling: by "channel", or one for the "tensor". alpha: α. growth: of the update's length from one step
    to the next at most, 0 for no limit. normal: (shape, a tensor alike, seed) -> draws of N(0, 1).
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-6,
        weight_decay: float = 0.0, *, rank: int = 128, scaling: Literal["channel", "tensor"] = "channel", alpha: float = 1.0,
        refresh_every: int = 200, growth: float = 1.01, seed: int = 0, normal: Projection = gaussian,
    ):  # fmt: skip
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "rank": rank, "scaling": scaling, "alpha": alpha,
            "refresh_every": refresh_every, "growth": growth, "seed": seed, "fused": True,
        }  # fmt: skip
        self.normal = normal
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _refuse({**self.defaults, **param_group})
        super().add_param_group(param_group)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        number = 0
        for group in self.param_groups:
            plain, matrices = [], []
            for parameter in group["params"]:
                number += 1
                if parameter.grad is None:
                    continue
                if parameter.grad.is_sparse:
                    raise ConfigError("APOLLO: a gradient is sparse: expected a dense one. Make the embedding with sparse=False.")
                if group["rank"] and parameter.dim() == 2 and min(parameter.shape) > group["rank"]:
                    matrices.append((number - 1, parameter, parameter.grad))
                else:
                    plain.append(parameter)
            for some in _together(matrices):
                self._projected(some, group)
            if plain:
                step_with_adamw(plain, [self.state[parameter] for parameter in plain], group)
        return loss

    def _projected(self, some: Sequence[Numbered], group: dict[str, Any]) -> None:
        """A step of matrices of one type on one device."""
        (beta1, beta2), rate = group["betas"], group["lr"]
        compressed = [1 if gradient.shape[0] >= gradient.shape[1] else 0 for _, _, gradient in some]
        along: Sequence[int | None] = compressed if group["scaling"] == "channel" else [None] * len(some)
        states, low, long = [self.state[weight] for _, weight, _ in some], [], []
        for (number, weight, gradient), state, axis, channels in zip(some, states, compressed, along, strict=True):
            if group["growth"]:
                # before the projection, which reads a gradient from memory three times as slowly: it finds it in the cache then
                long.append(_length(gradient, channels))
            low.append(self._low(gradient, axis, group, number, state.get("steps", 0)))
            if not state:
                state |= {"steps": 0, "exp_avg": torch.zeros_like(low[-1]), "exp_avg_sq": torch.zeros_like(low[-1])}
                state["length"] = torch.full((), inf, dtype=weight.dtype, device=weight.device)
            state["steps"] += 1
        adam = _adam([state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states], low, group)
        scale = [_length(a, axis) / _length(r, axis).add_(1e-8) for a, r, axis in zip(adam, low, along, strict=True)]
        if group["growth"]:
            # |s G| from the lengths of G's channels, so that the update is never made in full
            lengths = [vector_norm(s * g) for s, g in zip(scale, long, strict=True)]
            scale = list(torch._foreach_mul(scale, _limited(lengths, [state["length"] for state in states], group["growth"])))
        for (_, weight, gradient), state, s, channels in zip(some, states, scale, along, strict=True):
            corrected = rate * group["alpha"] * sqrt(1 - beta2 ** state["steps"]) / (1 - beta1 ** state["steps"])
            s = s.to(weight.dtype)
            weight.addcmul_(gradient, s if channels is None else s.unsqueeze(channels), value=-corrected)
            if group["weight_decay"]:
                weight.mul_(1 - rate * group["weight_decay"])

    def _low(self, gradient: Tensor, axis: int, group: dict[str, Any], number: int, steps: int) -> Tensor:
        """R. axis: the one that is compressed."""
        (rows, columns), rank = gradient.shape, group["rank"]
        seed = seed_of(group["seed"], "apollo", number, steps // group["refresh_every"])
        if axis:
            return _product(gradient, self.normal((rank, columns), gradient, seed).T, 1 / sqrt(rank))
        return _product(self.normal((rows, rank), gradient, seed).T, gradient, 1 / sqrt(rank))


def _together(matrices: Sequence[Numbered]) -> Iterator[list[Numbered]]:
    """Small ones of one type and place that follow each other: what is done to each is then one call for all of them."""
    some, held = list[Numbered](), 0
    for number, weight, gradient in matrices:
        held += weight.numel()
        if some and (held > _BLOCK or weight.dtype != some[0][1].dtype or weight.device != some[0][1].device):
            yield some
            some, held = [], weight.numel()
        some.append((number, weight, gradient))
    if some:
        yield some


def _adam(first: list[Tensor], second: list[Tensor], low: list[Tensor], group: dict[str, Any]) -> Sequence[Tensor]:
    """R̃ of each R, whose moments move."""
    beta1, beta2 = group["betas"]
    torch._foreach_lerp_(first, low, 1 - beta1)
    torch._foreach_mul_(second, beta2)
    torch._foreach_addcmul_(second, low, low, value=1 - beta2)
    below = torch._foreach_sqrt(second)
    torch._foreach_add_(below, group["eps"])
    return torch._foreach_div(first, below)


def _limited(lengths: list[Tensor], last: list[Tensor], growth: float) -> list[Tensor]:
    """What is left of each update. last: the last ones' lengths, infinite before there was one; these take their place."""
    now = torch.stack(lengths)
    before = torch.stack(last).to(now.dtype)
    share = before.add(1e-8).mul_(growth).div_(now).clamp_(max=1)
    torch._foreach_copy_(last, torch.where(now > 0, now * share, before).unbind())
    return list(share.unbind())


def _product(left: Tensor, right: Tensor, times: float) -> Tensor:
    return torch.addmm(left.new_empty(()), left, right, beta=0, alpha=times)


def _length(values: Tensor, axis: int | None) -> Tensor:
    """Of all, or of each channel along the axis; in float32 at least."""
    dtype = torch.float32 if values.dtype == torch.bfloat16 else values.dtype
    if axis != 0 or values.device.type != "cpu":
        length: Tensor = vector_norm(values, dim=axis, dtype=dtype)
        return length
    # a CPU's vector_norm is ten times as slow down the columns, and squares in blocks stay in its cache
    if values.numel() <= _BLOCK:
        return values.to(dtype).square().sum(0).sqrt_()
    squares = [block.to(dtype).square().sum(0) for block in torch.split(values, max(_BLOCK // values.shape[1], 1))]
    return torch.stack(squares).sum(0).sqrt_()


def _refuse(group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    bounds = {
        "lr": (group["lr"] >= 0, "0 or more"),
        "betas": (0 <= beta1 < 1 and 0 <= beta2 < 1, "both in [0, 1)"),
        "eps": (group["eps"] > 0, "above 0"),
        "weight_decay": (group["weight_decay"] >= 0, "0 or more"),
        "rank": (group["rank"] >= 0 and group["rank"] == int(group["rank"]), "a whole number, 0 for AdamW"),
        "scaling": (group["scaling"] in ("channel", "tensor"), '"channel" or "tensor"'),
        "alpha": (group["alpha"] > 0, "above 0"),
        "refresh_every": (group["refresh_every"] >= 1, "1 or more"),
        "growth": (group["growth"] == 0 or group["growth"] >= 1, "1 or more, or 0 for no limit"),
    }
    for name, (holds, wanted) in bounds.items():
        if not holds:
            raise ConfigError(f"APOLLO: {name} is {group[name]!r}: expected {wanted}.")
