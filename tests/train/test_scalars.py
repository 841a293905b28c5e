import subprocess
import sys

import pytest

from headrace.contracts.errors import MissingExtra
from headrace.train.trainer import train
from tests.train.small import CONFIG, Rows, Stopped, learned


def written(folder):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = loader.EventAccumulator(str(folder))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_losses_by_step_and_means_by_epoch(tmp_path):
    pytest.importorskip("tensorboard")
    result = train(learned(), CONFIG, seed=0, validate=lambda: 0.5, scalars_path=tmp_path)
    found = written(tmp_path)
    assert found.keys() == {"loss/squared", "epoch/squared", "epoch/valid"}
    assert [step for step, _ in found["loss/squared"]] == list(range(1, 16))
    assert [value for _, value in found["epoch/squared"]] == pytest.approx([entry["squared"] for entry in result.curve])


def test_a_resumed_run_writes_on(tmp_path):
    pytest.importorskip("tensorboard")
    with pytest.raises(Stopped):
        train(learned(batches=Rows(stop_at=7)), CONFIG, seed=0, checkpoint_path=tmp_path / "c", scalars_path=tmp_path / "s")
    train(learned(), CONFIG, seed=0, checkpoint_path=tmp_path / "c", scalars_path=tmp_path / "s")
    assert [step for step, _ in written(tmp_path / "s")["loss/squared"]] == list(range(1, 16)), "each step once"


def test_the_library_is_loaded_for_a_folder_alone():
    use = "from headrace.train.scalars import Scalars; Scalars(None).add(1, {'a': 1.0})"
    code = f"import sys; {use}; print('tensorboard' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_missing_library_is_said(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r"pip install 'headrace\[tensorboard\]'"):
        train(learned(), CONFIG, seed=0, scalars_path=tmp_path)
