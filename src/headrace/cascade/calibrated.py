"""A scorer's logits made to mean what they say: a calibrator over all rows, and a shift a segment of users if asked for.

Fitted on the part of the scorer's window that its training did not see, put down as arrays, read again where it serves. Scores
stay logits, so the page's temperature means what it meant; their sigmoid is the probability.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.components import component_class
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float32, Int64, Requests
from headrace.methods.rank.calibrators import CALIBRATORS
from headrace.methods.rank.calibrators.by_segment import BySegment

_SHIFTS = "segments."


@dataclass(frozen=True)
class Calibrated:
    """own: the calibrator of all rows. by: the feature of users that the shifts go by; None: there are none."""

    own: Any
    by: str | None = None
    shifts: BySegment | None = None

    @classmethod
    def fitted(cls, name: str, by: str | None, logits: Float32, lists: CandidateLists) -> "Calibrated":
        """logits [R, C] of the lists' candidates; rows whose labels are known are learned from."""
        known, kind = known_of(lists), component_class(name, CALIBRATORS, "calibrate")
        own = kind(kind.Config())
        scores, labels = logits[known].astype(np.float64), lists.label[known].astype(np.float64)
        own.fit(scores, labels)
        if by is None:
            return cls(own)
        shifts, segments = BySegment(), np.broadcast_to(_segments(lists.requests, by)[:, None], known.shape)[known]
        shifts.fit(own(scores), labels, segments)
        return cls(own, by, shifts)

    def __call__(self, logits: Float32, requests: Requests) -> Float32:
        """[R, C] -> [R, C]; NaN stays NaN."""
        found = self.own(logits.astype(np.float64))
        if self.shifts is not None and self.by is not None:
            found = self.shifts(found, _segments(requests, self.by)[:, None])
        calibrated: Float32 = found.astype(np.float32)
        return calibrated

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        shifts = {} if self.shifts is None else self.shifts.arrays()
        return {**self.own.arrays(), **{_SHIFTS + name: values for name, values in shifts.items()}}

    @classmethod
    def from_arrays(cls, name: str, by: str | None, arrays: Mapping[str, NDArray[Any]]) -> "Calibrated":
        kind = component_class(name, CALIBRATORS, "calibrate")
        own = kind.from_arrays(kind.Config(), arrays)
        parts = {one.removeprefix(_SHIFTS): values for one, values in arrays.items() if one.startswith(_SHIFTS)}
        return cls(own, by, BySegment.from_arrays(parts) if parts else None)


def known_of(lists: CandidateLists) -> NDArray[np.bool_]:
    """The candidates whose labels say something, [R, C]."""
    return lists.candidates.there if lists.known is None else lists.known & lists.candidates.there


def need_probabilities(scorer: Any, where: str) -> None:
    """What orders a request's candidates alone has no rate to be wrong about."""
    if not getattr(scorer, "probabilities", False):
        raise ConfigError(
            f"{where}: calibrate makes probabilities right, and the scores of this ranker order candidates alone. "
            'Set loss = "pointwise" in its section, or leave calibrate out.'
        )


def _segments(requests: Requests, by: str) -> Int64:
    if by not in requests.features:
        raise ConfigError(
            f'[rank] calibrate_by = "{by}" is no feature of users. They have: {listed(requests.features) or "none"}.'
        )
    segments: Int64 = requests.features[by].astype(np.int64)
    return segments
