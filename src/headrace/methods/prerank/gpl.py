"""Generative pseudo-labels: what a user was foreseen to want says how an item that was never shown would have done.

    s(u, i) = max over anchors m of  cos(e(i), v(a_m)),   a* the anchor that attains it
    ỹ = sigmoid((s - μ) / T),   μ and T by logistic regression of clicks on s over what was shown; or 1[s > threshold]
    w = κ^dispersion · η^history · π^confidence, over its mean (of what was not shown, when fitted), clipped
        κ = ||mean over m of v(a_m)||                     how alike the user's anchors are
        η = max over the user's past i of cos(v(a*), e(i)), at least 0
        π = P(a* | history)^(1/L)                         how sure the writer was, a code

Anchors are written offline (`methods/prerank/anchors`), v is in the space of the items' own vectors (`encode.semantic_ids.
anchors`), so neither hangs on what was shown. Cosines are no probabilities: without the regression the labels would move the
model's mean. A user without anchors, and an item without a vector, get weight 0.
Shapes: R requests of C candidates, M anchors, T past items, d: vectors. Cost O(R (C M + M T) d), some requests at a time.
Use it where much is recalled that is never shown, and items' contents say what users want. It loses to `distil` where the
ranker knows more than contents do. `anchors = "history"` is its control: centres of the user's own past instead of what a writer
foresaw. Relation to `ukdsl`: no teacher, so no teacher's bias either.
Paper: GPL (arXiv 2602.20995). Most formulas here are our reading: docs/papers/gpl.md.
"""

import logging
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Bool, Candidates, Float32, Int64, Requests
from headrace.contracts.seams import PseudoLabels
from headrace.encode.centres import centres
from headrace.encode.semantic_ids.anchors import Anchors, Centroids, unit
from headrace.optim.logistic import fitted

_NUMBERS = 1 << 23  # held at once, a few tens of MiB
log = logging.getLogger(__name__)

Scalar = bool | int | float | str
Settings = Mapping[str, Scalar | Mapping[str, Scalar | Mapping[str, Scalar]]]


@config
class GPLConfig:
    anchors: Literal["written", "history"] = "written"
    """history: no writer; centres of the user's past stand for what it would have written."""
    n: Annotated[int, Gt(0)] = 10
    """Anchors a user."""
    writer: str = "causal"
    writer_settings: Settings = field(default_factory=dict)
    """Its own keys."""
    dispersion: Annotated[float, Ge(0)] = 1 / 3
    """Exponents of the three factors; 0 leaves one out."""
    history: Annotated[float, Ge(0)] = 1 / 3
    confidence: Annotated[float, Ge(0)] = 1 / 3
    weighted: bool = True
    """False: whatever is labelled counts alike."""
    least: Annotated[float, Gt(0)] = 0.05
    most: Annotated[float, Gt(0)] = 3.0
    """Of a weight, in means."""
    threshold: float | None = None
    """Of s, above which a hard label is 1; None: the soft label."""
    past: Annotated[int, Gt(0)] = 50
    """Newest items that are the user's past."""

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise ConfigError(f"gpl: least is {self.least:g} and most {self.most:g}: a weight can't be clipped to that.")


class GPL:
    """A `PseudoLabeler`."""

    Config = GPLConfig
    revision = 1
    needs: tuple[str, ...] = ("item_vectors", "semantic_ids", "anchors")

    def __init__(self, config: GPLConfig, *, seed: int = 0):
        self.config = config
        if config.anchors == "history":
            self.needs = ("item_vectors",)

    def fit(self, lists: CandidateLists, artifacts: Mapping[str, Any]) -> None:
        """The scale of labels, from what was shown, and of weights, from what was not."""
        self._take(artifacts)
        shown = lists.candidates.there if lists.known is None else lists.known & lists.candidates.there
        if not shown.any():
            raise DataError(
                f"gpl: none of the candidates of {len(lists):,} requests was shown, so there is nothing that says how often what "
                "is relevant is chosen. Give it lists of impressions: what was shown is marked as known."
            )
        score, weight = self._read(lists.requests, lists.candidates)
        told = shown & ~np.isnan(score)
        if not told.any():
            raise DataError(
                "gpl: no user who was shown something has anchors, so they can't be held against what was chosen. Write the "
                "anchors of these users, from a log that knows them before these requests."
            )
        hidden = ~shown & ~np.isnan(score)
        self.mean_weight = max(float(weight[hidden if hidden.any() else told].mean(dtype=np.float64)), 1e-12)
        label = lists.label[told].astype(np.float64)
        self.slope, self.constant = fitted(score[told].astype(np.float64)[:, None], label).tolist()
        if self.slope <= 0:
            log.warning(
                "gpl: of %s shown candidates the more relevant are not chosen more often: every label is the base rate, %.4g.",
                f"{len(label):,}", _sigmoid(np.array(self.constant)),
            )  # fmt: skip

    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels:
        settings = self.config
        score, weight = self._read(requests, unshown)
        told = ~np.isnan(score)
        score = np.where(told, score, 0)
        if settings.threshold is None:
            label = _sigmoid(self.slope * score + self.constant)
        else:
            label = (score > settings.threshold).astype(np.float64)
        clipped = np.clip(weight / self.mean_weight, settings.least, settings.most) if settings.weighted else np.ones_like(weight)
        return PseudoLabels(np.where(told, label, 0).astype(np.float32), np.where(told, clipped, 0).astype(np.float32))

    @property
    def middle(self) -> float:
        """μ: the relevance of an even chance."""
        return -self.constant / self.slope if self.slope else float("inf")

    @property
    def temperature(self) -> float:
        """T."""
        return 1 / self.slope if self.slope else float("inf")

    def _take(self, artifacts: Mapping[str, Any]) -> None:
        for name in self.needs:
            if artifacts.get(name) is None:
                raise DataError(
                    f"gpl needs {name}, and has: {', '.join(sorted(artifacts)) or 'nothing'}. Items need texts to have vectors "
                    "and semantic ids, and anchors are written from these."
                )
        vectors: Float32 = artifacts["item_vectors"]
        self.vectors = unit(vectors)
        self.vectors[0] = 0
        self.written: tuple[Anchors, Centroids] | None = None
        if self.config.anchors == "written":
            anchors: Anchors = artifacts["anchors"]
            anchors.check(artifacts["semantic_ids"])
            self.written = anchors, Centroids(artifacts["semantic_ids"], vectors)

    def _read(self, requests: Requests, candidates: Candidates) -> tuple[Float32, Float32]:
        """Relevance and weight before it is scaled, [R, C]; NaN and 0 where there is nothing to say."""
        if self.written is not None:
            _refuse_early(requests, self.written[0].as_of_us)
        score = np.full(candidates.items.shape, np.nan, np.float32)
        weight = np.zeros(candidates.items.shape, np.float32)
        width, dim = candidates.items.shape[1], self.vectors.shape[1]
        size = (width + self.config.past + self.config.n) * (dim + self.config.n)
        for rows, part in requests.chunks(max(_NUMBERS // size, 1)):
            score[rows], weight[rows] = self._read_some(part, self._known(candidates.items[rows]))
        return score, weight

    def _read_some(self, requests: Requests, items: Any) -> tuple[Float32, Float32]:
        settings = self.config
        vectors, past = self.vectors[items], self.vectors[self._known(requests.history.last(settings.past))]
        anchors, there, sure = self._anchors(requests, past)
        score, which = relevance(vectors, anchors, there)
        weight = dispersion(anchors, there)[:, None] ** settings.dispersion
        agreed = np.take_along_axis(consistency(anchors, past), which, 1)
        weight = weight * agreed**settings.history * np.take_along_axis(sure, which, 1) ** settings.confidence
        told = there.any(1, keepdims=True) & np.any(vectors, axis=2)
        return np.where(told, score, np.float32(np.nan)), np.where(told, weight, np.float32(0)).astype(np.float32)

    def _anchors(self, requests: Requests, past: Float32) -> tuple[Float32, Bool, Float32]:
        """Vectors [R, M, d], which there are and π of each [R, M]."""
        if self.written is None:
            mine, there = centres(past, np.any(past, axis=2), self.config.n)
            return mine, there, there.astype(np.float32)
        anchors, centroids = self.written
        codes, log_prob = anchors.of(requests.users, self.config.n)
        found = centroids.of(codes)
        there = np.any(codes >= 0, axis=2) & np.any(found, axis=2)
        return found, there, np.exp(log_prob / codes.shape[2])

    def _known(self, items: Any) -> Any:
        """0 for items that came since the vectors were made."""
        return np.where(items < len(self.vectors), items, 0)


def relevance(items: Float32, anchors: Float32, there: Bool) -> tuple[Float32, Int64]:
    """[R, C, d] and [R, M, d], all of length 1 -> the largest cosine and whose it is, [R, C]."""
    cosine = np.where(there[:, None], items @ anchors.transpose(0, 2, 1), np.float32(-np.inf))
    which = cosine.argmax(2)
    return np.take_along_axis(cosine, which[..., None], 2)[..., 0], which


def dispersion(anchors: Float32, there: Bool) -> Float32:
    """κ [R]: 1 where all anchors are one, near 0 where they point everywhere."""
    mean = np.where(there[..., None], anchors, np.float32(0)).sum(1) / np.maximum(there.sum(1), 1)[:, None]
    found: Float32 = np.linalg.norm(mean, axis=1)
    return found


def consistency(anchors: Float32, past: Float32) -> Float32:
    """η [R, M]: how near something in the user's past [R, T, d] is to each anchor. An empty past agrees with nothing."""
    found: Float32 = np.maximum((anchors @ past.transpose(0, 2, 1)).max(2, initial=0), 0)
    return found


def _refuse_early(requests: Requests, as_of_us: int) -> None:
    early = np.flatnonzero(requests.at_us <= as_of_us)
    if len(early):
        raise DataError(
            f"gpl: request {requests.ids[early[0]]} is of {int(requests.at_us[early[0]])} us, and the anchors may know events "
            f"up to {as_of_us} us: {len(early):,} requests would be labelled by what came after them. Write the anchors from the "
            "log as it stood before these requests."
        )


def _sigmoid(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * x))
