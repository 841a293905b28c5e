"""Which parts learn: adapters beside a body that stays, or all but the routing.

A frozen parameter has no gradient, so no optimizer moves it: what stays is bit-identical.
"""

from torch import nn

from headrace.nn.body.adapters import Bottleneck, Lora
from headrace.nn.body.experts import Experts


def only_adapter(body: nn.Module, name: str) -> None:
    """All parameters stay but those of the adapter with this name."""
    body.requires_grad_(False)
    for path, module in body.named_modules():
        if isinstance(module, Lora | Bottleneck) and path.rpartition(".")[2] == name:
            module.requires_grad_(True)


def freeze_routing(body: nn.Module) -> None:
    """Routers and experts stay, as X-MoE's do in fine-tuning."""
    for module in body.modules():
        if isinstance(module, Experts):
            module.requires_grad_(False)
