"""What a mixture of experts does with its tokens: how steadily, how evenly, and how far it draws them together.

    fluctuation   share of a row's tokens that another checkpoint sends to other experts                        (RF)
    collapse      Tr(Σ_W Σ_B⁺) of the router's inputs, grouped by the expert they chose; less is more collapsed  (RC)
    in_use        e to the entropy of the experts' loads: as many experts as share the work, 1 .. N

Σ_W is the mean over experts of their tokens' covariance, Σ_B the covariance of the experts' mean inputs. Experts weigh alike,
as classes do in neural collapse, and one that no token chose is left out: that is our reading. A single group has nothing
between it and another, so its collapse is 0.

Shapes: chosen [rows, T, top_k] experts' numbers; inputs [n, d], group [n]. Cost O(n d N); Σ_B has rank below N, so it is inverted
there and never made. Both depend on which tokens are looked at: compare runs on the same ones.
Paper: X-MoE (arXiv 2204.09179), whose measure of collapse is after Papyan, Han and Donoho, PNAS 2020.
"""

import numpy as np

from headrace.contracts.requests import Float64, Int64

_LEAST = 1e-7
"""Of the widest direction between experts: below it a direction is rounding."""


def fluctuation(before: Int64, after: Int64) -> Float64:
    """Both [rows, T, top_k], of the same tokens -> [rows]. The order of a token's experts does not count."""
    moved = (np.sort(before, -1) != np.sort(after, -1)).any(-1)
    shares: Float64 = moved.mean(-1)
    return shares


def collapse(inputs: Float64, group: Int64) -> float:
    found, place, sizes = np.unique(group, return_inverse=True, return_counts=True)
    means = np.zeros((len(found), inputs.shape[1]))
    np.add.at(means, place, inputs)
    means /= sizes[:, None]
    spread = (means - means.mean(0)) / np.sqrt(len(found))
    _, wide, along = np.linalg.svd(spread, full_matrices=False)
    kept = wide > max(_LEAST * wide[0], np.finfo(np.float64).tiny)
    scaled = (inputs - means[place]) @ (along[kept] / wide[kept, None]).T
    # each token weighs 1 / (experts · its expert's tokens)
    return float((scaled**2).sum(1) @ (1 / (len(found) * sizes[place])))


def in_use(chosen: Int64) -> float:
    loads = np.unique(chosen, return_counts=True)[1] / chosen.size
    return float(np.exp(-(loads * np.log(loads)).sum()))
