"""Run what the documents say: every python and console block of README.md and docs/, file by file, in a scratch folder.

A ```python block runs in its file's namespace. A ```console block's lines that begin with "$ " run in a shell; a toml or csv
block whose fence names a file (```toml shop.toml) is written there first. A block marked `skip` is not run.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(path: Path, folder: Path) -> int:
    """Blocks run; raises at the first that fails."""
    names: dict[str, object] = {"__name__": "__docs__"}
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = 0
    text = path.read_text(encoding="utf-8")
    for language, rest, body in BLOCK.findall(text):
        line = text[: text.index(body)].count("\n") + 1
        words = rest.split()
        if "skip" in words:
            continue
        if language in ("toml", "csv") and words:
            (folder / words[0]).write_text(body, encoding="utf-8")
        elif language == "python":
            exec(compile("\n" * (line - 1) + body, str(path), "exec"), names)  # noqa: S102 - the documents are ours
        elif language == "console":
            for command in re.findall(r"^\$ (.*)$", body, re.MULTILINE):
                ran = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)  # noqa: S602
                if ran.returncode:
                    raise SystemExit(f"{path}:{line}: $ {command}\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")
        else:
            continue
        done += 1
    return done


def main() -> None:
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            started = perf_counter()
            done = run(path, Path(folder))
            os.chdir(ROOT)
        if done:
            print(f"{path.relative_to(ROOT)}: {done} blocks in {perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
