"""Twenty million events from a Parquet file to the history store: seconds and peak memory, and again under a cap that is
enforced.

Events are drawn (200,000 users alike, 100,000 items by Zipf's law). Each run is its own process; the capped one is killed by this
one the moment its resident memory is over the cap, so that it ended says that it kept under it.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.record import record
from headrace.contracts.config import parse
from headrace.contracts.rng import rng
from headrace.data.importing import DataConfig, import_log
from headrace.data.log import Log

EVENTS, USERS, ITEMS = 20_000_000, 200_000, 100_000
CAP_MB = 700
RUNS = {"1,000,000 rows at once": (1_000_000, None), f"250,000 rows at once, killed over {CAP_MB} MB": (250_000, CAP_MB)}


def write_events(path: Path) -> None:
    chances = np.cumsum(1 / np.arange(1, ITEMS + 1))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        pieces = []
        for number in range(EVENTS // 1_000_000):
            draw = rng(0, "events", number)
            item = np.searchsorted(chances, draw.random(1_000_000) * chances[-1])
            at_s = 1_600_000_000 + draw.integers(0, 365 * 86_400, 1_000_000)
            frame = pl.DataFrame({"user": draw.integers(0, USERS, 1_000_000), "item": item, "at_s": at_s})
            pieces.append(Path(folder) / f"{number}.parquet")
            frame.select(
                user_id=pl.format("u{}", "user"), item_id=pl.format("i{}", "item"),
                at=pl.from_epoch("at_s").dt.replace_time_zone("UTC"), kind=pl.lit("view"),
            ).write_parquet(pieces[-1])  # fmt: skip
        pl.scan_parquet(pieces).sink_parquet(path, row_group_size=250_000)


def status_mb(pid: int | str, name: str) -> int:
    """VmHWM, VmRSS: this process's, in MB; 0 once it has ended."""
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def work(folder: Path, rows_at_once: int) -> None:
    """In the measured process: the import and the store."""
    out = folder / str(rows_at_once)
    (out / "histories").mkdir(parents=True)
    started, started_cpu = time.perf_counter(), time.process_time()
    settings = parse(DataConfig, {"events": "events.parquet"}, where="benchmark")
    import_log(settings, {}, base=folder, out=out, rows_at_once=rows_at_once)
    imported = time.perf_counter()
    log = Log.from_tables(out, histories=out / "histories")
    ended = time.perf_counter()
    figures = (ended - started, imported - started, ended - imported, time.process_time() - started_cpu)
    print(len(log.store.events.items), *(round(figure, 1) for figure in figures), status_mb("self", "VmHWM"))


def measured(folder: Path, rows_at_once: int, cap_mb: int | None) -> dict[str, float | int | str]:
    command = [sys.executable, "-m", "benchmarks.importing", str(folder), str(rows_at_once)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            if cap_mb is not None and status_mb(process.pid, "VmRSS") > cap_mb:
                process.kill()
                return {"result": f"killed: over {cap_mb} MB"}
            time.sleep(0.005)
        said = process.stdout.read() if process.stdout else ""
    names = ("events", "seconds", "seconds, import", "seconds, store", "CPU-seconds", "peak resident MB")
    return {name: float(value) for name, value in zip(names, said.split(), strict=True)}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_events(folder / "events.parquet")
        figures: dict[str, object] = {"file, MB": (folder / "events.parquet").stat().st_size >> 20}
        for name, (rows_at_once, cap_mb) in RUNS.items():
            for what, value in measured(folder, rows_at_once, cap_mb).items():
                figures[f"{name}: {what}"] = value
    record("importing", figures)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        work(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main()
