"""What a server weighs: memory and open files of its process and all that it started. Linux only.

RSS counts a page once for each process that has it; PSS shares it among them, so only PSS may be added up over workers. What is
private is in no other process: another worker takes as much again.
"""

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Footprint:
    """ran_s: on a core since it began, in ticks of 10 ms. waited_s: for one, while it could have run; of threads that live."""

    processes: int
    rss_mb: float
    pss_mb: float
    private_mb: float
    files: int
    ran_s: float
    waited_s: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def footprint(pid: int) -> Footprint:
    """Of the process and those below it; one that ends meanwhile counts as nothing."""
    pids = [pid, *below(pid)]
    found = [one for one in map(_of, pids) if one is not None]
    rss, pss, private, files, ran_s, waited_s = (sum(column) for column in zip(*found, strict=True)) if found else [0.0] * 6
    rss_mb, pss_mb, private_mb = (round(kb / 1024, 1) for kb in (rss, pss, private))
    return Footprint(len(found), rss_mb, pss_mb, private_mb, int(files), round(ran_s, 3), round(waited_s, 3))


def below(pid: int) -> list[int]:
    try:
        children = [int(one) for task in (_PROC / str(pid) / "task").iterdir() for one in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # it ended between two looks
        return []
    return [one for child in children for one in (child, *below(child))]


def _of(pid: int) -> tuple[float, ...] | None:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
        files = len(list((_PROC / str(pid) / "fd").iterdir()))
        tasks = [(task / "schedstat").read_text().split() for task in (_PROC / str(pid) / "task").iterdir()]
        user, system = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[11:13]  # threads that ended included
    except (FileNotFoundError, ProcessLookupError):
        return None
    kb = {name: float(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    ran_s = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    private, waited_s = kb["Private_Clean"] + kb["Private_Dirty"], sum(int(waited) for _, waited, _ in tasks) / 1e9
    return kb["Rss"], kb["Pss"], private, files, ran_s, waited_s
