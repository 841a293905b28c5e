"""The experiment that runs on the served traffic: its arms, who answers for each, and how many units each has."""

from typing import Any

import polars as pl
from fastapi import APIRouter
from pydantic import BaseModel, Field

from headrace.serve.live.arms import Arms
from headrace.serve.serving import Serving


class OneArm(BaseModel):
    """A part of the traffic, and who answers it."""

    name: str = Field(description="As the plan has it.")
    control: bool = Field(description="Whether the others are compared with it.")
    share: float = Field(description="Of the units in the experiment, 0 to 1.")
    generation: int = Field(description="Who answers, by number.")
    key: str = Field(description="Who answers, as answers name it.")
    answers: int = Field(description="Of all processes, since the server was started.")
    units: int = Field(description="Exposed, by files written so far.")


class OneExperiment(BaseModel):
    """An experiment that runs on the served traffic."""

    experiment: str = Field(description="Its name.")
    unit_kind: str = Field(description="What is assigned to an arm: user or request.")
    digest: str = Field(description="Of the sealed plan.")
    started_at: str = Field(description="When, ISO 8601.")
    planned: int = Field(description="Units of control in the end.")
    span: tuple[float, float] = Field(description="The part of all units that is in it: from, to, of 0 to 1.")
    exposures: str = Field(description="Files that `headrace experiment analyse` reads.")
    arms: list[OneArm] = Field(description="As the plan has them.")


def routes(serving: Serving) -> APIRouter:
    router = APIRouter()

    @router.get("/v1/experiments", response_model=list[OneExperiment], summary="What runs, its arms and their counts")
    def experiments() -> Any:
        arms = serving.live.arms
        return [] if arms is None else [told(serving, arms)]

    return router


def told(serving: Serving, arms: Arms) -> OneExperiment:
    plan, folder = arms.plan, serving.service.root / "exposures"
    units = _units(sorted(folder.glob("*/*.parquet")), plan.experiment)
    answers = arms.answers(serving.service.shared.lately)
    shares = dict(zip(plan.allocation.names, plan.allocation.shares.tolist(), strict=True))
    return OneExperiment(
        experiment=plan.experiment, unit_kind=plan.unit_kind, digest=plan.digest, started_at=arms.record.started_at,
        planned=plan.units, span=plan.span, exposures=f"{folder}/*/*.parquet",
        arms=[
            OneArm(
                name=arm.name, control=arm.name == plan.control, share=round(shares[arm.name], 6), generation=arm.generation or 0,
                key=arms.services[arm.name].generation, answers=answers[arm.name], units=units.get(arm.name, 0),
            )
            for arm in plan.arms
        ],
    )  # fmt: skip


def _units(files: list[Any], experiment: str) -> dict[str, int]:
    """By arm. Cost O(rows logged)."""
    if not files:
        return {}
    mine = pl.scan_parquet(files, hive_partitioning=False).filter(pl.col("experiment_id") == experiment)
    counted = mine.group_by("arm").agg(pl.col("unit_id").n_unique()).collect()
    return dict(counted.iter_rows())
