"""Torch's own stream, borrowed: dropout and initialisers draw from it, so it is set for a while and given back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from headrace.contracts.rng import seed_of


@contextmanager
def seeded(seed: int, *names: object) -> Iterator[None]:
    """Inside, every torch draw is that of the stream with these names; outside, nothing has changed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, *names))
        yield
