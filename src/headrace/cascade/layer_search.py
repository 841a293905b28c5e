"""Which layer of an upstream model is worth handing on: a linear probe of the main task on each, judged on what came later.

    p = sigmoid(w · [CR_l(u), IR(i)] + b)        CR_l(u): summed and standardised, as of strictly before the request

Probes are fitted on the earlier half of the impressions that stopped the upstream's training, judged by log loss on the later
half; the layer of the smallest is chosen. How hard slopes are held to 0 is found for each probe within the earlier half, by its
own earlier and later part, so that a wide layer is not judged by what it can learn by heart. These labels had no say in the
upstream's weights but for when to stop. Beside the layers: a constant, IR alone and UR alone (the newest one kept before the
request), to see what a sum adds to them. `behind` is how much more log loss each has than the chosen layer, over the same
impressions, `behind_se` its standard error: a difference of less than two of these says nothing.
What a probe cannot see: it reads user and item side by side, so a layer that is good for what a nonlinear model makes of it may
be passed over. `--layer` names another.
Cost: one pass of the ranker over what was shown, until that window's end, to the users it is asked about (10,000 impressions at
most), and five ridge regressions at most a layer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.cascade.upstream import Frozen, Upstream
from headrace.contracts.errors import DataError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.progress import Progress, silent
from headrace.contracts.requests import Bool, Float32, Float64, Int32, Int64
from headrace.contracts.rng import rng
from headrace.data.aggregator import Aggregator, Decay, standardised
from headrace.data.histories import bisect
from headrace.evaluate.pointwise import auc, log_losses
from headrace.optim.logistic import ridge

_MOST = 10_000
_PENALTIES = (1.0, 10.0, 100.0, 1000.0)  # of a slope, in logits for a deviation of its column


@dataclass(frozen=True)
class Asked:
    """Labelled impressions of the window that stopped the training, [N]."""

    users: Int32
    at_us: Int64
    items: Int32
    label: Float64


@dataclass(frozen=True)
class Searched:
    """layers: what a probe reads -> log_loss, auc, behind, behind_se. probed: of how many impressions, how many positive."""

    best: str
    layers: Mapping[str, Mapping[str, float]]
    probed: Mapping[str, int]


def search(upstream: Upstream, decay: Decay, progress: Progress) -> Searched:
    """DataError where a half has impressions of one outcome alone."""
    return compared(upstream, _asked(upstream), decay, progress)


def compared(upstream: Frozen, asked: Asked, decay: Decay, progress: Progress = silent) -> Searched:
    """As `search`, on these impressions."""
    cut_us = np.sort(asked.at_us)[len(asked.at_us) // 2] if len(asked.at_us) else 0
    earlier = asked.at_us < cut_us
    probed = {"fitted_on": int(earlier.sum()), "positive": int(asked.label[earlier].sum())}
    probed |= {"judged_on": int((~earlier).sum()), "judged_positive": int(asked.label[~earlier].sum())}
    for number, positive in ((probed["fitted_on"], probed["positive"]), (probed["judged_on"], probed["judged_positive"])):
        if not 0 < positive < number:
            raise DataError(
                f"layers can't be compared: of the impressions that stopped the upstream's training a half has {number:,}, and "
                f"{positive:,} of them positive. Name the layer: --layer CR1; or build the upstream of a longer log."
            )
    known = _as_of(upstream, asked, decay, progress)
    items = upstream.of_items(asked.items)
    crossed = [name for name in known if name != "UR"]
    columns = {"a constant": items[:, :0], "IR": items, "UR": known["UR"]}
    columns |= {name: np.concatenate([known[name], items], 1) for name in crossed}
    later = asked.label[~earlier]
    said = {name: _said(read, asked, earlier) for name, read in columns.items()}
    losses = {name: log_losses(later, p) for name, p in said.items()}
    best = min(crossed, key=lambda name: losses[name].mean())
    layers = {}
    for name, p in said.items():
        behind = losses[name] - losses[best]
        error = behind.std() / np.sqrt(len(behind))
        layers[name] = {"log_loss": losses[name].mean(), "auc": auc(later, p), "behind": behind.mean(), "behind_se": error}
    return Searched(best, {name: {what: float(v) for what, v in one.items()} for name, one in layers.items()}, probed)


def _asked(upstream: Upstream) -> Asked:
    return asked_of(upstream, upstream.pipeline.stopping("rank"), upstream.pipeline.plan.seed)


def asked_of(upstream: Frozen, lists: CandidateLists, seed: int) -> Asked:
    """Those whose label is known, of users with a part in the upstream; a draw where there are many."""
    assert lists.known is not None
    rows, columns = np.nonzero(lists.known & np.isin(lists.requests.users, upstream.users)[:, None])
    chosen = np.sort(rng(seed, "layer search").permutation(len(rows))[:_MOST])
    rows, columns = rows[chosen], columns[chosen]
    label = lists.label[rows, columns].astype(np.float64)
    return Asked(lists.requests.users[rows], lists.requests.at_us[rows], lists.candidates.items[rows, columns], label)


def _as_of(upstream: Frozen, asked: Asked, decay: Decay, progress: Progress) -> dict[str, Float32]:
    """UR and each layer's sum strictly before each impression's moment, [N, width]; 0 where nothing was shown before."""
    theirs = upstream.only(np.isin(upstream.users, asked.users) & (upstream.at_us < asked.at_us.max()))
    _, users, _, at_us = theirs.samples
    last = last_before(users, at_us, asked.users, asked.at_us)
    wanted, place = np.unique(last[last >= 0], return_inverse=True)
    sums: dict[str, Aggregator] = {}
    states: dict[str, Float32] = {}
    for name, width in upstream.ranker.widths.items():
        states[name] = np.zeros((len(wanted), width), np.float32)
        if name != "UR":
            sums[name] = Aggregator(upstream.n_users, width, decay)
    for samples, values in theirs.runs(progress, "layer search"):
        here = (wanted >= samples.start) & (wanted < samples.stop)
        rows = wanted[here] - samples.start
        states["UR"][here] = values["UR"][rows]
        for name, one in sums.items():
            states[name][here] = standardised(one.add(users[samples], at_us[samples], values[name])[rows])
    found = {name: np.zeros((len(last), kept.shape[1]), np.float32) for name, kept in states.items()}
    for name, kept in states.items():
        found[name][last >= 0] = kept[place]
    return found


def last_before(users: Int32, at_us: Int64, asked: Int32, asked_us: Int64) -> Int64:
    """The place of each user's last sample strictly before each moment, -1 where there is none. Samples in the order of time."""
    order = np.argsort(users, kind="stable")
    most = int(max(users.max(initial=0), asked.max(initial=0))) + 1
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=most))])
    start = offsets[asked]
    place = bisect(at_us[order], start, offsets[asked + 1], asked_us) - 1
    found = np.full(len(asked), -1, np.int64)
    there = place >= start
    found[there] = order[place[there]]
    return found


def _said(columns: Float32, asked: Asked, earlier: Bool) -> Float64:
    """Fitted on the earlier ones, what a probe says of the later ones."""
    middle_us = np.sort(asked.at_us[earlier])[int(earlier.sum()) // 2]
    first, then = earlier & (asked.at_us < middle_us), earlier & (asked.at_us >= middle_us)
    penalty = _PENALTIES[-1]
    if all(0 < asked.label[part].sum() < part.sum() for part in (first, then)):
        truth = asked.label[then]
        penalty = min(_PENALTIES, key=lambda one: log_losses(truth, _probe(columns, asked.label, first, then, one)).mean())
    return _probe(columns, asked.label, earlier, ~earlier, penalty)


def _probe(columns: Float32, label: Float64, fits: Bool, judges: Bool, penalty: float) -> Float64:
    mean, spread = columns[fits].mean(0), columns[fits].std(0)
    standard = ((columns - mean) / np.where(spread > 0, spread, 1)).astype(np.float64)
    w = ridge(standard[fits], label[fits], penalty)
    said: Float64 = 0.5 * (1 + np.tanh(0.5 * (standard[judges] @ w[:-1] + w[-1])))
    return said
