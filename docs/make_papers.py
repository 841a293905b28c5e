"""docs/papers.md from results/. With --check, says whether it is stale and changes nothing."""

import sys
from pathlib import Path

from headrace.recipes.papers import papers

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "papers.md"


def main() -> None:
    made = papers(ROOT / "results")
    if "--check" not in sys.argv:
        PAGE.write_text(made)
        print(f"{PAGE.relative_to(ROOT)}: written")
    elif not PAGE.exists() or PAGE.read_text() != made:
        raise SystemExit("docs/papers.md is not what results/ say. Run: make docs")


if __name__ == "__main__":
    main()
