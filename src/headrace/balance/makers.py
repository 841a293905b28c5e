"""Balancers as a TOML names them.

    [rank.dcnv2.train]                                  balancer = "multibalance"
    [rank.dcnv2.train.balancer_settings]                gamma = 0.1

A solver is a class with Config, revision, accumulates and mixed_precision, constructed with its config, whose `oracle` says where
losses are compared; without one it sees losses alone. A class with `backward` is a whole balancer. A plugin's is named by its
import path.
"""

from typing import Any, cast

from headrace.balance import BALANCERS
from headrace.balance.balanced import Balanced
from headrace.balance.oracles import Oracle, Shared, Theta, Unseen
from headrace.contracts.components import component_class
from headrace.contracts.config import parse
from headrace.contracts.seams import Balancer
from headrace.contracts.training import TrainConfig


def balancer_of(train: TrainConfig, where: str) -> Balancer:
    """ConfigError where the balancer's name or one of its settings is not known. where: whose train section it is."""
    kind = component_class(train.balancer, BALANCERS, f"{where}.train.balancer", trusted=(train.balancer,))
    settings = parse(kind.Config, train.balancer_settings, where=f"{where}.train.balancer_settings")
    made = kind(settings)
    return cast(Balancer, made) if hasattr(made, "backward") else Balanced(_oracle(settings), made)


def _oracle(settings: Any) -> Oracle:
    match getattr(settings, "oracle", None):
        case "shared":
            return Shared(settings.heads)
        case "theta":
            return Theta(settings.heads)
        case _:
            return Unseen()
