"""obp's own synthetic rows and its estimates of them: a bandit and pages. Runs in obp's environment.

OUTPUT gets the rows, and each estimator's value under "value." and its name.
"""

import json
import sys
import warnings
from typing import Any

import numpy as np

warnings.simplefilter("ignore")

from obp import dataset, ope  # type: ignore[import-not-found]  # noqa: E402

SHARPNESS = 3.0


def bandit(seed: int, rows: int, tau: float) -> dict[str, Any]:
    made = dataset.SyntheticBanditDataset(
        n_actions=10, dim_context=5, reward_function=dataset.logistic_reward_function,
        behavior_policy_function=dataset.linear_behavior_policy, random_state=seed,
    )  # fmt: skip
    log = made.obtain_batch_bandit_feedback(n_rounds=rows)
    scores = np.exp(SHARPNESS * log["expected_reward"])
    target = scores / scores.sum(1, keepdims=True)
    model = 0.5 * log["expected_reward"] + 0.2  # any model will do; a wrong one tells more
    shared = {"reward": log["reward"], "action": log["action"], "pscore": log["pscore"], "action_dist": target[:, :, None]}
    q = {"estimated_rewards_by_reg_model": model[:, :, None]}
    values = {
        "ips": ope.InverseProbabilityWeighting().estimate_policy_value(**shared),
        "snips": ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**shared),
        "direct": ope.DirectMethod().estimate_policy_value(action_dist=target[:, :, None], **q),
        "doubly_robust": ope.DoublyRobust().estimate_policy_value(**shared, **q),
        "switch_dr": ope.SwitchDoublyRobust(tau=tau).estimate_policy_value(**shared, **q),
    }
    columns = {"reward": log["reward"], "action": log["action"], "pscore": log["pscore"], "target": target, "model": model}
    return {**columns, **{f"value.{name}": value for name, value in values.items()}}


def pages(seed: int, rows: int, slots: int) -> dict[str, Any]:
    made = dataset.SyntheticSlateBanditDataset(
        n_unique_action=8, len_list=slots, dim_context=5, base_reward_function=dataset.logistic_reward_function,
        behavior_policy_function=dataset.linear_behavior_policy_logit, reward_structure="cascade_decay", random_state=seed,
    )  # fmt: skip
    log = made.obtain_batch_bandit_feedback(n_rounds=rows, return_pscore_item_position=True)
    target = made.generate_evaluation_policy_pscore("optimal", log["context"], log["action"], epsilon=0.5)
    logged = log["pscore"], log["pscore_item_position"], log["pscore_cascade"]
    at = {name: log[name] for name in ("slate_id", "reward", "position")}
    names = (("pscore", "evaluation_policy_pscore"), ("pscore_item_position", "evaluation_policy_pscore_item_position"),
             ("pscore_cascade", "evaluation_policy_pscore_cascade"))  # fmt: skip
    kinds = ope.SlateStandardIPS, ope.SlateIndependentIPS, ope.SlateRewardInteractionIPS
    values = {
        name: kind(len_list=slots).estimate_policy_value(**at, **{own: one, its: other})
        for name, kind, (own, its), one, other in zip(
            ("joint", "independent", "interaction"), kinds, names, logged, target, strict=True
        )
    }
    columns = {"slate.reward": log["reward"]}
    for name, one, other in zip(("joint", "marginal", "cascade"), logged, target, strict=True):
        columns |= {f"slate.logged.{name}": one, f"slate.target.{name}": other}
    return {**columns, **{f"value.{name}": value for name, value in values.items()}}


def main(found: str, settings: dict[str, Any]) -> None:
    seed, rows, slots = settings["seed"], settings["rows"], settings["slots"]
    np.savez(found, **bandit(seed, rows, settings["tau"]), **pages(seed, settings["slates"], slots))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
