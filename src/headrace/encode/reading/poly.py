"""Poly-attention: a few learned questions, each answered by its own weighted mean of a text's token states.

    y_a = softmax_t( tau_a · tanh(W h_t) ) h_t,     tau_a learned [wide], W learned [d -> wide]

Dense, a code reads every token there is. Sparse, code a reads what `Visible` lets it see: a window of tokens around item a, the
tokens at which items start, and a random share of the rest, drawn afresh at each training step and the same ever after.
Shapes: states [B, L, d], there [B, L], visible [B, codes, L] -> [B, codes, d]; a code that sees nothing gives zeros.
Cost: O(L d wide + codes L (wide + d)) a row: linear in the length where attention of all tokens to each other is quadratic.
Use it to bring states of any length to a fixed number of vectors that can be stored. It loses to reading all states against the
candidate where one token decides: `TargetHeads` of nn/long_history.py does that, its question is the candidate.
Paper: SPAR (arXiv 2402.10555), poly-attention and its sparse forms; where a window stands is our reading: docs/papers/spar.md.
"""

import torch
from torch import Tensor, nn

from headrace.contracts.rng import rng


class PolyAttention(nn.Module):
    """wide: of the space in which codes and tokens meet; None: dim."""

    def __init__(self, dim: int, codes: int, wide: int | None = None):
        super().__init__()
        self.map = nn.Linear(dim, wide or dim, bias=False)
        self.codes = nn.Parameter(torch.empty(codes, wide or dim))
        nn.init.normal_(self.codes, std=(wide or dim) ** -0.5)

    def forward(self, states: Tensor, there: Tensor, visible: Tensor | None = None) -> Tensor:
        read: Tensor = self.weights(states, there, visible) @ states
        return read

    def weights(self, states: Tensor, there: Tensor, visible: Tensor | None = None) -> Tensor:
        """[B, codes, L]: each code's sum to 1, or are all 0 where it sees nothing."""
        seen = there.unsqueeze(1) if visible is None else visible & there.unsqueeze(1)
        logits = (self.map(states).tanh() @ self.codes.T).transpose(1, 2)
        # the lowest number, not -inf: a code that sees nothing has weights then, which the mask takes away
        found: Tensor = logits.masked_fill(~seen, torch.finfo(logits.dtype).min).softmax(-1) * seen
        return found


def mean_entropy(weights: Tensor) -> Tensor:
    """Nats, over the codes [..., codes, L] that see something: 0 where each reads one token, log L where it reads L alike."""
    each = -torch.xlogy(weights, weights).sum(-1)
    read = weights.sum(-1) > 0
    return each[read].mean() if bool(read.any()) else each.new_zeros(())


class Visible(nn.Module):
    """What each of `codes` codes sees of a user's tokens, where code a stands for item a. A code without an item sees nothing.

    window: tokens around its item, half on each side of the item's middle; 0: none. starts: of all items (and of what stands
    before them). share: of each other token's chance to be seen. longest: tokens a user has at most. Tokens are counted without
    the gaps between them, so a user is read alike however the batch is padded.
    """

    drawn: Tensor

    def __init__(self, codes: int, longest: int, *, window: int, starts: bool, share: float, seed: int = 0):
        super().__init__()
        self.codes, self.window, self.starts, self.share = codes, window, starts, share
        fixed = rng(seed, "visible").random((codes, longest)) < share
        self.register_buffer("drawn", torch.from_numpy(fixed))

    def forward(self, item_of: Tensor, starts: Tensor, there: Tensor) -> Tensor:
        """item_of [B, L]: which item a token is of, -1 where of none; starts, there [B, L] -> [B, codes, L]."""
        place = there.long().cumsum(1) - 1  # among the tokens there are
        codes = torch.arange(self.codes, device=item_of.device)
        own = (item_of.unsqueeze(1) == codes.view(1, -1, 1)) & there.unsqueeze(1)
        tokens = own.sum(2)
        seen = torch.zeros_like(own)
        if self.window:
            middle = (own * place.unsqueeze(1)).sum(2) / tokens.clamp(min=1)
            off = place.unsqueeze(1) - middle.unsqueeze(2)
            seen = (off >= -self.window / 2) & (off < self.window / 2)
        if self.starts:
            seen = seen | starts.unsqueeze(1)
        if self.share:
            seen = seen | self._share(place, own)
        return seen & there.unsqueeze(1) & (tokens > 0).unsqueeze(2)

    def _share(self, place: Tensor, own: Tensor) -> Tensor:
        if self.training:
            return torch.rand(own.shape, device=own.device) < self.share
        return self.drawn[:, place.clamp(min=0)].transpose(0, 1)
