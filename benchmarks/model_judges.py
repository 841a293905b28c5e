"""A language model as a judge of real dialogues (uss-satisfaction) beside rules, the majority's label and a person; and the bar.

    python -m benchmarks.model_judges [--dialogues 60] [--characters 600] [--cache FILE]

So many dialogues are drawn from all 3,500 by the seed, whatever their corpus or label. DSAT is a mean overall rating below 3. Two
items are asked for, "satisfied" and "dissatisfied"; a dialogue is satisfied where the first weighs as much as the second or more,
so nothing is learned. SmolLM2-135M is asked in two ways: both items by JSON that llama.cpp forces on it, and "dissatisfied" alone
by log-probabilities. Where OPENAI_BASE_URL and OPENAI_MODEL are set (the key in OPENAI_API_KEY, if there is one), that model is
asked by JSON too. The small model gets the two ends of a transcript in `characters`, which is what a CPU reads in seconds; a
server gets 6,000. The rules' threshold is learned on 5% of the other dialogues.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import torch

from benchmarks.judges import label, one_annotator, rounded
from benchmarks.record import record
from headrace.contracts.rng import rng
from headrace.data import datasets
from headrace.evaluate.agreement import Agreement, agreement, table
from headrace.flywheel.gates.judge_bar import JudgeBar
from headrace.llm.agreement import FIGURES, learned_threshold
from headrace.llm.backend import Backend
from headrace.llm.cache import AnswerCache
from headrace.llm.chat import Chatting
from headrace.llm.judge import Scores
from headrace.llm.llamacpp import LlamaCpp, LlamaCppConfig
from headrace.llm.local import local
from headrace.llm.model_judge import ModelJudge
from headrace.llm.openai_server import OpenAIServer, ServerConfig
from headrace.llm.rubric import Item, Rubric
from headrace.llm.satisfaction import DISSATISFIED, RULES, SATISFIED
from headrace.llm.smollm import smollm
from headrace.llm.transcript import Conversation, conversations

CONTENT = Rubric("content, by hand", "SAT", (Item("satisfied", "The user gets what they wanted and is content."),))
ANNOYED = Rubric("annoyed, by hand", "DSAT", (Item("dissatisfied", "The user doesn't get what they wanted, or is annoyed."),))
SHOWN = ("kappa", "dsat_precision", "dsat_recall", "macro_f1")
_TRAIN = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--dialogues", type=int, default=60)
    parser.add_argument("--characters", type=int, default=600)
    parser.add_argument("--cache", type=Path)
    of = parser.parse_args()
    torch.set_num_threads(1)
    folder = datasets.get("uss-satisfaction")
    talks = conversations(pl.read_parquet(folder / "turns.parquet"))
    whole = pl.read_parquet(folder / "satisfaction.parquet").filter(pl.col("index").is_null())
    ratings = dict(whole.select("conversation_id", "ratings").rows())
    labels = {name: label(rated) for name, rated in ratings.items()}
    order = rng(0, "dialogues").permutation(len(talks))
    drawn = [talks[place] for place in order[: of.dialogues]]
    people = {talk.id: labels[talk.id] for talk in drawn}
    figures: dict[str, Any] = {
        "dialogues": of.dialogues, "characters": of.characters, "dissatisfied": sum(not one for one in people.values()),
    }  # fmt: skip
    rows: dict[str, Agreement] = {}

    def asked(name: str, backend: Backend, ask: Callable[[Chatting], tuple[ModelJudge, Sequence[Rubric]]]) -> None:
        cache = AnswerCache(of.cache) if of.cache else None
        model = Chatting(backend, cache)
        judge, rubrics = ask(model)
        cpu = time.process_time()
        found: Scores = judge.score(drawn, rubrics)
        if not model.usage.cached:
            figures[f"{name}_cpu_s"] = round(time.process_time() - cpu, 1)
        figures[f"{name}_why_unparsed"] = list(found.tally.reasons)
        labelled = found.labels(0.0)
        if labelled:
            rows[name] = agreement(judge.id, labelled, people, rubrics=[one.id for one in rubrics])
        else:
            figures[name] = f"{judge.id}: none of {len(drawn)} answers could be used"
        if cache:
            cache.close()

    with LlamaCpp(smollm(), LlamaCppConfig(parallel=4, context=1024)) as fast:
        asked("SmolLM2-135M, JSON", fast, lambda model: (_by_json(model, of.characters, 400), (CONTENT, ANNOYED)))
    asked(
        "SmolLM2-135M, log-probabilities", local(smollm()),
        lambda model: (ModelJudge(model, by="log_prob", characters=of.characters), (ANNOYED,)),
    )  # fmt: skip
    if os.environ.get("OPENAI_BASE_URL"):
        with closing(_endpoint()) as server:
            asked(server.config.model, server, lambda model: (_by_json(model, 6000, 2000), (CONTENT, ANNOYED)))
    rows["rules"] = _rules(talks, [talks[place].id for place in order[of.dialogues :]], labels, people)
    rows["always satisfied"] = agreement("constant", dict.fromkeys(people, 1), people)
    rows["one annotator"] = one_annotator({name: ratings[name] for name in people})
    print(table(rows, SHOWN))
    bar = JudgeBar(least=2)  # so that it speaks of the figures, not of their number
    for name, one in rows.items():
        decision = bar.decide("new", "old", {"judges": {one.judge_id: one}})
        kept = {figure: rounded(one, figure) for figure in FIGURES}
        figures[name] = {
            "n": one.n,
            "unparsed": round(one.unparsed, 3),
            "judge_bar": f"{decision.status}: {decision.reason}",
        } | kept
    record("model_judges", figures)


def _by_json(model: Chatting, characters: int, max_tokens: int) -> ModelJudge:
    return ModelJudge(model, by="json", characters=characters, max_tokens=max_tokens)


def _endpoint() -> OpenAIServer:
    key = "OPENAI_API_KEY" if os.environ.get("OPENAI_API_KEY") else ""
    return OpenAIServer(ServerConfig(base_url=os.environ["OPENAI_BASE_URL"], model=os.environ["OPENAI_MODEL"], api_key_env=key))


def _rules(
    talks: Sequence[Conversation], others: Sequence[str], labels: Mapping[str, int], people: Mapping[str, int]
) -> Agreement:
    fitted = set(others[: round(_TRAIN * len(others))])
    scored = RULES.score([talk for talk in talks if talk.id in fitted or talk.id in people], [SATISFIED, DISSATISFIED])
    totals = dict(scored.totals().rows())
    threshold = learned_threshold({name: totals[name] for name in fitted}, labels)
    return agreement(RULES.id, {name: int(totals[name] >= threshold) for name in people}, people)


if __name__ == "__main__":
    main()
