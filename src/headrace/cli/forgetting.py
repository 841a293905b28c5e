"""What forget does."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from headrace.artifacts.store import Store
from headrace.cli.drawing import page
from headrace.data.forget import forget
from headrace.flywheel.loop import clear
from headrace.flywheel.opened import open_live
from headrace.llm.questions import forget_words


def forget_user(run: Path, user: str) -> None:
    """Everything personal that was made from the log goes: it may hold the user, and the next build makes it anew."""
    plan = open_live(run).plan  # a wrong folder is an error that names the nearest
    store = Store(run / "store")
    forgotten = forget(store, user, at=datetime.now(UTC))
    served = _from_served(run / "served", user, plan.serve.map_gb)
    for manifest in forgotten.artifacts:
        shutil.rmtree(store.root / manifest.kind / manifest.key, ignore_errors=True)
    rows = (
        ", ".join(f"{count} of {table}" for table, count in forgotten.rows.items()) or "none: the stored log does not name them"
    )
    console = page()
    console.print(f"Rows removed: {rows}.")
    if served:
        console.print("From what was served: " + ", ".join(f"{count} of {table}" for table, count in served.items()) + ".")
    if words := forget_words(run):
        console.print(f"The words of {words:,} questions to language models were deleted: they don't say whom they are about.")
    if clear(run):
        console.print("The flywheel's generations were made from the user too, so its ledger starts anew: headrace fly.")
        return
    console.print(
        f"{len(forgotten.artifacts)} results made from the log were deleted. Make them anew without the user: headrace build."
    )


def _from_served(served: Path, user: str, map_gb: float) -> dict[str, int]:
    if not served.is_dir():
        return {}
    from headrace.serve.logs.forgetting import forget_served

    return forget_served(served, user, map_gb=map_gb)
