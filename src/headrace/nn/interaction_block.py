"""The mix tower of an upstream model: crosses of a user's and an item's representation, then dense layers, every layer kept.

    CR_0 = [UR, IR],    CR_{l+1} = CR_0 * (W_l CR_l + b_l) + CR_l,    then    CR_{l+1} = W_l relu(CR_l) + b_l

Shapes: CR_0 [.., width] -> a list of CR_0 .. CR_k: crosses are as wide as CR_0, dense layers as `hidden` says. Cost: O(width²) a
cross, the dense layers' products beside. With W = 0 and b = 0 a cross is the identity.
A downstream model that has one of the same settings can start from an upstream's weights (LFM4Ads calls it isomorphic). Where
only the last layer matters and nothing is handed on, `methods.rank.dcnv2.CrossNet` and a tower beside it are as good.
Paper: LFM4Ads (arXiv 2508.14948), section 3; crosses are those of DCN-V2 (Wang et al., WWW 2021), equation 1.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu


class InteractionBlock(nn.Module):
    """widths: of CR_0 .. CR_k. out: that of the last."""

    def __init__(self, width: int, crosses: int, hidden: Sequence[int]):
        super().__init__()
        self.crosses = nn.ModuleList(nn.Linear(width, width) for _ in range(crosses))
        into = [width, *hidden]
        self.dense = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(into))
        self.widths = [width] * (crosses + 1) + list(hidden)
        self.out = self.widths[-1]

    def forward(self, x0: Tensor) -> list[Tensor]:
        layers = [x0]
        for cross in self.crosses:
            layers.append(x0 * cross(layers[-1]) + layers[-1])
        for dense in self.dense:
            layers.append(dense(relu(layers[-1])))
        return layers
