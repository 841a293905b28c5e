"""Judges: a score is 0 exactly where nothing was seen, an order can't win a comparison, and models and rules answer alike."""

import json
import re
from math import exp, log

import polars as pl
import pytest

from headrace.contracts.errors import ConfigError, DataError
from headrace.llm.chat import Chatting
from headrace.llm.judge import SCORES, Judge, Scores, Verdicts
from headrace.llm.model_judge import ModelJudge, gives_log_prob
from headrace.llm.rubric import Item, Rubric
from headrace.llm.rule_judge import Pattern, RuleJudge
from headrace.llm.satisfaction import DISSATISFIED, RULES, SATISFIED, repetition, sudden_end
from headrace.llm.transcript import Conversation, Turn
from headrace.testing.chat import Scripted
from headrace.testing.judge import check_judge

SAT = Rubric("sat", "SAT", (Item("thanks", "The user thanks.", weight=2.0), Item("praise", "The user praises.")))
DSAT = Rubric("dsat", "DSAT", (Item("anger", "The user is angry."),))
CRITERIA = Rubric("short", "CRITERIA", (Item("brief", "The answer is short."),))


def talk(name: str, *said: str) -> Conversation:
    return Conversation(name, tuple(Turn("user" if place % 2 == 0 else "assistant", one) for place, one in enumerate(said)))


GOOD, BAD = talk("good", "A hotel?", "The Ritz.", "Thanks, great!"), talk("bad", "A hotel?", "Sorry.", "I hate this!")
WORDS = {"thanks": "thank", "praise": "great", "anger": "hate"}
BY_RULES = RuleJudge("t", {key: Pattern(word) for key, word in WORDS.items()})


def seen(chat, key: str) -> bool:
    return WORDS[key] in chat[-1].content.lower().partition("transcript")[2]


def by_json(chat) -> str:
    if "first answer" in chat[1].content:
        return json.dumps({"verdict": likes_long(chat)})
    keys = re.findall(r"^- (\w+):", chat[1].content, re.MULTILINE)
    rows = [
        {
            "key": key,
            "present": seen(chat, key),
            "impact": 6 * seen(chat, key),
            "evidence": "it's said" * seen(chat, key),
            "turn": 2,
        }
        for key in keys
    ]
    return json.dumps({"items": rows})


def likes_long(chat) -> str:
    first, second = (len(shown(chat, side)) for side in ("first", "second"))
    return "tie" if first == second else "first" if first > second else "second"


def shown(chat, name: str) -> str:
    """What stands behind the fence of this name."""
    (text,) = re.findall(rf"<data {name} \w+>\n(.*)\n", chat[1].content)
    return str(text)


def log_prob(chat, said: str) -> float:
    if "first answer" in chat[1].content:
        return -1.0 if json.loads(said)["verdict"] == likes_long(chat) else -2.0
    (key,) = re.findall(r"^(thanks|praise|anger): ", chat[1].content, re.MULTILINE)
    impact = json.loads(said)["impact"]
    if not seen(chat, key):
        return log(0.8) if impact == 0 else log(0.02)
    return log({0: 0.2, 5: 0.4, 8: 0.4}.get(impact, 1e-9))


JUDGES: dict[str, Judge] = {
    "json": ModelJudge(Chatting(Scripted(by_json)), by="json"),
    "log_prob": ModelJudge(Chatting(Scripted({}, log_prob=log_prob)), by="log_prob"),
    "rules": BY_RULES,
}


PAIRS = [("q1", "Thanks a lot", "no"), ("q2", "great", "great, thank you"), ("q3", "x", "x")]


@pytest.mark.parametrize("judge", [*JUDGES.values(), RULES], ids=[*JUDGES, "satisfaction"])
def test_contract(judge):
    rubrics = [SATISFIED, DISSATISFIED] if judge is RULES else [SAT, DSAT]
    check_judge(judge, [GOOD, BAD, talk("silent", "Hm")], rubrics, PAIRS, rubrics[0])


class OfOneOrder(RuleJudge):
    """Asks once, in the order given, and likes what comes first."""

    def compare(self, requests, a, b, rubric):
        return Verdicts.of(["a"] * len(a), ["a"] * len(a), rubric, self.id, BY_RULES.score([GOOD], [SAT]).tally)


class Counting(RuleJudge):
    """Its scores hang on what else was asked."""

    def score(self, targets, rubrics):
        scores = super().score(targets, rubrics)
        return Scores(scores.rows.with_columns(score=pl.col("score") * len(targets)))


class Nameless(RuleJudge):
    def score(self, targets, rubrics):
        return Scores(super().score(targets, rubrics).rows.with_columns(judge_id=pl.lit("somebody")))


@pytest.mark.parametrize(
    ("kind", "says"), [(OfOneOrder, "a and b swapped"), (Counting, "alone and among others"), (Nameless, "names another judge")]
)
def test_the_suite_catches(kind, says):
    with pytest.raises(AssertionError, match=says):
        check_judge(kind("t", BY_RULES.rules), [GOOD, BAD], [SAT, DSAT], PAIRS, SAT)


@pytest.mark.parametrize("name", JUDGES)
def test_every_judge_answers_in_the_same_rows(name):
    judge = JUDGES[name]
    assert isinstance(judge, Judge)
    scores = judge.score([GOOD, BAD], [SAT, DSAT])
    assert scores.rows.schema == SCORES
    assert scores.rows.select("target_id", "key", "present").rows() == [
        ("good", "thanks", True), ("good", "praise", True), ("good", "anger", False),
        ("bad", "thanks", False), ("bad", "praise", False), ("bad", "anger", True),
    ]  # fmt: skip
    assert scores.rows.filter(present=False)["score"].to_list() == [0, 0, 0]
    assert scores.rows["judge_id"].unique().to_list() == [judge.id]
    assert dict(scores.rows.select("key", "rubric_id").rows()) == {"thanks": SAT.id, "praise": SAT.id, "anger": DSAT.id}
    assert scores.unparsed == ()
    assert judge.score([], [SAT]).rows.is_empty()


def test_totals_are_weighted_and_signed():
    scores = JUDGES["json"].score([GOOD, BAD], [SAT, DSAT])
    assert scores.totals().rows() == [("good", 2 * 6 + 6), ("bad", -6)]
    assert scores.labels() == {"good": 1, "bad": 0}
    assert scores.labels(18) == {"good": 1, "bad": 0}
    assert scores.labels(18.5) == {"good": 0, "bad": 0}


def test_log_probabilities_give_the_mean_where_it_is_present():
    rows = JUDGES["log_prob"].score([GOOD], [SAT]).rows
    assert rows["score"].to_list() == pytest.approx([6.5, 6.5])  # 5 and 8 alike
    assert rows["evidence"][0] == "p(absent) 0.200"


def test_a_ten_can_win_over_a_one():
    """A bare "1" would begin a "10" too; whole answers don't begin each other."""
    heard = []

    def score(chat, said):
        heard.append(said)
        return -1.0 if said.endswith(" 10}") else -9.0

    rows = ModelJudge(Chatting(Scripted({}, log_prob=score)), by="log_prob").score([GOOD], [DSAT]).rows
    assert rows["score"].item() == pytest.approx(10, abs=0.1)
    assert not any(one != other and other.startswith(one) for one in heard for other in heard)
    assert exp(-8) < 0.01


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"present": True, "impact": 0}, "present True with impact 0"),
        ({"present": False, "impact": 3}, "present False with impact 3"),
        ({"present": True, "impact": 11}, "impact 11"),
        ({"turn": 3}, "names turn 3 of 3"),
        ({"key": "praise"}, "expected each of 2 once"),
        ({"key": "other"}, "other"),
    ],
)
def test_an_answer_that_contradicts_itself_is_unparsed_not_mended(row, says):
    def answer(chat):
        said = json.loads(by_json(chat))
        if "hate" in chat[1].content:
            said["items"][0] |= {"present": True, "impact": 4, "turn": 0} | row
        return json.dumps(said)

    scores = ModelJudge(Chatting(Scripted(answer)), by="json").score([GOOD, BAD], [SAT])
    assert (scores.unparsed, scores.tally.unparsed, scores.tally.rate) == (("bad",), 1, 0.5)
    assert says in scores.tally.reasons[0]
    assert scores.rows["target_id"].unique().to_list() == ["good"]
    assert scores.labels() == {"good": 1}


def test_rows_where_score_and_presence_disagree_are_refused():
    rows = BY_RULES.score([GOOD], [SAT]).rows
    with pytest.raises(DataError, match='target "good", item "thanks": score 0 with present True'):
        Scores(rows.with_columns(score=pl.lit(0.0)))


def verdicts(answer):
    judge = ModelJudge(Chatting(Scripted(answer)), by="json")
    return judge.compare(["q1", "q2"], ["long long answer", "short"], ["short", "long long answer"], CRITERIA)


def test_both_orders_must_agree():
    def prefers_short(chat):
        first, second = (shown(chat, side) for side in ("first", "second"))
        return json.dumps({"verdict": "first" if len(first) < len(second) else "second"})

    found = verdicts(prefers_short)
    assert found.rows.select("place", "verdict", "as_given", "swapped").rows() == [(0, "b", "b", "b"), (1, "a", "a", "a")]
    assert (found.counts(), found.order_share) == ((1, 0, 1), 0.0)
    always_first = verdicts(lambda _: '{"verdict": "first"}')
    assert (always_first.counts(), always_first.order_share) == ((0, 2, 0), 1.0)
    assert verdicts(lambda _: '{"verdict": "tie"}').counts() == (0, 2, 0)
    half = verdicts(lambda chat: "hm" if "q1" in chat[1].content else prefers_short(chat))
    assert (half.unparsed, half.counts(), half.tally.rate) == ((0,), (1, 0, 0), 0.5)


def test_by_log_probability_the_likelier_verdict_counts_in_both_orders():
    def likes(chat, said):
        wanted = "first" if shown(chat, "first") == "short" else "second"
        return -1.0 if json.loads(said)["verdict"] == wanted else -2.0

    found = ModelJudge(Chatting(Scripted({}, log_prob=likes)), by="log_prob").compare(["q"], ["long"], ["short"], CRITERIA)
    assert found.rows["verdict"].to_list() == ["b"]


def test_rules_compare_by_the_rubric():
    judge = RuleJudge(
        "r", {"brief": lambda said: 5.0 if len(said.turns[-1].content) < 8 else 0.0, "anger": Pattern("hate", "assistant")}
    )
    assert judge.compare(["q", "q"], ["short", "x"], ["very long answer", "y"], CRITERIA).rows["verdict"].to_list() == [
        "a",
        "tie",
    ]
    assert judge.compare(["q"], ["I hate it"], ["fine"], DSAT).rows["verdict"].to_list() == ["b"]  # less of a DSAT is better
    contrast = Rubric("c", "CONTRAST", (Item("brief", "Short.", sides={"a": "x", "b": "y"}),))
    with pytest.raises(ConfigError, match="Compare by CRITERIA"):
        judge.compare(["q"], ["a"], ["b"], contrast)


def test_what_is_said_of_mistakes():
    with pytest.raises(ConfigError, match='item "brief" has no rule.*Rules: anger, praise, thanks'):
        BY_RULES.score([GOOD], [CRITERIA])
    with pytest.raises(ConfigError, match=r'the rule of "anger" gave 0\.5; expected 0, or 1 to 10'):
        RuleJudge("r", {"anger": lambda _: 0.5}).score([GOOD], [DSAT])
    with pytest.raises(ConfigError, match="unterminated"):
        RuleJudge("r", {"anger": Pattern("(")}).score([GOOD], [DSAT])
    with pytest.raises(DataError, match='target "good" is given twice'):
        BY_RULES.score([GOOD, GOOD], [SAT])
    with pytest.raises(DataError, match='item "anger" stands in two of the rubrics'):
        BY_RULES.score([GOOD], [DSAT, DSAT])
    with pytest.raises(DataError, match="no rubric was given"):
        BY_RULES.score([GOOD], [])
    with pytest.raises(DataError, match="1 requests with 2 and 1 answers"):
        BY_RULES.compare(["q"], ["a", "b"], ["c"], DSAT)
    contrast = Rubric("c", "CONTRAST", (Item("anger", "Anger.", sides={"a": "x", "b": "y"}),))
    with pytest.raises(DataError, match="a CONTRAST has no total"):
        BY_RULES.score([GOOD], [contrast]).totals()


def test_a_judge_is_its_model_its_way_and_its_rules():
    model = Chatting(Scripted({}, name="m"))
    ids = {ModelJudge(model, by="json").id, ModelJudge(model, by="log_prob").id, ModelJudge(model, by="json", characters=9).id}
    assert len(ids) == 3
    assert all(one.startswith("m/") for one in ids)
    assert RuleJudge("t", {"x": Pattern("a")}).id != RuleJudge("t", {"x": Pattern("b")}).id


def test_a_model_is_asked_once_whether_it_scores():
    assert gives_log_prob(Chatting(Scripted({}, log_prob=lambda *_: -1.0)))
    assert not gives_log_prob(Chatting(Scripted({})))


def test_the_rules_of_satisfaction_tell_a_pleased_user_from_another():
    pleased = talk("pleased", "A cheap hotel?", "The Ritz.", "Sounds great, book it.", "Done.", "Thank you, bye.")
    cross = talk(
        "cross", "A cheap hotel in the north?", "Sorry, no match.", "I want a cheap hotel in the north", "Sorry.", "Wrong."
    )
    scores = RULES.score([pleased, cross], [SATISFIED, DISSATISFIED])
    found = {target: rows["key"].to_list() for (target,), rows in scores.rows.filter("present").group_by("target_id")}
    assert found == {
        "pleased": ["gratitude", "positive feedback", "suggestion acceptance"],
        "cross": ["negative feedback", "repetition", "errors", "sudden end"],
    }
    assert scores.labels() == {"pleased": 1, "cross": 0}
    assert (repetition(pleased), sudden_end(talk("none"))) == (0.0, 0.0)
