"""What every judge promises, a model or rules: rows that name where they come from, and verdicts that no order can win."""

from collections.abc import Sequence

from headrace.llm.judge import SCORES, VERDICTS, Judge
from headrace.llm.rubric import SIGN, Rubric
from headrace.llm.transcript import Conversation
from headrace.testing.expect import expect, expect_close, expect_equal

_MIRRORED = {"a": "b", "b": "a", "tie": "tie"}


def check_judge(
    judge: Judge, targets: Sequence[Conversation], rubrics: Sequence[Rubric], pairs: Sequence[tuple[str, str, str]],
    criteria: Rubric,
) -> None:  # fmt: skip
    """targets: two or more with distinct ids. rubrics: with signs. pairs: (request, a, b), judged by `criteria`."""
    expect(isinstance(judge, Judge), f"{type(judge).__name__} lacks id, score or compare.")
    scores = judge.score(targets, rubrics)
    expect(scores.rows.schema == SCORES, f"rows are {scores.rows.schema}, expected {SCORES}.")
    items = {(rubric.id, rubric.version, item.key, item.weight) for rubric in rubrics for item in rubric.items}
    for target in targets:
        rows = scores.rows.filter(target_id=target.id)
        wanted = set() if target.id in scores.unparsed else items
        found = rows.select("rubric_id", "version", "key", "weight").rows()
        expect(set(found) == wanted and len(found) == len(wanted), f'"{target.id}" has rows for {found}, expected {wanted}.')
        alone = judge.score([target], rubrics)
        expect_close(
            alone.rows["score"].to_numpy(), rows["score"].to_numpy(), f'"{target.id}" alone and among others', absolute=1e-3
        )
    expect(set(scores.rows["judge_id"]) <= {judge.id}, "a row names another judge.")
    expect(set(scores.rows["polarity"]) <= set(SIGN), "a row's polarity has no sign.")
    _check_compare(judge, pairs, criteria)


def _check_compare(judge: Judge, pairs: Sequence[tuple[str, str, str]], criteria: Rubric) -> None:
    requests, a, b = ([pair[place] for pair in pairs] for place in range(3))
    given, swapped = judge.compare(requests, a, b, criteria), judge.compare(requests, b, a, criteria)
    expect(given.rows.schema == VERDICTS, f"verdicts are {given.rows.schema}, expected {VERDICTS}.")
    expect_equal(given.unparsed, swapped.unparsed, "Unparsed pairs in another order")
    mirrored = [_MIRRORED[verdict] for verdict in swapped.rows["verdict"]]
    expect_equal(given.rows["verdict"].to_list(), mirrored, "Verdicts with a and b swapped")
    same = judge.compare(requests, a, a, criteria)
    expect(set(same.rows["verdict"]) <= {"tie"}, "An answer beats itself.")
    expect(set(given.rows["judge_id"]) <= {judge.id}, "a verdict names another judge.")
    expect(len(given.rows) + len(given.unparsed) == len(pairs), "a pair has neither verdict nor a place among the unparsed.")
