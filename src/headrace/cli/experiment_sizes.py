"""What `headrace experiment plan` shows and writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.table import Table

from headrace.artifacts.atomic import place
from headrace.cli.drawing import page
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.flywheel.experiment.designs import Design, inflation
from headrace.flywheel.experiment.power import Population, Sizing, days

DESIGNS: tuple[Design, ...] = get_args(Design)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of the verb. mde: relative to the baseline."""

    baseline: float
    mde: float
    sd: float | None
    rho: float
    alpha: float
    power: float
    arms: int
    primaries: int
    looks: int
    daily_units: float | None
    window_days: float

    def __post_init__(self) -> None:
        if not self.mde > 0:
            raise ConfigError(f"--mde is {self.mde:g}: give the size of the change, more than 0; the test is two-sided.")

    @property
    def population(self) -> Population:
        return Population.of_proportion(self.baseline) if self.sd is None else Population.of_mean(self.baseline, self.sd)

    def sizing(self, design: Design) -> Sizing:
        """α is shared by all comparisons, as Holm's first step does."""
        alpha = self.alpha / (self.primaries * (self.arms - 1))
        plain = Sizing(alpha=alpha, power=self.power, rho=self.rho)  # names a value out of range before it is used
        return Sizing(
            alpha=plain.alpha, power=plain.power, rho=self.rho, inflation=inflation(design, alpha, self.power, self.looks)
        )

    def units(self, design: Design) -> int:
        return self.sizing(design).units(self.population, self.mde * self.baseline)


def show_sizes(asked: Asked) -> None:
    if asked.daily_units is not None and not asked.daily_units > 0:
        raise ConfigError(f"--daily-units is {asked.daily_units:g}, expected more than 0.")
    console, effect = page(), asked.mde * asked.baseline
    table = Table(box=None, pad_edge=False)
    for name in ("design", "units per arm", "in all", *(["days"] if asked.daily_units else [])):
        table.add_column(name, justify="left" if name == "design" else "right")
    for design in DESIGNS:
        units = asked.units(design)
        name = design if design == "fixed" else f"{design}, {asked.looks} looks"
        cells = [name, f"{units:,}", f"{units * asked.arms:,}"]
        if asked.daily_units:
            cells.append(f"{days(units, asked.arms, asked.daily_units, asked.window_days):,}")
        table.add_row(*cells)
    console.print(
        f"To see {asked.baseline:g} become {asked.baseline + effect:g} ({100 * asked.mde:+g}%) with power {asked.power:g} "
        f"at alpha = {asked.alpha:g}, {asked.arms} arms:\n"
    )
    console.print(table)
    notes = ["\nA design with several looks needs more units at its end and, where there is an effect, fewer on average."]
    if asked.primaries * (asked.arms - 1) > 1:
        notes.append(f"Alpha is shared by {asked.primaries * (asked.arms - 1)} comparisons.")
    if asked.daily_units:
        notes.append(f"Days include the last unit's window of {asked.window_days:g}.")
    console.print(" ".join(notes))


def write_plan(asked: Asked, design: str, out: Path) -> None:
    """A plan with the numbers filled in and the names to be changed."""
    if design not in DESIGNS:
        raise ConfigError(f'--design: "{design}" is none.{nearest(design, DESIGNS)} Designs: {listed(DESIGNS)}.')
    if out.exists():
        raise ConfigError(f"--out: {out} is there and may hold a plan that was started. Choose another name.")
    chosen = next(name for name in DESIGNS if name == design)
    kind = "breadth" if asked.sd is None else "mean"
    names = ["control", *(f"treatment{number if asked.arms > 2 else ''}" for number in range(1, asked.arms))]
    lines = [
        f'experiment = "{out.stem}"',
        'control = "control"',
        f"units = {asked.units(chosen)}  # of control",
        f'design = "{chosen}"',
        *([f"looks = {asked.looks}"] if chosen == "group_sequential" else []),
        f"alpha = {asked.alpha:g}",
        f"power = {asked.power:g}",
        f"mde = {asked.mde:g}  # relative",
        f"window_days = {asked.window_days:g}",
        *(["covariate_days = 14"] if asked.rho else []),
        *(f'\n[[arms]]\nname = "{name}"' for name in names),
        f'\n[[primary]]\nname = "{kind}"\nkind = "{kind}"\ncolumn = "clicks"  # of the outcomes',
        *(["cuped = true"] if asked.rho else []),
        '\n# [[guardrails]]\n# name = "complaints"\n# kind = "mean"\n# column = "complaints"',
        '# better = "lower"\n# margin = 0.001',
    ]
    place(out, "\n".join(lines) + "\n")
    page().print(f"\nWritten to {out}. Fill in the names, then: headrace experiment start {out}")
