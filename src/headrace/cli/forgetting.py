"""What forget does."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from headrace.artifacts.store import Store
from headrace.cascade.run import open_run
from headrace.cli.drawing import page
from headrace.data.forget import forget


def forget_user(run: Path, user: str) -> None:
    """Everything personal that was made from the log goes: it may hold the user, and the next build makes it anew."""
    open_run(run)  # that there is a build; a wrong folder is an error that names the nearest
    store = Store(run / "store")
    forgotten = forget(store, user, at=datetime.now(UTC))
    for manifest in forgotten.artifacts:
        shutil.rmtree(store.root / manifest.kind / manifest.key, ignore_errors=True)
    rows = (
        ", ".join(f"{count} of {table}" for table, count in forgotten.rows.items()) or "none: the stored log does not name them"
    )
    console = page()
    console.print(f"Rows removed: {rows}.")
    console.print(
        f"{len(forgotten.artifacts)} results made from the log were deleted. Make them anew without the user: headrace build."
    )
