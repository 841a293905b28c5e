"""Training curves for TensorBoard, written while training runs; nothing where no folder is given."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.contracts.errors import MissingExtra


class Scalars:
    """after_step: where a resumed run goes on; what an interrupted one wrote beyond it is not shown."""

    def __init__(self, folder: Path | None, *, after_step: int = 0):
        self.writer: Any = None
        if folder is not None:
            self.writer = _writer_class()(str(folder), purge_step=after_step + 1)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)

    def flush(self) -> None:
        if self.writer is not None:
            self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtra("tensorboard", "tensorboard", "Writing training curves for TensorBoard") from None
    return SummaryWriter
