"""A vocabulary whose vectors tensor ranks share out: looking tokens up, and cross-entropy without a whole row of logits.

    lookup:  Σ_r E_r[id] where rank r has it, else 0                            one sum
    nll:     log Σ_r Σ_j exp(z_rj - max) + max - z[target],   z_r = h · W_r     a maximum and two sums, one number a token each

Cost O(T d V / ranks). Where something else needs all vectors, `Shared.all` gathers them: V d numbers on every rank.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from headrace.nn.parallel.place import Piece, Place, part_of
from headrace.nn.parallel.sums import entering, gathered, largest, leaving


class SplitEmbedding(nn.Module):
    """weight [own tokens, d]."""

    def __init__(self, whole: nn.Embedding, place: Place):
        super().__init__()
        self.place, self.own = place, place.own(whole.num_embeddings)
        self.pieces = {"weight": Piece(0, (whole.num_embeddings,))}
        self.weight = nn.Parameter(whole.weight.detach()[self.own].clone(), requires_grad=whole.weight.requires_grad)

    def forward(self, ids: Tensor) -> Tensor:
        """[..] -> [.., d]."""
        place, mine = _among(ids, self.own)
        return leaving(embedding(place, self.weight) * mine.unsqueeze(-1).to(self.weight.dtype), self.place)


class Shared:
    """size: tokens in all. What follows from a vocabulary's vectors [own tokens, d] on each rank."""

    def __init__(self, size: int, place: Place):
        self.size, self.place, self.own = size, place, place.own(size)

    def all(self, vectors: Tensor) -> Tensor:
        """[size, d]."""
        parts = [part_of(self.size, rank, self.place.tensors) for rank in range(self.place.tensors)]
        return gathered(vectors, [one.stop - one.start for one in parts], 0, self.place)

    def nll(self, hidden: Tensor, vectors: Tensor, target: Tensor) -> Tensor:
        """hidden [P, d], target [P] -> [P]."""
        logits = entering(hidden, self.place) @ vectors.T
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits = logits - largest(logits.amax(-1), self.place).unsqueeze(-1)
        place, mine = _among(target, self.own)
        truth = logits.gather(1, place.unsqueeze(-1)).squeeze(-1) * mine.to(logits.dtype)
        total, truth = leaving(torch.stack([logits.exp().sum(-1), truth]), self.place)
        nll: Tensor = total.log() - truth
        return nll


def _among(ids: Tensor, own: slice) -> tuple[Tensor, Tensor]:
    """Each id's place among the rank's own, 0 for the others'; and whether it is its own."""
    place = ids.long() - own.start
    mine = (place >= 0) & (place < own.stop - own.start)
    return place.where(mine, 0), mine
