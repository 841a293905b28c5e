"""What is tested, how, and when it ends: written down before the first unit is exposed, and sealed by its digest.

    experiment = "ranker-v7"
    control = "current"
    units = 31_000               # of control, in the end; from `headrace experiment plan`
    design = "fixed"

    [[arms]]
    name = "current"
    [[arms]]
    name = "v7"

    [[primary]]
    name = "breadth"
    kind = "breadth"
    column = "sessions"

    [[guardrails]]
    name = "complaints"
    kind = "mean"
    column = "complaints"
    better = "lower"
    margin = 0.001

The digest is of the resolved values: a comment or another order of keys is no change, another margin is.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from headrace.cascade.plan import read_toml
from headrace.contracts.config import as_dict, config, digest, parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.flywheel.experiment.assignment import Allocation, Arm
from headrace.flywheel.experiment.designs import Design


@config
class Metric:
    """kind, of a unit's sum of `column` after its exposure:

    breadth   share of exposed units with more than 0            mean    per exposed unit
    depth     per unit with more than 0 (a ratio)                ratio   per `denominator`, a column too
    cuped: adjust by the same sum over the plan's covariate_days before exposure. better: the direction to wish for.
    """

    name: str
    kind: Literal["breadth", "depth", "mean", "ratio"]
    column: str
    denominator: str | None = None
    cuped: bool = False
    better: Literal["higher", "lower"] = "higher"

    def __post_init__(self) -> None:
        if (self.kind == "ratio") != (self.denominator is not None):
            raise ConfigError(
                f'metric "{self.name}" is of kind "{self.kind}": a denominator belongs to kind "ratio", and only there.'
            )

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,) if self.denominator is None else (self.column, self.denominator)

    @property
    def sign(self) -> int:
        return 1 if self.better == "higher" else -1


@config
class Guardrail(Metric):
    """margin: the loss, in the metric's own units, that would still be taken for no loss."""

    margin: Annotated[float, Gt(0)]


@config
class ExperimentPlan:
    """units: of control when it ends; the other arms have their weight's multiple.

    design       fixed: one look. group_sequential: a few, `looks` of them planned. confidence_sequence: any number.
    window_days  a unit's outcomes count this long after its exposure, and the unit itself once that time is over. Without it
                 all that came after exposure counts, which only a fixed horizon allows: a unit that was counted must not change.
    covariate_days  what CUPED takes from before exposure.
    crossovers   units seen in two arms: "refuse" the table, or "exclude" them, counted.
    burn_in      units of both arms before a confidence sequence says anything.
    mde, power   what the units were chosen for; kept for the record.
    """

    experiment: str
    control: str
    units: Annotated[int, Gt(1)]
    arms: tuple[Arm, ...]
    primary: tuple[Metric, ...]
    guardrails: tuple[Guardrail, ...] = ()
    design: Design = "fixed"
    looks: Annotated[int, Ge(1)] = 1
    alpha: Annotated[float, Gt(0), Lt(0.5)] = 0.05
    power: Annotated[float, Gt(0), Lt(1)] = 0.8
    mde: Annotated[float, Gt(0)] | None = None
    unit_kind: Literal["user", "session", "request"] = "user"
    salt: str | None = None
    layer: str = "default"
    span: tuple[Annotated[float, Ge(0)], Annotated[float, Gt(0)]] = (0.0, 1.0)
    window_days: Annotated[float, Gt(0)] | None = None
    covariate_days: Annotated[float, Gt(0)] | None = None
    crossovers: Literal["refuse", "exclude"] = "refuse"
    sample_ratio_p: Annotated[float, Gt(0), Lt(1)] = 0.001
    burn_in: Annotated[int, Ge(2)] = 1000

    def __post_init__(self) -> None:
        names = self.allocation.names
        if self.control not in names:
            raise ConfigError(f'control = "{self.control}" is no arm.{nearest(self.control, names)} Arms: {listed(names)}.')
        metrics = [metric.name for metric in self.metrics]
        if not self.primary or len(set(metrics)) < len(metrics):
            raise ConfigError(f"metrics are {metrics}: at least one primary is needed, and each has a name of its own.")
        if self.design != "fixed" and self.window_days is None:
            raise ConfigError(
                f'design = "{self.design}" needs window_days: it looks several times, and what a unit was counted with at one '
                "look must not have grown by the next. Set window_days to the time an outcome may take, such as 7."
            )
        if (self.design == "group_sequential") != (self.looks > 1):
            raise ConfigError(f'design = "{self.design}" with looks = {self.looks}: several looks belong to "group_sequential".')
        if (wants := [metric.name for metric in self.metrics if metric.cuped]) and self.covariate_days is None:
            raise ConfigError(
                f"cuped is set for {listed(wants)}: say covariate_days, how long before exposure to look, such as 14."
            )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (*self.primary, *self.guardrails)

    @property
    def allocation(self) -> Allocation:
        return Allocation(salt=self.salt or self.experiment, arms=self.arms, layer=self.layer, span=self.span)

    @property
    def treatments(self) -> tuple[str, ...]:
        return tuple(arm.name for arm in self.arms if arm.name != self.control)

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the outcomes, each once."""
        return tuple(dict.fromkeys(column for metric in self.metrics for column in metric.columns))

    @property
    def window(self) -> timedelta | None:
        return None if self.window_days is None else timedelta(days=self.window_days)

    @property
    def values(self) -> dict[str, Any]:
        """Resolved. An arm without a generation has no such key, as in plans sealed before arms could name one."""
        found = as_dict(self)
        found["arms"] = [{key: value for key, value in arm.items() if value is not None} for arm in found["arms"]]
        return found

    @property
    def digest(self) -> str:
        return digest(self.values)

    def planned(self, treatment: str) -> int:
        """Units of control and that arm together."""
        weights = {arm.name: arm.weight for arm in self.arms}
        return round(self.units * (1 + weights[treatment] / weights[self.control]))


def read_plan(path: Path) -> ExperimentPlan:
    """A plan's TOML; every mistake names the file, the key and the nearest right word."""
    values = read_toml(path)
    try:
        return parse(ExperimentPlan, values, where=str(path))
    except ConfigError as error:
        said = str(error)
        raise ConfigError(said if said.startswith(str(path)) else f"{path}: {said}") from None
