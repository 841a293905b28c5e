"""One fit of a click or income model on a plain table, regularised one way or another, and its figures on test rows.

    run({"data": "census", "rows": 20_000, "epochs": 8, ...}, {"kind": "lspr", "alpha": 0.5, "noise": 0.3, ...}, seed)

kind: "erm" (nothing beside weight decay and dropout), "lspr", "scr", or "lightgbm". The networks are the same network, with the
product's own objectives, trained by the one trainer: AdamW, a rate that falls linearly to 0, the epoch that validates best.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import nn

from headrace.contracts.requests import Bool, Float32, Float64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Learned, Objective
from headrace.contracts.training import TrainConfig
from headrace.evaluate.pointwise import auc, calibration_ratio, entropy, log_losses, normalized_entropy
from headrace.nn.boosted_trees import TreeRows, TreeSettings, scores, stopped
from headrace.nn.perturb import Perturbation
from headrace.nn.seeded import seeded
from headrace.objectives.choice import TASK
from headrace.objectives.lspr import Lspr
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.scr import CONSISTENCY, Scr
from headrace.recipes.cells import Figures
from headrace.recipes.rows.census import census
from headrace.recipes.rows.dcnv2 import FlatConfig, FlatDCNv2, chances
from headrace.recipes.rows.table import Table, TableBatches, Tables, coded
from headrace.recipes.trials import VALID
from headrace.train.trainer import train
from headrace.world.clicks import ClickTruth

NE, SPARSE = "ne, %", "ne of sparse rows, %"
_BATCH, _RATE, _PATIENCE = 512, 3e-3, 2
_MOST_TREES = 600
_EPS = 1e-3
"""Large: with 1e-8 Adam's steps are all of one length, so that in rows of the table that are seldom seen the many small gradients
of negatives outvote the few large ones of positives, and probabilities fall a fifth short."""


def digest_of_clicks() -> str:
    """Of what is made: a change of the world is other data."""
    made = _truth(0.02).rows(2_000, rng(0, "clicks", "digest"))
    return sha256(made.values.tobytes() + made.chance.tobytes()).hexdigest()


@lru_cache(maxsize=2)
def _truth(rate: float) -> ClickTruth:
    return ClickTruth.of(rate)


@lru_cache(maxsize=1)
def _tables(data: str, rows: int | None, rate: float, held: int, tested: int, seed: int) -> Tables:
    if data == "census":
        return census(rows=rows, seed=seed)
    assert rows is not None
    truth = _truth(rate)
    own, test = truth.rows(rows + held, rng(seed, "clicks", "rows")), truth.rows(tested, rng(0, "clicks", "tested"))
    values = np.concatenate([own.values, test.values])
    every = np.arange(len(values))
    return coded(
        {f"field {number}": column for number, column in enumerate(values.T)}, {"click": np.concatenate([own.click, test.click])},
        np.concatenate([own.rare, test.rare]), train=every[:rows], valid=every[rows : rows + held], test=every[rows + held :],
    )  # fmt: skip


def run(setting: Mapping[str, Any], own: Mapping[str, Any], seed: int) -> Figures:
    """One arm's fit on one seed's rows. The figures of the test, and the value trials are chosen by."""
    tables = _tables(*(setting.get(name, 0) for name in ("data", "rows", "rate", "held", "tested")), seed)
    began, label = process_time(), _label(tables.valid)
    told = _trees(tables, own, seed) if own["kind"] == "lightgbm" else _network(tables, setting, own, seed)
    valid, test = told(tables.valid), told(tables.test)
    seconds = process_time() - began
    return {
        VALID: np.array([normalized_entropy(label, valid)]),
        "cpu_seconds": np.array([seconds]),
        **_figures(tables.test, test, setting),
    }


def _figures(table: Table, p: Float64, setting: Mapping[str, Any]) -> Figures:
    label = _label(table)
    sparse = table.blanks >= setting["sparse"]
    return {
        NE: 100 * _blocks(label, p, np.ones(len(label), np.bool_), setting["blocks"]),
        SPARSE: 100 * _blocks(label, p, sparse, setting["blocks"]),
        "auc": np.array([auc(label, p)]),
        "calibration ratio": np.array([calibration_ratio(label, p)]),
    }


def _blocks(label: Float32, p: Float64, kept: Bool, blocks: int) -> Float64:
    """Each block's part of the kept rows' normalized entropy: their mean is that of all of them, to the last digit."""
    block = rng(0, "blocks of test rows").permutation(len(label))[kept] % blocks
    sums = np.bincount(block, log_losses(label[kept], p[kept]), minlength=blocks)
    found: Float64 = sums * blocks / kept.sum() / entropy(float(label[kept].mean()))
    return found


def _trees(tables: Tables, own: Mapping[str, Any], seed: int) -> Callable[[Table], Float64]:
    known, held = (TreeRows(one.codes.astype(np.float32), _label(one)) for one in (tables.train, tables.valid))
    settings = TreeSettings(**{name: value for name, value in own.items() if name != "kind"})
    _, booster, _ = stopped(known, held, settings, "pointwise", most=_MOST_TREES, seed=seed)

    def told(table: Table) -> Float64:
        p: Float64 = 1 / (1 + np.exp(-scores(booster, table.codes.astype(np.float32)).astype(np.float64)))
        return p

    return told


def _network(tables: Tables, setting: Mapping[str, Any], own: Mapping[str, Any], seed: int) -> Callable[[Table], Float64]:
    with seeded(seed, "lspr"):
        model = FlatDCNv2(
            FlatConfig(dim=setting["dim"], dropout=own.get("dropout", 0.0)), tables.sizes, rate=float(_label(tables.train).mean())
        )
    objective = _objective(own)
    weights = {CONSISTENCY: own["weight"]} if own["kind"] == "scr" else {}
    learned = Learned(model, [objective], TableBatches(tables.train, _BATCH, seed=seed), weights=weights)
    asked = TrainConfig(
        epochs=setting["epochs"],
        patience=_PATIENCE,
        learning_rate=_RATE,
        schedule="linear",
        device="cpu",
        precision="float32",
    )
    label = _label(tables.valid)
    train(
        learned, asked, seed=seed, optimizer=lambda module: _adamw(module, asked, own["weight_decay"]),
        validate=lambda: -normalized_entropy(label, chances(model, tables.valid.codes)),
    )  # fmt: skip
    return lambda table: chances(model, table.codes)


def _objective(own: Mapping[str, Any]) -> Objective:
    base = PointwiseChoice(TASK)
    if own["kind"] == "erm":
        return base
    how = Perturbation(own.get("at", "embedding"), own["noise"], own.get("mask", 0.0))
    return Lspr(base, how, own["alpha"]) if own["kind"] == "lspr" else Scr(base, TASK, how, distance=own["distance"])


def _adamw(module: nn.Module, asked: TrainConfig, weight_decay: float) -> torch.optim.Optimizer:
    """Tables and matrices alone decay: a bias pulled to 0 would pull the rate to one half."""
    matrices = [one for one in module.parameters() if one.dim() > 1]
    vectors = [one for one in module.parameters() if one.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, asked.learning_rate, (0.9, asked.beta2), _EPS, fused=True)


def _label(table: Table) -> Float32:
    """The first task's: income, click."""
    return next(iter(table.labels.values()))
