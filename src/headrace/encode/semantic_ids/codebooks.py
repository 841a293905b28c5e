"""The codebooks of an RQ-VAE: each level's code is the vector nearest to what the levels before it have left.

    r_0 = z;   c_l = argmin_k ||r_(l-1) - E_l[k]||,   q_l = E_l[c_l],   r_l = r_(l-1) - sg[q_l]

Learned by gradient, the vectors are parameters. Moved by averages, they are buffers, which a checkpoint holds like weights:

    n_k <- d n_k + (1 - d) |batch_k|,   s_k <- d s_k + (1 - d) Σ batch_k,   E[k] = s_k / n_k,   n_k smoothed by eps
    where n_k < 1 the vector is dead: a random residual of the batch takes its place

They move when the step's gradient is worked out, once a forward: one that is only looked at (validation, a step reckoned again)
moves nothing. Shapes: z [n, dim] -> codes [n, levels]. Cost O(n levels codes dim).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_EPS = 1e-5
_DEAD = 1.0


@dataclass(frozen=True)
class Quantised:
    """codes [n, levels]; said [n, levels, dim]: each code's vector; left [n, levels, dim]: what each level was given to say."""

    codes: Tensor
    said: Tensor
    left: Tensor


class Codebooks(nn.Module):
    """decay: of the averages; None: the vectors are learned by gradient."""

    def __init__(self, levels: int, codes: int, dim: int, *, decay: float | None):
        super().__init__()
        self.decay = decay
        first = torch.randn(levels, codes, dim) / dim**0.5
        if decay is None:
            self.vectors: Tensor = nn.Parameter(first)
            return
        self.register_buffer("vectors", first)
        self.register_buffer("counts", torch.ones(levels, codes))
        self.register_buffer("sums", first.clone())
        self.counts: Tensor
        self.sums: Tensor

    def forward(self, z: Tensor) -> Quantised:
        left, codes, said, given = z, [], [], []
        for vectors in self.vectors:
            with torch.no_grad():
                nearest = (left @ vectors.T - 0.5 * vectors.square().sum(1)).argmax(1)
            codes.append(nearest)
            said.append(vectors[nearest])
            given.append(left)
            left = left - said[-1].detach()
        return Quantised(torch.stack(codes, 1), torch.stack(said, 1), torch.stack(given, 1))

    def said(self, codes: Tensor) -> Tensor:
        """[n, depth] -> [n, dim]: what the first levels say together."""
        total = self.vectors.new_zeros(len(codes), self.vectors.shape[2])
        for level in range(codes.shape[1]):
            total = total + self.vectors[level][codes[:, level]]
        return total

    def move_with(self, z: Tensor, found: Quantised, generator: torch.Generator) -> None:
        """Once the gradient of z is worked out. z: found was made of it."""
        levels, codes, _ = self.vectors.shape
        # Drawn now and not then, so that what a step draws does not hang on whether it is taken.
        instead = torch.randint(len(z), (levels, codes), generator=generator, device=generator.device)
        waiting = [found]

        def moved(_: Tensor) -> None:
            if waiting:
                self._move(waiting.pop(), instead)

        z.register_hook(moved)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _move(self, found: Quantised, instead: Tensor) -> None:
        decay, codes = self.decay or 0.0, self.vectors.shape[1]
        for level in range(len(self.vectors)):
            chosen, left = found.codes[:, level], found.left[:, level]
            count = torch.bincount(chosen, minlength=codes).to(left.dtype)
            self.counts[level].mul_(decay).add_(count, alpha=1 - decay)
            total = torch.zeros_like(self.sums[level]).index_add_(0, chosen, left)
            self.sums[level].mul_(decay).add_(total, alpha=1 - decay)
            dead = self.counts[level] < _DEAD
            self.counts[level][dead] = _DEAD
            self.sums[level][dead] = left[instead[level][dead]]
            everything = self.counts[level].sum()
            smooth = (self.counts[level] + _EPS) / (everything + codes * _EPS) * everything
            self.vectors[level] = self.sums[level] / smooth[:, None]
