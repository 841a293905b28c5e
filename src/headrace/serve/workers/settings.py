"""How a run is to be served, read without opening it: a supervisor has no use for its models."""

import json
from pathlib import Path
from typing import Any

from headrace.contracts.config import parse
from headrace.contracts.errors import ArtifactError, no_build
from headrace.contracts.serving import ServeConfig
from headrace.flywheel.generations import Generations


def check_built(run: Path) -> None:
    """Before anything is made in a folder that is no run, or is misspelt."""
    if Generations(run).live is None and not (run / "plan.json").is_file():
        raise no_build(run)


def serve_settings(run: Path) -> ServeConfig:
    """[serve] of the plan that the live generation, or else the build that lies there, was made from. The defaults where there is
    none: whoever opens the run says what is wrong with it."""
    live, path = Generations(run).live, run / "plan.json"
    plan: Any = None
    try:
        plan = live.plan if live is not None else json.loads(path.read_text())
        values, where = plan["toml"].get("serve", {}), plan["where"]
    except FileNotFoundError:
        return ServeConfig()
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ArtifactError(f"{path}: not a plan that was built ({error}). Build it again: headrace build.") from None
    return parse(ServeConfig, values, where=f"{where} [serve]")
