"""Linear layers with an activation and dropout after each: what stands on top of a ranker's features, or beside its crosses."""

from collections.abc import Callable, Sequence

from torch import nn


def tower(width: int, hidden: Sequence[int], dropout: float, act: Callable[[], nn.Module] = nn.ReLU) -> tuple[nn.Sequential, int]:
    """width -> the last of hidden, and that number; without hidden layers it is the identity."""
    layers: list[nn.Module] = []
    for into, out in zip((width, *hidden), hidden, strict=False):
        layers += [nn.Linear(into, out), act(), nn.Dropout(dropout)]
    return nn.Sequential(*layers), hidden[-1] if hidden else width
