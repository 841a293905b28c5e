import json

from headrace.cli.serving_doctor import _workers


def plan(**serve):
    return json.dumps({"toml": {"data": {}, "serve": serve}, "where": "shop.toml", "folder": "."})


def test_the_doctor_counts_workers_against_cores(tmp_path):
    (tmp_path / "plan.json").write_text(plan())
    assert _workers(tmp_path)[1] == ""
    (tmp_path / "plan.json").write_text(plan(workers=4096))
    found, remedy = _workers(tmp_path)
    assert found.startswith("4096 on ")
    assert "[serve] workers = " in remedy
    (tmp_path / "plan.json").write_text(plan(workers="many"))
    assert "\"workers\" is 'many'" in _workers(tmp_path)[1]
