import subprocess
import sys

import numpy as np
import pytest
import torch

from headrace.serve.scorers.export import TOLERANCE, check_equal

EXPORTS = """
import sys
from pathlib import Path
import torch
import headrace.serve.app
from headrace.serve.scorers import export
export._export(torch.nn.Linear(3, 2), (torch.zeros(2, 3),), Path(sys.argv[1]), ["x"], ["y"], {"x": {0: "rows"}})
export.check_equal(torch.zeros(2), torch.zeros(2).numpy())
print(*(name for name in ("sympy", "scipy.special", "scipy.linalg") if name in sys.modules))
"""


def test_what_a_file_says_otherwise_is_named():
    eager = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    check_equal(eager, eager.numpy() + np.float32(TOLERANCE / 2))
    with pytest.raises(ArithmeticError, match=r"differ from torch's by 0\.5$"):
        check_equal(eager, eager.numpy() + np.float32(0.5))
    with pytest.raises(ArithmeticError, match="differ from torch's by nan"):
        check_equal(eager, np.full((2, 2), np.nan, np.float32))
    with pytest.raises(ArithmeticError, match=r"float32 \(2, 1\) from the file, float32 \(2, 2\) from torch"):
        check_equal(eager, eager.numpy()[:, :1])
    with pytest.raises(ArithmeticError, match="float64"):
        check_equal(eager, eager.numpy().astype(np.float64))


def test_a_server_that_exports_loads_no_more_than_it_needs(tmp_path):
    """Each of its processes would hold it: sympy takes 40 MB, the two of scipy 7."""
    command = [sys.executable, "-c", EXPORTS, str(tmp_path / "model.onnx")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"
    assert (tmp_path / "model.onnx").stat().st_size
