"""What an upstream model knows of its log's users and items, made: the layer searched, states of every request kept.

    made = founding(open_live(run), Decay(by="time"))
    write_foundation(folder, *made)

A user's state after a request: UR at the request, and the chosen layer's sum over all they were shown until then, that request
included. An item's: IR, and its own sum; before the first time it was shown IR alone, which holds from the beginning. Both hold
from just after their moment (`data.aggregator`), so what a row reads is of earlier requests alone.
Cost: two passes of the ranker over what was shown, one where the layer is named; memory requests x (du + w) and impressions x
(di + w) floats.
"""

from typing import NamedTuple

import numpy as np
import polars as pl

from headrace.artifacts.at_work import at_work
from headrace.cascade.layer_search import Searched, search
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.upstream import Frozen, Upstream
from headrace.contracts.config import as_dict
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.progress import Progress, both, silent
from headrace.contracts.requests import Int32
from headrace.data.aggregator import ALWAYS, Aggregator, Decay, standardised, states_of
from headrace.data.foundation import Foundation, States
from headrace.methods.rank.foundation import FoundationRanker
from headrace.nn.state import arrays_of

AUTO = "auto"


class Made(NamedTuple):
    """As `cascade.foundation.write_foundation` takes it."""

    foundation: Foundation
    user_ids: pl.Series
    item_ids: pl.Series


def founding(pipeline: Pipeline, decay: Decay, layer: str = AUTO, progress: Progress = silent) -> Made:
    """pipeline: of a finished build whose ranker is `foundation`. layer: CR0 .. CRk, or the one that a search finds."""
    told = at_work(pipeline.graph.store.root)  # the build is read, so its graph tells nothing
    with told.stage("foundation"):
        return _found(pipeline, decay, layer, both(told, progress))


def _found(pipeline: Pipeline, decay: Decay, layer: str, progress: Progress) -> Made:
    upstream = Upstream.of(pipeline)
    ranker, log = upstream.ranker, pipeline.log
    layers = [name for name in ranker.widths if name != "UR"]
    if layer not in (AUTO, *layers):
        raise ConfigError(f'--layer "{layer}" is none of this upstream.{nearest(layer, layers)} It has: {listed(layers)}.')
    found = search(upstream, decay, progress) if layer == AUTO else Searched(layer, {}, {})
    users, items = states(upstream, found.best, decay, progress)
    numbers = np.flatnonzero(np.diff(users.offsets)).astype(np.int32)
    known = known_by(
        ranker, _only(users, numbers), items, found, decay, pipeline.window("rank")[1], pipeline.scorer("rank").digest
    )
    return Made(known, log.users.ids.gather(numbers - 1), log.items.ids)


def known_by(
    ranker: FoundationRanker, users: States, items: States, found: Searched, decay: Decay, trained_until_us: int, made_of: str
) -> Foundation:
    """users, items: as `states` has them of the layer that was found."""
    width = ranker.widths[found.best]
    settings = {
        "tasks": list(ranker.tasks), "layer": found.best, "layers": dict(found.layers), "probed": dict(found.probed),
        "decay": as_dict(decay), "ranker": as_dict(ranker.config),
        "block": {"width": ranker.joined_width(0), "crosses": ranker.config.crosses, "hidden": list(ranker.config.hidden)},
    }  # fmt: skip
    return Foundation(
        users, items, {"UR": ranker.config.user_width, "CR": width}, {"IR": ranker.config.item_width, "CR": width}, ranker.read,
        arrays_of(ranker.body.block), settings, trained_until_us, made_of,
    )  # fmt: skip


def states(upstream: Frozen, layer: str, decay: Decay, progress: Progress = silent) -> tuple[States, States]:
    """Of users, UR and CR, and of items, IR and CR, in the log's numbers."""
    width = upstream.ranker.widths[layer]
    rows, users, items, at_us = upstream.samples
    of_users, of_items = (Aggregator(size, width, decay) for size in (upstream.n_users, upstream.n_items))
    ends = np.diff(rows, append=-1) != 0  # a request's last sample: its user's state is then whole
    catalogue = np.arange(1, upstream.n_items, dtype=np.int32)
    always = upstream.of_items(catalogue)
    theirs, its = [], [np.pad(always, ((0, 0), (0, width)))]
    for samples, values in upstream.runs(progress, "states"):
        last = ends[samples]
        sums = standardised(of_users.add(users[samples], at_us[samples], values[layer])[last])
        theirs.append(np.concatenate([values["UR"][last], sums], 1))
        sums = standardised(of_items.add(items[samples], at_us[samples], values[layer]))
        its.append(np.concatenate([values["IR"], sums], 1))
    whole = np.concatenate([np.full(len(catalogue), ALWAYS), at_us])
    return (
        states_of(users[ends], at_us[ends], np.concatenate(theirs), upstream.n_users),
        states_of(np.concatenate([catalogue, items]), whole, np.concatenate(its), upstream.n_items),
    )


def _only(states: States, numbers: Int32) -> States:
    """Those of these entities, which have states and no other has; the first of them is number 1 then."""
    lengths = np.diff(states.offsets)[numbers]
    return States(np.concatenate([[0, 0], np.cumsum(lengths)]).astype(np.int64), states.at_us, states.values)
