"""The world's own cascade: what is recalled for a request, and what its two stages think of it.

    seen user   θ̂ = θ + N(0, noise² I)           once a request; |e| = 1, so θ̂·e = θ·e + N(0, noise²)
    recall      120 nearest by θ̂·e, then 60 most popular, then 20 uniform of the rest: none twice
    stage 1     θ̂·e + 0.5 b                      the true logit but for its constants, and noise of sd 1
    stage 2     (1 - w) θ̂·e + w 6 cos(h, e) + 0.5 b + g match     of the 40 best by stage 1
                h the mean vector of the newest 50 items of the history, match the share of the newest 5 in the item's topic;
                w = 0.5, or 0 without a history; g = 0.5

Stage 1 knows x1 = (noisy user vector, item vector and so topic, popularity), stage 2 also x2 = (cosine with the history,
match); that noise comes through the user vector, and the coefficients, are our reading. Candidates are sorted by stage 1.
All is a function of the request alone. Cost O(R items dim), in chunks of rows.
"""

import numpy as np

from headrace.contracts.requests import Candidates, Float32, Float64, History, Int64, Requests
from headrace.world.catalogue import Catalogue
from headrace.world.draws import normals, uniforms
from headrace.world.settings import WorldConfig, day_of
from headrace.world.tastes import LENGTH
from headrace.world.truth import POPULARITY_WEIGHT, Truth

SOURCES = ("nearest", "popular", "uniform")
_ROWS_AT_ONCE = 512
SPOKEN_FOR, RECENT_MATCHED = 50, 5


class Recall:
    def __init__(self, config: WorldConfig, catalogue: Catalogue, truth: Truth, seed: int):
        self.config, self.catalogue, self.truth, self.seed = config, catalogue, truth, seed
        self.vectors = catalogue.vectors.astype(np.float32)
        self.pull = (POPULARITY_WEIGHT * catalogue.popularity).astype(np.float32)

    def __call__(self, requests: Requests) -> Candidates:
        """scores: nearest, popular, uniform (each where it proposed the item), stage1 of all, stage2 of what is considered."""
        size = self.config.recalled
        items = np.zeros((len(requests), size), np.int32)
        scores = {name: np.full(items.shape, np.nan, np.float32) for name in (*SOURCES, "stage1", "stage2")}
        days = day_of(requests.at_us)
        for day in np.unique(days).tolist():
            rows = np.flatnonzero(days == day)
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                some = rows[start : start + _ROWS_AT_ONCE]
                found = self._of_day(requests.take(some), self.catalogue.known(day))
                items[some] = found.items
                for name, values in found.scores.items():
                    scores[name][some] = values
        return Candidates(items, scores)

    def seen(self, requests: Requests) -> Float32:
        """θ̂ [R, dim]."""
        taste = self.truth.taste(requests.users, requests.at_us)
        noise = normals(self.seed, "seen user", requests.ids, np.arange(self.config.dim))
        return (taste + self.config.user_noise * noise).astype(np.float32)

    def _of_day(self, requests: Requests, n: int) -> Candidates:
        config, user = self.config, self.seen(requests)
        rows = np.arange(len(requests))[:, None]
        near = user @ self.vectors[1 : n + 1].T
        nearest = np.argpartition(near, n - config.nearest, axis=1)[:, n - config.nearest :]
        taken = np.zeros(near.shape, np.bool_)
        taken[rows, nearest] = True
        # No more of these than the nearest are taken already, so enough are left.
        known = np.argsort(-self.pull[1 : n + 1], kind="stable")[: config.popular + config.nearest]
        free = ~taken[:, known]
        popular = known[np.nonzero(free & (free.cumsum(1) <= config.popular))[1]].reshape(len(rows), config.popular)
        rest = self._uniform(requests, np.concatenate([nearest, popular], 1), n)
        places = np.concatenate([nearest, popular, rest], 1)
        like = near[rows, places]
        stage1 = like + self.pull[places + 1]
        order = np.argsort(-stage1, axis=1, kind="stable")
        items = np.take_along_axis(places, order, 1).astype(np.int32) + np.int32(1)
        like, stage1 = np.take_along_axis(like, order, 1), np.take_along_axis(stage1, order, 1)
        source = np.repeat(np.arange(3), [config.nearest, config.popular, config.uniform])[order]
        own = (like, 2 * self.pull[items], np.zeros_like(like))
        scores = {name: np.where(source == one, own[one], np.float32(np.nan)) for one, name in enumerate(SOURCES)}
        stage2 = np.full(stage1.shape, np.nan, np.float32)
        some = slice(0, config.considered)
        stage2[:, some] = self._stage2(requests.history, items[:, some], like[:, some])
        return Candidates(items, {**scores, "stage1": stage1, "stage2": stage2})

    def _stage2(self, history: History, items: Int64, like: Float32) -> Float32:
        past = history.last(SPOKEN_FOR)
        mean = self.vectors[past].sum(1)  # row 0 is zero
        spoken = np.linalg.norm(mean, axis=1, keepdims=True)
        mean /= np.maximum(spoken, 1e-12)
        cosine = np.einsum("rd,rkd->rk", mean, self.vectors[items])
        weight = np.where(spoken > 0, self.config.history_weight, 0.0).astype(np.float32)
        recent = history.last(RECENT_MATCHED)
        topic = self.catalogue.topic
        match = ((topic[items][:, :, None] == topic[recent][:, None, :]) & (recent > 0)[:, None, :]).sum(2) / RECENT_MATCHED
        score = (1 - weight) * like + weight * LENGTH * cosine + self.pull[items] + self.config.recent_weight * match
        return np.asarray(score, np.float32)

    def _uniform(self, requests: Requests, taken: Int64, n: int) -> Int64:
        """Places [R, uniform] of what is not taken, every set of them alike: Floyd's draw of ranks among the free, then the
        place of each rank."""
        k, left = self.config.uniform, n - taken.shape[1]
        draws: Float64 = uniforms(self.seed, "uniform recall", requests.ids, np.arange(k))
        ranks = np.full((len(taken), k), -1)
        for nth, last in enumerate(range(left - k, left)):
            drawn = (draws[:, nth] * (last + 1)).astype(np.int64)
            ranks[:, nth] = np.where((ranks == drawn[:, None]).any(1), last, drawn)
        gaps = np.sort(taken, axis=1) - np.arange(taken.shape[1])  # how many free places stand before each taken one
        places: Int64 = ranks + (gaps[:, None, :] <= ranks[:, :, None]).sum(2)
        return places
