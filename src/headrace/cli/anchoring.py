"""headrace annotate of a TOML with [anchors]: users' interests as codes, by a writer of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from headrace.contracts.errors import ConfigError
from headrace.contracts.progress import Progress


def annotate_anchors(
    values: Mapping[str, Any], plan: Path, out: Path | None, progress: Progress, *, dry_run: bool, ray: bool
) -> None:
    """What is said at the end is printed; nothing else."""
    from headrace.cascade.anchors_section import anchors_plan
    from headrace.cascade.anchors_table import annotated, counted

    asked = anchors_plan(values, where=plan.name, folder=plan.parent, out=out)
    if ray:
        raise ConfigError(f"{plan.name}: anchors are written by one process. Leave out --ray.")
    if dry_run:
        count = counted(asked)
        rest = "Of the others they are kept, or written once for equal pasts."
        if not count.fitted:
            rest = "The writer is not fitted yet: that comes first."
        typer.echo(f"{count.users:,} users with a past: the anchors of {count.to_write:,} are to be written. {rest}")
        return
    summary = annotated(asked, progress)
    typer.echo(
        f"{asked.out}: {summary['anchors']:,} anchors of {summary['users']:,} users, {summary['written']:,} written now. "
        f"More: {asked.out.with_suffix('.json')}"
    )
