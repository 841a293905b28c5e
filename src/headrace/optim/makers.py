"""Optimizers as a TOML names them: each is made from a module and its train section.

    [retrieve.sasrec.train]                             optimizer = "apollo"
    [retrieve.sasrec.train.optimizer_settings]          rank = 16

A maker is a class with Config and revision, constructed with its config and called as maker(module, train, seed=seed). One of a
plugin is named by its import path.
"""

from typing import Annotated, Any, Literal, Protocol, cast

import torch
from annotated_types import Ge, Gt, Lt
from torch import nn

from headrace.contracts.components import component_class
from headrace.contracts.config import config, parse
from headrace.contracts.training import TrainConfig
from headrace.optim import OPTIMIZERS
from headrace.optim.apollo import APOLLO
from headrace.optim.rowwise import RowWise


class Maker(Protocol):
    def __call__(self, module: nn.Module, train: TrainConfig, *, seed: int) -> torch.optim.Optimizer: ...


def maker_of(train: TrainConfig, where: str) -> Maker:
    """ConfigError where the optimizer's name or one of its settings is not known. where: whose train section it is."""
    kind = component_class(train.optimizer, OPTIMIZERS, f"{where}.train.optimizer", trusted=(train.optimizer,))
    return cast(Maker, kind(parse(kind.Config, train.optimizer_settings, where=f"{where}.train.optimizer_settings")))


@config
class AdamWConfig:
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    eps: Annotated[float, Gt(0)] = 1e-8


class AdamW:
    """Torch's, fused. Loshchilov and Hutter, ICLR 2019."""

    Config = AdamWConfig
    revision = 1

    def __init__(self, config: AdamWConfig):
        self.config = config

    def __call__(self, module: nn.Module, train: TrainConfig, *, seed: int) -> torch.optim.Optimizer:
        betas = (self.config.beta1, train.beta2)
        return torch.optim.AdamW(module.parameters(), train.learning_rate, betas, self.config.eps, train.weight_decay, fused=True)


@config
class ApolloConfig:
    """rank: of the projection; a matrix whose smaller side is not above it gets AdamW, as do embeddings and vectors."""

    rank: Annotated[int, Gt(0)] = 16
    alpha: Annotated[float, Gt(0)] = 1.0
    refresh_every: Annotated[int, Gt(0)] = 200
    growth: Annotated[float, Ge(0)] = 1.01
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    eps: Annotated[float, Gt(0)] = 1e-6


class Apollo:
    """A scale for each channel. The paper's rank is a quarter of the model's width."""

    Config: type[ApolloConfig] = ApolloConfig
    revision = 1
    scaling: Literal["channel", "tensor"] = "channel"

    def __init__(self, config: ApolloConfig):
        self.config = config

    def __call__(self, module: nn.Module, train: TrainConfig, *, seed: int) -> torch.optim.Optimizer:
        own = self.config
        matrices, tables = _split(module)
        groups: list[dict[str, Any]] = [{"params": matrices}] if matrices else []
        if tables:
            groups.append({"params": tables, "rank": 0})
        return APOLLO(
            groups, train.learning_rate, (own.beta1, train.beta2), own.eps, train.weight_decay, rank=own.rank, alpha=own.alpha,
            scaling=self.scaling, refresh_every=own.refresh_every, growth=own.growth, seed=seed,
        )  # fmt: skip


@config
class ApolloMiniConfig(ApolloConfig):
    """alpha: sqrt(128), the paper's; its long runs tune it up to sqrt(384)."""

    rank: Annotated[int, Gt(0)] = 1
    alpha: Annotated[float, Gt(0)] = 11.3137085


class ApolloMini(Apollo):
    """One scale for the whole matrix, from a projection of rank 1."""

    Config = ApolloMiniConfig
    scaling = "tensor"


@config
class RowWiseConfig:
    """table_rate: Adagrad's rate, in learning rates. table_decay: of the rows that a batch looks at, in weight decays."""

    table_rate: Annotated[float, Gt(0)] = 10.0
    table_decay: Annotated[float, Ge(0)] = 0.0
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    eps: Annotated[float, Gt(0)] = 1e-8


class RowWiseAdagrad:
    """For embeddings, whether their gradients are sparse or dense; AdamW for everything else."""

    Config = RowWiseConfig
    revision = 1

    def __init__(self, config: RowWiseConfig):
        self.config = config

    def __call__(self, module: nn.Module, train: TrainConfig, *, seed: int) -> torch.optim.Optimizer:
        own, rate, decay = self.config, train.learning_rate, train.weight_decay
        layers, tables = _split(module)
        groups: list[dict[str, Any]] = [{"params": layers}] if layers else []
        if tables:
            of_tables = {"lr": rate * own.table_rate, "weight_decay": decay * own.table_decay, "rowwise": True}
            groups.append({"params": tables, **of_tables})
        return RowWise(groups, rate, (own.beta1, train.beta2), own.eps, decay)


def _split(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Its layers' parameters, and its embeddings' tables."""
    found = {id(one.weight) for one in module.modules() if isinstance(one, nn.Embedding | nn.EmbeddingBag)}
    return (
        [one for one in module.parameters() if id(one) not in found],
        [one for one in module.parameters() if id(one) in found],
    )
