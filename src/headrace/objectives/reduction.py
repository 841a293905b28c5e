"""The one way a loss becomes a mean."""

from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of values [...] where the mask [...] is true; 0 (with a gradient of 0) where nothing is."""
    if mask is None:
        return values.mean() if values.numel() else values.sum()
    kept = mask.to(values.dtype)
    # where, not a product: a masked inf or NaN would survive multiplication by 0
    return values.where(mask, values.new_zeros(())).sum() / kept.sum().clamp(min=1)
