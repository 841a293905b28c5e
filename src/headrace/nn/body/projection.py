"""Linear maps and norms as the body uses them: one for all tokens, or one a branch; with LoRA, chosen row by row.

    y = W_b x + [adapter of the row] · (α/r)·B A x

With one branch and no adapter this is the linear map itself. A row without an adapter is not touched by others' adapters, bit
for bit. Papers: BEiT-3's multiway blocks (arXiv 2208.10442); LoRA (arXiv 2106.09685).
"""

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from headrace.contracts.errors import DataError
from headrace.nn.body.adapters import Lora, rows_of
from headrace.nn.body.call import Call
from headrace.nn.body.config import TransformerConfig


class Branched(nn.Module):
    """One of `ways` modules a token; all are called where there is no choice to make."""

    def __init__(self, make: Callable[[], nn.Module], branches: int):
        super().__init__()
        self.ways = nn.ModuleList(make() for _ in range(branches))

    def forward(self, x: Tensor, call: Call) -> Tensor:
        """[B, T, d] -> [B, T, e]."""
        if len(self.ways) == 1:
            return cast(Tensor, self.ways[0](x))
        if call.branch is None:
            raise DataError(f"A body of {len(self.ways)} branches needs each token's branch: Inputs(branch=...), [B, T].")
        found: Tensor | None = None
        for number, way in enumerate(self.ways):
            mine = call.branch == number
            out = way(x[mine])
            found = out.new_zeros(*x.shape[:-1], out.shape[-1]) if found is None else found
            found = found.masked_scatter(mine.unsqueeze(-1), out)
        assert found is not None
        return found


class Projection(Branched):
    """Linear, with the config's LoRA adapters."""

    def __init__(self, of: TransformerConfig, inputs: int, outputs: int, *, bias: bool):
        super().__init__(lambda: nn.Linear(inputs, outputs, bias=bias), of.branches)
        self.loras = nn.ModuleDict()
        self.numbers = {}
        for number, adapter in enumerate(of.adapters, 1):
            if adapter.kind == "lora":
                self.loras[adapter.name] = Lora(inputs, outputs, adapter.rank, adapter.alpha)
                self.numbers[adapter.name] = number

    def forward(self, x: Tensor, call: Call) -> Tensor:
        y = super().forward(x, call)
        if call.adapter is None:
            return y
        for name, lora in self.loras.items():
            rows = rows_of(call.adapter, self.numbers[name])
            if len(rows):
                y = y.index_add(0, rows, lora(x[rows]))
        return y


def norm(of: TransformerConfig, dim: int) -> Branched:
    """Layer norm, or root mean square alone."""
    kind = nn.LayerNorm if of.norm == "layer" else nn.RMSNorm
    return Branched(lambda: kind(dim, eps=of.norm_eps), of.branches)


def weights(module: nn.Module) -> list[Tensor]:
    """Of every way of a projection."""
    return [cast(Tensor, way.weight) for way in cast(Branched, module).ways]
