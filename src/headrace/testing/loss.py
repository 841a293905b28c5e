"""What every loss promises: a finite mean over rows, in which masked rows have no say."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from headrace.testing.expect import expect, expect_close

_BFLOAT16 = 2.0**-8
"""Its unit in the last place, for values near 1."""


def check_loss(loss: Callable[..., Tensor], example: Sequence[Tensor], *, outputs: int = 1, rows_meet: bool = False) -> None:
    """example: the loss's positional tensors, rows first; a last one of dtype bool is the mask (it marks what counts).

    outputs: how many of the first tensors are the model's, whose gradients are looked at. rows_meet: negatives come from other
    rows, so doubling the rows may change the mean.
    """
    value, gradients = _value(loss, example, outputs)
    expect(value.isfinite(), f"The loss of the example is {value.item()}: expected a finite number.")
    expect(any(bool(g.any()) for g in gradients), "No gradient reaches the model's outputs.")
    _finite(gradients, "of the example")

    order = torch.arange(len(example[0]) - 1, -1, -1)
    turned = loss(*(tensor[order] for tensor in example))
    expect_close(turned.detach(), value, "The order of the rows changes the loss")
    if not rows_meet:
        doubled = loss(*(torch.cat([tensor, tensor]) for tensor in example))
        expect_close(doubled.detach(), value, "Every row twice changes the loss, so it is not a mean over rows")

    nothing, gradients = _value(loss, [tensor[:0] for tensor in example], outputs)
    expect(nothing.item() == 0, f"An empty batch costs {nothing.item()}: expected 0.")
    _masks(loss, example, outputs)

    half = [tensor.bfloat16() if tensor.is_floating_point() else tensor for tensor in example]
    rounded = loss(*(tensor.float() if tensor.is_floating_point() else tensor for tensor in half)).detach()
    # some ten roundings stand between inputs and loss
    message = "bfloat16 gives another loss than float32 of the same inputs"
    expect_close(loss(*half).detach().float(), rounded, message, relative=10 * _BFLOAT16, absolute=10 * _BFLOAT16)


def _masks(loss: Callable[..., Tensor], example: Sequence[Tensor], outputs: int) -> None:
    *inputs, mask = example
    if mask.dtype != torch.bool:
        return
    expect(mask.any() and not mask.all(), "The example's mask should keep some and drop some, else it shows nothing.")
    value, gradients = _value(loss, example, outputs)
    for noise in (1e4, torch.inf, -torch.inf, torch.nan):
        noisy = [_filled(tensor, ~mask, noise) for tensor in inputs]
        found, reached = _value(loss, [*noisy, mask], outputs)
        expect(found.detach().equal(value.detach()), f"{noise} where the mask is false changes the loss from {value} to {found}.")
        for before, after in zip(gradients, reached, strict=True):
            expect_close(after, before, f"{noise} where the mask is false changes the gradient")
            expect(not after[~mask].any(), "A gradient reaches what the mask leaves out.")
    found, reached = _value(loss, [*inputs, torch.zeros_like(mask)], outputs)
    expect(found.item() == 0, f"A batch that is masked whole costs {found.item()}: expected 0.")
    expect(not any(bool(g.any()) for g in reached), "A batch that is masked whole has a gradient: expected 0.")


def _filled(tensor: Tensor, where: Tensor, value: float) -> Tensor:
    tensor = tensor.clone()
    tensor[where] = value if tensor.is_floating_point() else 0
    return tensor


def _value(loss: Callable[..., Tensor], example: Sequence[Tensor], outputs: int) -> tuple[Tensor, list[Tensor]]:
    leaves = [tensor.detach().clone().requires_grad_(place < outputs) for place, tensor in enumerate(example)]
    value = loss(*leaves)
    expect(value.dim() == 0, f"A loss is one number: expected shape (), got {tuple(value.shape)}.")
    expect(value.requires_grad, "The loss has no gradient.")
    value.backward()  # type: ignore[no-untyped-call]
    gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves[:outputs]]
    return value.detach(), gradients


def _finite(gradients: Sequence[Tensor], what: str) -> None:
    expect(all(bool(g.isfinite().all()) for g in gradients), f"A gradient {what} is not finite.")
