"""[foundation] of the TOML: what is refused, and what it says to do."""

import pytest

from headrace.cascade.foundation_section import Upstream, anchored, upstream_files
from headrace.cascade.plan import plan_from
from headrace.contracts.errors import ConfigError

PLAN = {"data": {"events": "events.csv"}}


def planned(**more):
    return plan_from({**PLAN, **more}, where="shop.toml", folder=None)  # type: ignore[arg-type]


def test_a_plan_names_an_artifact_or_none():
    assert planned().foundation == Upstream()
    assert planned(foundation={"artifact": "upstream"}).foundation.artifact == "upstream"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"foundation": {"artefact": "up"}}, r'\[foundation\]: "artefact" is not a key\. Did you mean "artifact"'),
        ({"foundation": {"artifact": 3}}, r'\[foundation\]: "artifact" is 3'),
        (
            {"rank": {"use": "lfm4ads"}},
            r'\[rank\.lfm4ads\]: lfm4ads reads what an upstream model knows, .* Make one .* \[foundation\] artifact = "upstream"',
        ),
        ({"retrieve": {"use": ["popularity", "standalone"]}}, r"\[retrieve\.standalone\]: standalone reads what an upstream"),
        (
            {"foundation": {"artifact": "up"}, "split": {"kind": "leave_last"}},
            r'\[foundation\]: .* \[split\] kind = "leave_last" counts steps .* kind = "global_temporal"',
        ),
    ],
)
def test_what_is_refused(more, says):
    with pytest.raises(ConfigError, match=says):
        planned(**more)


def test_it_is_found_from_another_folder_too(tmp_path):
    asked = {"rank": {"use": "lfm4ads"}, "foundation": {"artifact": "up"}}
    assert anchored(asked, tmp_path) == {**asked, "foundation": {"artifact": str(tmp_path.resolve() / "up")}}
    assert anchored({"rank": {}}, tmp_path) == {"rank": {}}
    assert anchored({"foundation": {"artifact": 3}}, tmp_path) == {"foundation": {"artifact": 3}}, "refused where it is read"


def test_its_files_are_found_from_the_tomls_folder(tmp_path):
    (tmp_path / "upstream").mkdir()
    for name in ("schema.json", "arrays.safetensors"):
        (tmp_path / "upstream" / name).write_text("")
    found = upstream_files(Upstream(artifact="upstream"), tmp_path, "shop.toml")
    assert [path.name for path in found] == ["arrays.safetensors", "schema.json"]
    assert upstream_files(Upstream(), tmp_path, "shop.toml") == []
    with pytest.raises(ConfigError, match=r'"upstraem" is no folder\. Did you mean "upstream"\? .* headrace foundation RUN'):
        upstream_files(Upstream(artifact="upstraem"), tmp_path, "shop.toml")
