"""A generation opened beside the one that answers: every byte checked first, then loaded, then asked a few times."""

from pathlib import Path

from headrace.cascade.answers import pages
from headrace.cascade.run import open_run
from headrace.flywheel.generations import Generation, Generations
from headrace.flywheel.opened import opened
from headrace.serve.asked import Asked
from headrace.serve.service import Service

_WARMED = 20
"""Answers worked out and given to nobody: the first ones are slow, as files are mapped and sessions plan."""


def open_beside(run: Path, generation: Generation | None, first: Service) -> Service:
    """generation: None of a build without a ledger. It fails where a byte is not what was written, or where it can't answer."""
    if generation is None:
        pipeline = open_run(run, as_built=True)
    else:
        Generations(run).check(generation)
        pipeline = opened(run, generation, as_built=True).pipeline
    made = Service(pipeline, first.root, beside=first)
    try:
        warm(made)
    except BaseException:
        made.close()
        raise
    return made


def warm(service: Service) -> None:
    """Nothing of it is counted or logged."""
    known = service.pipeline.log.users.ids
    some = known.gather_every(max(len(known) // _WARMED, 1)).head(_WARMED).to_list()
    for number, user in enumerate(["", *some]):
        asked = Asked(f"warm {number}", str(user), service.now_us(), 0, service.cascade.slots)
        pages(service.cascade, service.names, service.walk(asked, counted=False))
