"""Write tests/golden/contracts.json anew, once a change of the contract is wanted: python -m tests.contracts.renew_golden

A log written under the old contract can then no longer be read, so say in the changelog how it is brought over.
"""

import json
from pathlib import Path
from typing import Any

from headrace.contracts.tables import NO_DEFAULT, TABLES, Table

GOLDEN = Path(__file__).parent.parent / "golden" / "contracts.json"


def described(table: Table) -> dict[str, Any]:
    columns = {
        column.name: {
            "dtype": str(column.dtype),
            "required": column.required,
            "choices": list(column.choices),
            **({} if column.default is NO_DEFAULT else {"default": column.default}),
        }
        for column in table.columns
    }
    return {"key": list(table.key), "open_ended": table.open_ended, "columns": columns}


def as_they_are() -> dict[str, Any]:
    return {name: described(table) for name, table in TABLES.items()}


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(as_they_are(), indent=1) + "\n")
