"""headrace foundation: what a build's upstream ranker knows, kept as a folder for other plans."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headrace.cascade.founding import Made

founding_app = typer.Typer()


@founding_app.command()
def foundation(
    run: Annotated[Path, typer.Argument(help='The folder of a build with \\[rank] use = "foundation".')],
    out: Annotated[Path, typer.Option("--out", help="The folder to write; one that is such a folder already is replaced.")],
    decay: Annotated[str, typer.Option(help="What older samples lose weight by: count or time.")] = "count",
    per_sample: Annotated[float, typer.Option(help="By count: what is left of a sum at each further sample.")] = 0.99,
    half_life_days: Annotated[float, typer.Option(help="By time: after how many days half of a sum is left.")] = 7.0,
    layer: Annotated[str, typer.Option(help="CR0, CR1, .. of the mix tower; auto: the one that a search finds.")] = "auto",
) -> None:
    """Keep what a large model knows of users and items, so that smaller plans can read it: docs/foundation.md.

    The build is opened read-only. Its ranker runs over all that its log shows, in the order of time; which layer of it is worth
    handing on is searched on what stopped its training.

    Example:  headrace foundation runs/all --out known

    A longer memory:  headrace foundation runs/all --out known --decay time --half-life-days 30
    """
    from rich.console import Console

    from headrace.cascade.foundation import check_place, write_foundation
    from headrace.cascade.founding import founding
    from headrace.cli.drawing import bars
    from headrace.contracts.config import parse
    from headrace.data.aggregator import Decay
    from headrace.flywheel.opened import open_live

    asked = {"by": decay, "per_sample": per_sample, "half_life_days": half_life_days}
    check_place(out)
    with bars(Console(stderr=True)) as progress:
        made = founding(open_live(run), parse(Decay, asked, where="headrace foundation"), layer, progress)
    write_foundation(out, *made)
    _show(made, out)


def _show(made: "Made", out: Path) -> None:
    from headrace.cli.drawing import page

    known = made.foundation
    settings = known.settings
    parts = [" + ".join(f"{name} {width}" for name, width in of.items()) for of in (known.user_parts, known.item_parts)]
    lines = [
        *_layers(settings),
        f"{settings['layer']} is handed on.",
        f"  users  {len(made.user_ids):>9,} with {len(known.users.at_us):,} states of {known.user_width} numbers ({parts[0]})",
        f"  items  {len(made.item_ids):>9,} with {len(known.items.at_us):,} states of {known.item_width} numbers ({parts[1]})",
        f'{out}: another plan reads it with [foundation] artifact = "{out}". It names users: keep it as you keep the log.',
    ]
    console = page()
    for text in lines:
        console.print(text, markup=False, soft_wrap=True)


def _layers(settings: Mapping[str, Any]) -> list[str]:
    """The search, as lines; none where the layer was named."""
    layers, probed = settings["layers"], settings["probed"]
    if not layers:
        return []
    lines = [
        f"A linear probe of {settings['tasks'][0]}, fitted on {probed['fitted_on']:,} impressions ({probed['positive']:,} "
        f"positive), judged on {probed['judged_on']:,} later ones ({probed['judged_positive']:,} positive)",
        f"  {'reads':<12}{'log loss':>9}{'AUC':>8}   behind the chosen, ± standard error",
    ]
    for name, one in layers.items():
        behind = "chosen" if name == settings["layer"] else f"{one['behind']:+.4f} ± {one['behind_se']:.4f}"
        reads = f"{name}, IR" if name.startswith("CR") else name
        lines.append(f"  {reads:<12}{one['log_loss']:>9.4f}{one['auc']:>8.4f}   {behind}")
    if min(layers[name]["log_loss"] for name in layers if not name.startswith("CR")) <= layers[settings["layer"]]["log_loss"]:
        lines.append("No layer's probe is better than all that read no layer: what is handed on may be worth little to a plan.")
    return lines
