"""The console's JavaScript and its licences, from the npm packages that vendored.json names; needs npm. With --pin, what was
fetched is what is expected from now on (after a version was changed); without, a file that is not as pinned is refused.

d3, topojson-client and what follows them in the list are inside vega and vega-embed: only their licences are taken.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "src" / "headrace" / "serve" / "console" / "static"
PINS = STATIC / "vendored.json"


def main() -> None:
    pins = json.loads(PINS.read_text())
    with tempfile.TemporaryDirectory() as folder:

        @cache
        def packed(package: str) -> Path:
            made = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True)
            return Path(folder) / made.stdout.strip()

        for one in [*pins["files"], *pins["licences"]]:
            with tarfile.open(packed(one["package"])) as tar:
                member = tar.extractfile(f"package/{one['inside']}")
                assert member is not None
                found = member.read()
            digest = sha256(found).hexdigest()
            if "--pin" in sys.argv:
                one["sha256"] = digest
            elif digest != one["sha256"]:
                raise SystemExit(f"{one['package']}: {one['inside']} has sha256 {digest}, {one['sha256']} is pinned.")
            (STATIC / one["file"]).parent.mkdir(exist_ok=True)
            (STATIC / one["file"]).write_bytes(found)
    lines = {part: ",\n  ".join(json.dumps(one) for one in pins[part]) for part in pins}
    PINS.write_text("{\n" + ",\n".join(f' "{part}": [\n  {rows}\n ]' for part, rows in lines.items()) + "\n}\n")


if __name__ == "__main__":
    main()
