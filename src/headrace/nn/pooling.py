"""Several vectors as one."""

from torch import Tensor


def mean_over(values: Tensor, there: Tensor) -> Tensor:
    """Mean of values [.., T, d] over those of T that are there [.., T]; 0 where none is."""
    kept = there.unsqueeze(-1)
    return (values * kept).sum(-2) / kept.sum(-2).clamp(min=1)
