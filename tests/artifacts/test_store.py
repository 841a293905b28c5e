import dataclasses
import errno
import json
import os
import subprocess
import sys
from threading import Barrier, Thread
from typing import Any

import pytest

from headrace.artifacts.store import MANIFEST, Store, key_of, open_artifact
from headrace.contracts.errors import ArtifactError
from headrace.contracts.manifest import FORMAT, Manifest


def manifest(name="a", parents=None):
    return Manifest(kind="model", key=name, revision=1, config={"k": 1}, parents=parents or {})


def put(store, name="a", parents=None, text="bytes"):
    with store.create(manifest(name, parents)) as draft:
        (draft.path / "part").mkdir()
        (draft.path / "part" / "file.txt").write_text(text)
        draft.metrics = {"loss": 0.5}
        draft.window_us = (1, 2)
    return store.find("model", name)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_the_key_is_of_all_that_went_in():
    base: dict[str, Any] = {"kind": "model", "config": {"k": 1, "l": 2}, "parents": {"log": "x"}, "revision": 1}
    changed = [
        base,
        base | {"kind": "index"},
        base | {"config": {"k": 2, "l": 2}},
        base | {"parents": {"log": "y"}},
        base | {"parents": {"logs": "x"}},
        base | {"revision": 2},
    ]
    assert len({key_of(**ingredients) for ingredients in changed}) == len(changed)
    assert key_of(**(base | {"config": {"l": 2, "k": 1}})) == key_of(**base)
    assert key_of("model", {"k": 1}, {"log": "x"}, 1) == "34990b515db0598482a7f84e3b9ae181", (
        "older stores can't be found any more"
    )


def test_what_was_made_is_found(store):
    assert store.find("model", "a") is None
    made = put(store)
    assert (made.path / "part" / "file.txt").read_text() == "bytes"
    assert made.manifest.metrics == {"loss": 0.5}
    assert made.manifest.window_us == (1, 2)
    assert made.manifest.files.keys() == {"part/file.txt"}
    assert made.digest == put(Store(store.root / "other")).digest
    assert made.digest != put(Store(store.root / "another"), text="other").digest


@pytest.mark.parametrize("damage", ["changed", "missing", "added", "hidden under the manifest's name"])
def test_damage_is_found(store, damage):
    folder = put(store).path
    file = folder / "part" / "file.txt"
    match damage:
        case "changed":
            file.write_text("bytez")
        case "missing":
            file.unlink()
        case "added":
            (folder / "more.txt").write_text("")
        case _:
            (folder / "part" / MANIFEST).write_text("{}")
    with pytest.raises(ArtifactError, match=r"is not what was written .* Delete the folder and build again"):
        store.find("model", "a")


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"format": 1}), None])
def test_a_broken_manifest_is_found(store, text):
    path = put(store).path / MANIFEST
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ArtifactError, match=MANIFEST):
        store.find("model", "a")


@pytest.mark.parametrize(("version", "read"), [(FORMAT - 1, True), (FORMAT, True), (FORMAT + 1, False), (FORMAT - 2, False)])
def test_this_format_and_the_one_before_are_read(store, version, read):
    path = put(store).path / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": version}))
    if read:
        assert store.find("model", "a")
    else:
        with pytest.raises(ArtifactError, match=rf"format {version}, this Headrace reads {FORMAT - 1} and {FORMAT}"):
            store.find("model", "a")


def left(store):
    return [path for path in store.root.rglob("*") if path.name not in (".drafts", "model")]


def break_off(store, error):
    with store.create(manifest()) as draft:
        (draft.path / "file.txt").write_text("half")
        raise error


def test_a_failed_write_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError):
        break_off(store, ZeroDivisionError())
    assert left(store) == []
    assert store.find("model", "a") is None
    with pytest.raises(TypeError), store.create(manifest()) as draft:
        draft.metrics = {"not": object()}
    assert left(store) == []


def test_a_full_disk_is_said_and_leaves_nothing(store):
    with pytest.raises(ArtifactError, match="Nothing half-written was kept"):
        break_off(store, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert left(store) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(ArtifactError, match="can't write there"), Store(tmp_path / "store").create(manifest()):
        pass


def test_of_two_writers_the_first_stays(store):
    together, found = Barrier(2), []

    def write(text):
        with store.create(manifest()) as draft:
            (draft.path / "file.txt").write_text(text)
            together.wait(timeout=60)  # both are writing; neither has been renamed yet
        found.append(store.find("model", "a"))

    writers = [Thread(target=write, args=(text,)) for text in ("one", "two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len({artifact.digest for artifact in found}) == 1
    assert len(found) == 2
    assert list((store.root / ".drafts").iterdir()) == []


def test_an_artifact_never_changes(store):
    assert put(store, text="first").digest == put(store, text="second").digest


def test_lineage_goes_up_and_descendants_down(store):
    put(store, "log")
    put(store, "features", {"log": "log"})
    put(store, "model", {"log": "log", "features": "features"})
    put(store, "generation", {"model": "model", "gone": "missing"})
    put(store, "other")
    assert store.lineage("model")[0].key == "model"
    assert {m.key for m in store.lineage("model")} == {"model", "features", "log"}
    down = [m.key for m in store.descendants("log")]
    assert sorted(down) == ["features", "generation", "model"]
    assert down[-1] == "generation"
    assert store.descendants("generation") == store.lineage("missing") == []


def test_drafts_are_no_artifacts(store):
    put(store)
    draft = store.root / ".drafts" / "draft"
    draft.mkdir()
    (draft / MANIFEST).write_text(json.dumps(manifest("half").as_dict()))
    assert [m.key for m in store.manifests()] == ["a"]


def test_drafts_of_dead_processes_are_swept(store):
    put(store)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    drafts = store.root / ".drafts"
    for name in (f"{dead.pid}-model-x", f"{os.getpid()}-model-y", "notes"):
        (drafts / name).mkdir()
    put(store, "b")
    assert {path.name for path in drafts.iterdir()} == {f"{os.getpid()}-model-y", "notes"}


def test_a_manifest_survives_its_file(store):
    made = put(store, parents={"log": "x"})
    assert open_artifact(made.path).manifest == made.manifest
    assert Manifest.from_dict(made.manifest.as_dict(), "here") == made.manifest


def test_an_erasure_rewrites_an_artifact_under_its_key(store):
    made = put(store)
    kept = made.path / "part" / "file.txt"
    with open(kept) as reader, store.rewritten(made.manifest) as draft:
        replaced = draft.path / "part" / "file.txt"
        replaced.unlink()
        replaced.write_text("fewer")
        assert kept.read_text() == "bytes", "the old one is there until the new one is whole"
        assert reader.read() == "bytes"
    again = store.find("model", "a")
    assert again.manifest == dataclasses.replace(made.manifest, files=again.manifest.files)
    assert (again.path / "part" / "file.txt").read_text() == "fewer"
    assert again.digest != made.digest
    assert not list((store.root / ".drafts").iterdir())
    with pytest.raises(ZeroDivisionError), store.rewritten(again.manifest) as draft:
        draft.metrics["loss"] = 1 / 0
    assert store.find("model", "a").digest == again.digest
