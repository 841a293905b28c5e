"""Who answers each request of a day: its arm's policy, or now and then the uniform one, flagged."""

from collections.abc import Sequence

import numpy as np

from headrace.contracts.requests import Candidates, Int64, Requests
from headrace.contracts.seams import Policy
from headrace.world.draws import uniforms
from headrace.world.outcomes import Served
from headrace.world.policies import Uniform, finds_candidates
from headrace.world.settings import WorldConfig


def serve(
    requests: Requests, offered: Candidates, policies: Sequence[Policy], arm: Int64 | None, config: WorldConfig, seed: int
) -> Served:
    """arm [R]: the place of each request's policy; None for the first one always, and no request flagged."""
    if arm is None:
        arm = np.zeros(len(requests), np.int64)
    else:
        if len(arm) != len(requests) or ((arm < 0) | (arm >= len(policies))).any():
            raise ValueError(f"arm_of gave {np.unique(arm).tolist()}, expected one of 0 to {len(policies) - 1} a request")
        flagged = uniforms(seed, "random", requests.ids, np.zeros(1, np.int64))[:, 0] < config.random_share
        arm = np.where(flagged, -1, arm)
    everyone: list[Policy] = [*policies, Uniform(config.slots)]  # the last one is also number -1
    names, sure, own = (np.array(column) for column in zip(*(
        (one.policy_id, one.deterministic, finds_candidates(one)) for one in everyone
    ), strict=True))  # fmt: skip
    pages = []
    for number in np.unique(arm).tolist():
        rows = np.flatnonzero(arm == number)
        given = None if own[number] else offered.take(rows)
        pages.append((rows, everyone[number].act(requests.take(rows), given, seed=seed)))
    slots = max((slates.items.shape[1] for _, slates in pages), default=config.slots)
    shown, log_prob = np.zeros((len(requests), slots), np.int32), np.zeros((len(requests), slots))
    for rows, slates in pages:
        shown[rows, : slates.items.shape[1]], log_prob[rows, : slates.items.shape[1]] = slates.items, slates.log_prob
    return Served(shown, log_prob, names[arm], sure[arm], arm, own[arm])
