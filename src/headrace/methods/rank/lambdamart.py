"""LambdaMART: boosted regression trees on features of (request, candidate), each tree fitted to the gradient of NDCG.

    λ_ij = -σ / (1 + exp(σ (s_i - s_j))) · |ΔNDCG_ij|      for i chosen, j not
    loss = "pointwise":  y - p  of each candidate alone, so that sigmoid(score) is a probability

Features: what each retriever said, log popularity, the codes of user, candidate and pair, and per item feature the affinity: the
share of the newest history that has the candidate's codes. Where items have vectors, the cosine of the candidate's with the
history's mean. Shapes: [R, C] candidates -> [R, C] scores; listwise they are no probabilities, pointwise they are logits.
`tune` trials search for leaves, rate, rows a leaf and the number of trees on the newest 15% of its lists, then all are fitted.
Cost: fit O(trees · rows · features), 1,000 requests in seconds, `tune` times as much where it searches; some 1 µs a candidate
and 100 trees on one thread.
Use it as the baseline of every ranker, tuned with as many trials as they have; below 10,000 requests it is hard to beat. It can't
learn embeddings, so it knows a user's taste by the affinities alone and falls behind where there is much data and many items.
Paper: Burges, MSR-TR-2010-82, section 7, as LightGBM has it (Ke et al., NeurIPS 2017). Our reading: docs/papers/lambdamart.md.
"""

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from headrace.contracts.batch import Batch, Field, Schema
from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.seams import Outputs, State
from headrace.data.rank_inputs import ListBatches, list_schema
from headrace.nn.boosted_trees import TreeRows, TreeSettings, boosted, scores, searched, the_lightgbm
from headrace.nn.fields import log_popularity
from headrace.nn.pooling import mean_over

TASK = "choice"
_HELD = 0.15
"""The newest share of the lists, which a search stops and chooses by."""


@config
class LambdaMARTConfig:
    trees: Annotated[int, Gt(0)] = 100
    leaves: Annotated[int, Gt(1)] = 15
    learning_rate: Annotated[float, Gt(0), Le(1)] = 0.1
    rows_per_leaf: Annotated[int, Gt(0)] = 50
    """Candidates a leaf holds at least."""
    history: Annotated[int, Gt(0)] = 20
    width: Annotated[int, Gt(1)] = 200
    """Candidates a request while fitting: all that were chosen and a draw of the others."""
    loss: Literal["listwise", "pointwise"] = "listwise"
    """pointwise: of whole lists, so that sigmoid(score) is a probability; `width` has no say."""
    tune: Annotated[int, Ge(0)] = 0
    """Trials of a search whose first is the settings above; a trial stops by itself, at 10 times `trees` at most."""
    threads: Annotated[int, Gt(0)] = 1


class LambdaMART(nn.Module):
    """A closed-form `Scorer`; a module only so that it is asked like the others. needs: fitted features and candidate lists."""

    Config = LambdaMARTConfig
    revision = 2
    needs = ("features", "candidate_lists")

    def __init__(self, config: LambdaMARTConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def fit(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> None:
        lists, settings = artifacts["candidate_lists"], self.config
        stages = list(lists.candidates.scores)
        self.codes = {name: torch.from_numpy(codes).long() for name, codes in sorted(interactions.features.items())}
        self.popularity = torch.from_numpy(log_popularity(interactions)).float()
        vectors = artifacts["features"].item_vectors
        self.vectors = None if vectors is None else normalize(torch.from_numpy(vectors), dim=1)
        self._asked(
            sorted(set(lists.requests.features) & set(artifacts["features"].sizes)),
            len(stages),
            sorted(lists.candidates.features),
        )
        if not settings.tune:
            self.booster = boosted(self._rows(lists), self._first, settings.loss, seed=self.seed, threads=settings.threads)
            return
        order = np.lexsort((lists.requests.ids, lists.requests.at_us))
        older = ceil((1 - _HELD) * len(order))
        known = self._rows(lists.take(order[:older]))
        held = self._rows(lists.take(order[older:]), f"newest {_HELD:.0%} of the rank window, which stop the trials of tune,")
        _, self.booster = searched(
            known, held, self._first, settings.loss, trials=settings.tune, seed=self.seed, threads=settings.threads
        )

    def user(self, batch: Batch) -> State:
        """features [R, user features]; per item feature the share of the newest history that has each code, [R, codes]."""
        past = self._known(batch["history"])
        features = [batch[name].float() for name in self.user_names]
        state = {"features": torch.stack(features, 1) if features else torch.zeros(len(past), 0)}
        for name, codes in self.codes.items():
            found = codes[past].flatten(1)
            shares = torch.zeros(len(past), int(codes.max()) + 1).scatter_add_(1, found, torch.ones(found.shape))
            state[name] = shares / (past > 0).sum(1, keepdim=True).clamp(min=1)
        if self.vectors is not None:
            state["vector"] = normalize(mean_over(self.vectors[past], past > 0), dim=1)
        return state

    def score(self, state: State, candidates: Batch) -> Outputs:
        matrix = self._matrix(state, candidates)
        found = scores(self.booster, matrix.flatten(0, 1).numpy(), threads=self.config.threads)
        return Outputs({TASK: torch.from_numpy(found).view(matrix.shape[:2])})

    @property
    def probabilities(self) -> bool:
        """Whether the sigmoid of a score is one, rather than a score that orders a request's candidates alone."""
        return self.config.loss == "pointwise"

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        text = self.booster.model_to_string().encode()
        return {
            **{f"codes.{name}": codes.int().numpy() for name, codes in self.codes.items()},
            **{f"user.{name}": np.array(True) for name in self.user_names},
            **{f"pair.{name}": np.array(True) for name in self.pair_names},
            **({} if self.vectors is None else {"vectors": self.vectors.numpy()}),
            "popularity": self.popularity.numpy(), "stages": np.array(self.stages), "seed": np.array(self.seed),
            "booster": np.frombuffer(text, np.uint8),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, config: LambdaMARTConfig, arrays: Mapping[str, NDArray[Any]]) -> "LambdaMART":
        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): arrays[name] for name in sorted(arrays) if name.startswith(prefix)}

        made = cls(config, seed=int(arrays["seed"]))
        made.codes = {name: torch.from_numpy(codes).long() for name, codes in part("codes.").items()}
        made.popularity = torch.from_numpy(np.array(arrays["popularity"]))
        made.vectors = torch.from_numpy(np.array(arrays["vectors"])) if "vectors" in arrays else None
        made._asked(list(part("user.")), int(arrays["stages"]), list(part("pair.")))
        made.booster = the_lightgbm().Booster(model_str=arrays["booster"].tobytes().decode())
        return made

    def _asked(self, user_names: list[str], stages: int, pair_names: list[str]) -> None:
        self.user_names, self.stages, self.pair_names = user_names, stages, pair_names
        users = {name: Field("int64", ("rows",)) for name in user_names}
        self.schema: Schema = {"history": Field("int64", ("rows", self.config.history)), **users}
        self.candidate_schema = list_schema(stages, pair_names)

    def _matrix(self, state: State, candidates: Batch) -> Tensor:
        """[R, C, features]. Of a list feature, its first code."""
        items = self._known(candidates["items"])
        columns = [candidates["retrieval"], self.popularity[items].unsqueeze(-1)]
        columns.append(state["features"].unsqueeze(1).expand(*items.shape, -1))
        for name, codes in self.codes.items():
            own = codes[items].view(*items.shape, -1)  # [R, C, codes an item]
            share = state[name].gather(1, own.flatten(1)).view(own.shape)
            columns += [own[..., :1].float(), mean_over(share.unsqueeze(-1), own > 0)]
        columns += [candidates[name].unsqueeze(-1).float() for name in self.pair_names]
        if self.vectors is not None:
            columns.append(self.vectors[items] @ state["vector"].unsqueeze(-1))
        return torch.cat(columns, -1)

    def _known(self, items: Tensor) -> Tensor:
        """An item of a catalogue that has grown since is unknown."""
        return items.masked_fill(items >= len(self.popularity), 0)

    @property
    def _first(self) -> TreeSettings:
        settings = self.config
        return TreeSettings(settings.trees, settings.leaves, settings.learning_rate, settings.rows_per_leaf)

    def _rows(self, lists: CandidateLists, of: str = "rank window") -> TreeRows:
        """Every candidate that is there and whose label says something."""
        batches = ListBatches(
            lists, self.schema, list(lists.candidates.scores), pairs=self.pair_names, width=self.config.width, batch_size=256,
            seed=self.seed, whole=self.probabilities,
        ).epoch(0)  # fmt: skip
        rows, labels, groups = [], [], []
        for batch in batches:
            there = batch["items"] > 0
            rows.append(self._matrix(self.user(batch), batch)[there])
            labels.append(batch["label"][there])
            groups.append(there.sum(1))
        if not any(float(label.sum()) for label in labels):
            raise DataError(
                f"lambdamart: of no request of the {of} was a candidate chosen, so there is no order to learn. "
                "Raise [retrieve] k, or rank_share in [split]."
            )
        matrix, label, sizes = (torch.cat(parts).numpy() for parts in (rows, labels, groups))
        return TreeRows(matrix, label, None if self.probabilities else sizes)
