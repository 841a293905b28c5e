"""How well a candidate's few vectors fit a user's few: their dot products, weighed by which of them matter.

    K = Gamma Lambda^T,   w = softmax over all m n pairs of ( Gamma gelu(Lambda W)^T ),   s = sum w * K

Shapes: side [R, m, d], items [R, C, n, d] -> [R, C]. Cost: O(m n d) a candidate once gelu(Lambda W) is known, which hangs on the
item alone: `keys` can be stored beside Lambda. A user of zeros scores 0 everywhere.
Use it where both sides are stored and several vectors a side say more than one. With m = n = 1 it is a dot product. It loses to a
deep head where features of user and item must meet before they are summed.
Paper: SPAR (arXiv 2402.10555), engagement prediction; EmbSum (arXiv 2405.11441) scores alike.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu


class Relevance(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.map = nn.Linear(dim, dim, bias=False)

    def forward(self, side: Tensor, items: Tensor, there: Tensor | None = None) -> Tensor:
        """there [R, m]: which of the user's vectors there are; None: all."""
        return self.weighed(side, items, self.keys(items), there)

    def keys(self, items: Tensor) -> Tensor:
        """[..., n, d]: what of an item decides how much each of its vectors counts."""
        found: Tensor = gelu(self.map(items))
        return found

    def weighed(self, side: Tensor, items: Tensor, keys: Tensor, there: Tensor | None = None) -> Tensor:
        """keys: `self.keys(items)`."""
        user = side.unsqueeze(1)
        fits = (user @ items.transpose(-1, -2)).flatten(-2)
        logits = user @ keys.transpose(-1, -2)
        if there is not None:
            mask = there[:, None, :, None]
            # the lowest number, not -inf: a user without any weighs zeros alike, and scores 0
            logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        found: Tensor = (logits.flatten(-2).softmax(-1) * fits).sum(-1)
        return found
