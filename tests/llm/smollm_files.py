"""The small published model, for tests that ask it: where it lies in the cache, or else they are skipped by name."""

from pathlib import Path

import pytest

from headrace.data.datasets.placing import default_home
from headrace.llm.smollm import FILE, NAME, cache_key

PATH = default_home() / "weights" / cache_key() / FILE
needs_smollm = pytest.mark.skipif(
    not PATH.is_file(), reason=f"{NAME} is not in the cache; headrace.llm.smollm.smollm() fetches it"
)


def smollm_file() -> Path:
    return PATH
