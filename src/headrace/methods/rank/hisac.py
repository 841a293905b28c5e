"""HiSAC: a user's whole history as a few agents, chosen by votes in a tree of semantic ids, that every candidate of theirs reads.

    votes      of leaves (an item's codes but the one that tells items apart), up the tree;  down it each kept node keeps its best
    alpha_at = softmax over all events t of  -||p_a - z_t||² / tau        p, z: frozen vectors of leaves, tau of their distances
    Z_a      = omega_a sum_t alpha_at v_t,      omega_a ∝ votes_a^gamma, 1 on average      v_t: the learned vector of event t
    logit    = head([user, q, attention of q over Z, ...])                                 `nn/long_history.py`

Shapes: events [R, T, D], leaves' places [n_leaves + 1, d], agents [R, M], Z [R, M, D]. Cost: O(L T log T + M T (d + D)) a
request, O(M D) a candidate whatever T is. A user's state is Z; with `ages = false` it is made of sums, to which a new event is
added in O(G D), G the leaves there are (`state_of`, `updated`, `less`, `read_of`), and scores are those of all events read anew.
Use it where histories are long, hold several interests, and thousands of candidates are scored a request. It loses where a
candidate asks for one event in particular (SIM, ETA and TWIN find those), and where histories have few more events than agents:
read them as they are. `din` reads every event for every candidate, at a cost that grows with T.
Paper: HiSAC (arXiv 2602.21009); p, z as means of items' vectors, tau, gamma and the sums are our reading: docs/papers/hisac.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.explaining import Interests
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Bool, Float32, Int32, Int64, Requests
from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, State
from headrace.data.rank_inputs import AGES, user_batch
from headrace.encode.semantic_ids.anchors import Centroids
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.nn.fields import FieldShapes
from headrace.nn.interest_sums import InterestSums
from headrace.nn.long_history import LongHistoryScorer
from headrace.nn.pooling import mean_over
from headrace.nn.routing import hard_routed, soft_routed, squared_distances
from headrace.nn.votes import Agents, Ballot, cast, elected, flat
from headrace.objectives.choice import learned_choice
from headrace.objectives.long_choice import LongConfig

_DRAWN = 500


@config
class HiSACConfig(LongConfig):
    """kept: agents at most, where the levels would keep more; with flat voting so many."""

    kept_per_level: tuple[int, ...] = (8, 5)
    """Children that a kept node keeps, the root's first; further levels keep as many as the last."""
    gamma: Annotated[float, Ge(0)] = 0.5
    """omega_a ∝ votes_a^gamma; 0: all agents are equals."""
    temperature: Annotated[float, Gt(0)] = 0.1
    """tau in units of the median squared distance between two leaves."""
    voting: Literal["hierarchical", "flat"] = "hierarchical"
    routing: Literal["soft", "hard"] = "soft"
    rest: bool = False
    """One vector more to read: the plain mean of all events."""
    ages: bool = True
    """Whether events know how long ago they were. Without, a user's state is updated an event at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kept_per_level or min(self.kept_per_level) < 1:
            raise ConfigError(f"kept_per_level = {list(self.kept_per_level)}: expected a number of at least 1 for each level.")


class HiSAC(LongHistoryScorer):
    """A learned `Scorer`. needs: features, candidate lists, semantic ids and the item vectors they were made of.

    leaf [n_items]: 0 for an item without codes. tree [n_leaves + 1, L], as `nn.votes` has it. places [n_leaves + 1, d].
    """

    Config = HiSACConfig
    revision = 1
    needs: tuple[str, ...] = ("features", "candidate_lists", "semantic_ids", "item_vectors")
    frozen = ("leaf", "tree", "places", "tau")
    config: HiSACConfig
    leaf: Tensor
    tree: Tensor
    places: Tensor
    tau: Tensor

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        ids: SemanticIds = artifacts["semantic_ids"]
        if len(ids) != interactions.n_items or ids.levels < 2:
            raise DataError(
                f"hisac: semantic ids of {len(ids):,} items in {ids.levels} levels, for a catalogue of {interactions.n_items:,}. "
                "Expected codes for all of it, with one level of meaning or more before the one that tells items apart."
            )
        self._hold(self._placed(ids, artifacts["item_vectors"]))
        return replace(learned_choice(self, interactions, artifacts), made_of={"semantic_ids": ids.fingerprint})

    @property
    def incremental(self) -> bool:
        return not self.config.ages

    @torch.no_grad()
    def state_of(self, items: Int32, at_us: Int64) -> InterestSums:
        """One user's events [T], oldest first."""
        return self.updated(InterestSums.none(self.config.item_dim), items, at_us)

    @torch.no_grad()
    def updated(self, sums: InterestSums, items: Int32, at_us: Int64) -> InterestSums:
        """With newer events [E]. sums: of these weights; a model that was trained again makes them anew."""
        if self.config.ages:
            raise ConfigError("hisac: with ages = true an event's vector changes by the hour, so no sums hold. Set ages = false.")
        leaves, values, seen = self._events(items)
        return sums.updated(leaves, at_us[seen], values)

    @torch.no_grad()
    def less(self, sums: InterestSums, items: Int32) -> InterestSums:
        """Without the oldest events [E]: with `history` of them, as many go as come."""
        leaves, values, _ = self._events(items)
        return sums.less(leaves, values)

    @torch.no_grad()
    def features_of(self, batch: Batch) -> State:
        """What is beside "read" and "there" in a state."""
        return {"features": self.fields.user(batch)}

    @torch.no_grad()
    def read_of(self, sums: InterestSums) -> State:
        """One user's "read" [1, M, D] and "there" [1, M], which `score` reads beside the user's features."""
        ballot = sums.ballot
        whole = torch.tensor([sums.events > 0])
        return self._state(self._agents(ballot), ballot.leaves, ballot.votes, sums.means, sums.mean, whole)

    @torch.no_grad()
    def agents_of(self, requests: Requests) -> Interests:
        """Behind an agent stand the events on its own leaf; with soft routing those near it have a part in it too."""
        leaves = self._leaves(self._items(user_batch(requests, self.schema)))
        agents = self._agents(cast(leaves))
        own = (leaves.unsqueeze(2) == agents.leaves.unsqueeze(1)) & (agents.there.unsqueeze(1))
        of_event = torch.where(own.any(2), own.long().argmax(2), -1)
        return Interests(agents.votes.numpy(), _weights(agents, self.config.gamma).numpy(), of_event.numpy())

    def _kept(self, batch: Batch) -> State:
        items, values = self._items(batch), self._past(batch)
        leaves, there = self._leaves(items), items > 0
        mean = mean_over(values, there) if self.config.rest else values[:, 0]
        return self._state(self._agents(cast(leaves)), leaves, (leaves > 0).long(), values, mean, there.any(1))

    def _past(self, batch: Batch) -> Tensor:
        return super()._past(batch) if self.config.ages else self._target(self._items(batch))

    def _begin(self, shapes: FieldShapes, stages: int) -> None:
        super()._begin(shapes, stages)
        if not self.config.ages:
            self.schema = {name: field for name, field in self.schema.items() if name != AGES}

    def _agents(self, ballot: Ballot) -> Agents:
        settings, levels = self.config, self.tree.shape[1]
        if settings.voting == "flat":
            return flat(ballot, settings.kept)
        most = (*settings.kept_per_level, *settings.kept_per_level[-1:] * levels)[:levels]
        return elected(ballot, self.tree, most, settings.kept)

    def _state(self, agents: Agents, leaves: Tensor, votes: Tensor, values: Tensor, mean: Tensor, any_: Tensor) -> State:
        """leaves, votes, values: of events, or of leaves with their means. mean [R, D]: of all. any_ [R]: there are some."""
        there = agents.there
        distances = squared_distances(self.places[agents.leaves], self.places[leaves])
        if self.config.routing == "soft":
            read = soft_routed(distances, self.tau, votes, there, values)
        else:
            own = agents.leaves.unsqueeze(2) == leaves.unsqueeze(1)
            read = hard_routed(distances, own & there.unsqueeze(2), votes, there, values)
        read = read * _weights(agents, self.config.gamma).unsqueeze(-1)
        if self.config.rest:
            read, there = torch.cat([read, mean.unsqueeze(1)], 1), torch.cat([there, any_.unsqueeze(1)], 1)
        return {"read": read, "there": there}

    def _events(self, items: Int32) -> tuple[Int64, Float32, Bool]:
        """Leaves and vectors of the items that are known, and which they are."""
        found = self.fields.known(torch.from_numpy(items.astype(np.int64)))
        seen = (found > 0).numpy()
        return self._leaves(found).numpy()[seen], self._target(found).numpy()[seen], seen

    def _leaves(self, items: Tensor) -> Tensor:
        return self.leaf[items.masked_fill(items >= len(self.leaf), 0)]

    def _placed(self, ids: SemanticIds, vectors: Float32) -> Mapping[str, NDArray[Any]]:
        """The frozen buffers."""
        codes, leaf_of = np.unique(ids.codes[ids.there, :-1], axis=0, return_inverse=True)
        leaf = np.zeros(len(ids), np.int64)
        leaf[ids.there] = leaf_of.reshape(-1) + 1
        tree = np.zeros((len(codes) + 1, codes.shape[1]), np.int64)
        for level in range(codes.shape[1]):
            # rows ascend, so a node begins where its codes differ from the row's above
            begins = np.any(codes[1:, : level + 1] != codes[:-1, : level + 1], axis=1)
            tree[1:, level] = 1 + np.concatenate([[0], np.cumsum(begins)])[: len(codes)]
        places = np.concatenate([np.zeros((1, vectors.shape[1]), np.float32), Centroids(ids, vectors).of(codes.astype(np.int32))])
        return {"leaf": leaf, "tree": tree, "places": places, "tau": self._tau(places[1:])}

    def _tau(self, places: Float32) -> Float32:
        rows = rng(self.seed, "leaves").permutation(len(places))[:_DRAWN]
        apart = squared_distances(*[torch.from_numpy(places[rows])] * 2).numpy()[np.triu_indices(len(rows), 1)]
        typical = float(np.median(apart)) if len(apart) else 1.0
        return np.array(self.config.temperature * max(typical, 1e-6), np.float32)


def _weights(agents: Agents, gamma: float) -> Tensor:
    """omega [R, M]: 1 on average over a user's agents."""
    powers = agents.votes.float().pow(gamma) * agents.there
    found: Tensor = powers * agents.there.sum(1, keepdim=True) / powers.sum(1, keepdim=True).clamp(min=1)
    return found
