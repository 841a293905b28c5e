"""Linear maps and norms whose weights tensor ranks share out; each takes the place of a whole one, under the same names.

    columns:  y_r = x A_r + a_r                 rank r has some of the outputs
    rows:     y = Σ_r x_r B_r + b               rank r has some of the inputs; b is everyone's
    norm:     moments over all ranks' parts of a row, then each rank's own weights

A sub-layer is columns, then rows, and needs one sum forward and one backward; a norm between the two needs two small ones more,
one number a token each. Cost of a map O(T d w / ranks).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from headrace.nn.parallel.place import Piece, Place
from headrace.nn.parallel.sums import entering, leaving


class Columns(nn.Module):
    """weight [own outputs, inputs], bias [own outputs] or None."""

    def __init__(self, whole: nn.Linear, sections: tuple[int, ...], place: Place):
        super().__init__()
        self.place, self.pieces = place, {"weight": Piece(0, sections)}
        self.weight = _own(whole.weight, self.pieces["weight"], place)
        self.bias: nn.Parameter | None = None
        if whole.bias is not None:
            self.pieces["bias"] = Piece(0, sections)
            self.bias = _own(whole.bias, self.pieces["bias"], place)

    def forward(self, x: Tensor) -> Tensor:
        return linear(entering(x, self.place), self.weight, self.bias)


class Rows(nn.Module):
    """weight [outputs, own inputs], bias [outputs] or None."""

    def __init__(self, whole: nn.Linear, place: Place):
        super().__init__()
        self.place, self.pieces = place, {"weight": Piece(1, (whole.in_features,))}
        self.weight, self.bias = _own(whole.weight, self.pieces["weight"], place), whole.bias

    def forward(self, x: Tensor) -> Tensor:
        y = leaving(linear(x, self.weight), self.place)
        return y if self.bias is None else y + self.bias


class SplitNorm(nn.Module):
    """weight, bias [own width]; x [.., own width]."""

    def __init__(self, whole: nn.LayerNorm | nn.RMSNorm, place: Place):
        super().__init__()
        self.place, self.width, self.eps = place, whole.normalized_shape[0], whole.eps
        self.pieces = {"weight": Piece(0, (self.width,))}
        self.weight = _own(whole.weight, self.pieces["weight"], place)
        self.bias: nn.Parameter | None = None
        self.centred = isinstance(whole, nn.LayerNorm)
        if isinstance(whole, nn.LayerNorm) and whole.bias is not None:
            self.pieces["bias"] = Piece(0, (self.width,))
            self.bias = _own(whole.bias, self.pieces["bias"], place)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        if self.centred:
            wide = wide - self._mean(wide)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        y = (wide * (self._mean(wide.square()) + eps).rsqrt()).to(x.dtype) * self.weight
        return y if self.bias is None else y + self.bias

    def _mean(self, x: Tensor) -> Tensor:
        """Over all ranks; every rank's output hangs on it, so the gradient is summed over them too."""
        return entering(leaving(x.sum(-1, keepdim=True), self.place), self.place) / self.width


def _own(whole: Tensor, piece: Piece, place: Place) -> nn.Parameter:
    own = piece.of(whole.detach(), place.tensor, place.tensors)
    return nn.Parameter(own, requires_grad=whole.requires_grad)
