"""A small language model on a CPU: answers and scores a second, beside transformers asked one chat at a time.

    python -m benchmarks.language_model [--chats 8] [--tokens 16] [--threads 1]

Chats share a system prompt of some 60 tokens and differ in a question; answers are greedy and of `tokens` at most. The peer takes
each chat on its own: `generate` for answers, one forward pass for every (chat, label) for scores. Wall and CPU seconds of all
threads, since a busy machine's wall says little. Each kind says a word before its clock
starts. The goal is four times the peer's answers a CPU second.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.record import record
from headrace.contracts.chat import Chat, Message, Sampling
from headrace.llm.backend import Backend, Said
from headrace.llm.llamacpp import LlamaCpp, LlamaCppConfig
from headrace.llm.local import Local, local
from headrace.llm.smollm import smollm

SYSTEM = (
    "You read what a shopper says and answer in one short sentence. You know teas, coffees, kettles, pots and cups, where they "
    "are made, what they cost and how they are used. You never speak of anything else, and where you don't know you say so."
)
THINGS = ("green tea", "an iron kettle", "espresso", "a glass pot", "oolong", "a paper filter", "matcha", "a hand mill")
LABELS = ("Yes", "No", "not sure", "hot drinks", "tableware")


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def answers(backend: Backend, chats: list[Chat], tokens: int) -> list[Said]:
    found: dict[int, Said] = {}
    backend.say(chats, None, Sampling(max_tokens=tokens), found.__setitem__)
    return [found[place] for place in range(len(chats))]


def read(model: Local, chat: Chat) -> list[int]:
    turns = [{"role": message.role, "content": message.content} for message in chat]
    text = model.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    found: list[int] = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def one_by_one(model: Local, chats: list[Chat], tokens: int) -> list[str]:
    found = []
    for chat in chats:
        prompt = torch.tensor([read(model, chat)])
        mask = torch.ones_like(prompt)
        said = model.model.generate(prompt, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
        found.append(model.tokenizer.decode(said[0, prompt.shape[1] :], skip_special_tokens=True))
    return found


def scored_one_by_one(model: Local, chats: list[Chat]) -> list[list[float]]:
    found = []
    for chat in chats:
        prompt = read(model, chat)
        row = []
        for label in LABELS:
            tokens = model.tokenizer(label, add_special_tokens=False)["input_ids"]
            with torch.inference_mode():
                logits = model.model(input_ids=torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
            row.append(logits.log_softmax(-1).gather(-1, torch.tensor(tokens)[:, None]).sum().item())
        found.append(row)
    return found


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--chats", type=int, default=8)
    asked.add_argument("--tokens", type=int, default=16)
    asked.add_argument("--threads", type=int, default=1)
    of = asked.parse_args()
    torch.set_num_threads(of.threads)
    questions = [f"What is {THINGS[place % len(THINGS)]} good for, number {place}?" for place in range(of.chats)]
    chats: list[Chat] = [[Message("system", SYSTEM), Message("user", question)] for question in questions]
    model = local(smollm())
    said: dict[str, list[str]] = {}
    scores: dict[str, list[list[float]]] = {}
    figures: dict[str, Any] = {"chats": of.chats, "tokens": of.tokens, "threads": of.threads, "labels": len(LABELS)}

    def run(name: str, work: Callable[[], Any]) -> None:
        wall, cpu = timed(work)
        figures.update({f"{name}_wall_s": round(wall, 2), f"{name}_cpu_s": round(cpu, 2)})

    warm: list[Chat] = [[Message("user", "hello")]]
    one_by_one(model, warm, 2)
    run("say_one_by_one", lambda: said.update(peer=one_by_one(model, chats, of.tokens)))
    run("say_local", lambda: said.update(local=[one.text for one in answers(model, chats, of.tokens)]))
    with LlamaCpp(smollm(), LlamaCppConfig(parallel=4, context=512, threads=of.threads)) as fast:
        answers(fast, warm, 2)
        run("say_llamacpp", lambda: said.update(llamacpp=[one.text for one in answers(fast, chats, of.tokens)]))
    run("score_one_by_one", lambda: scores.update(peer=scored_one_by_one(model, chats)))
    run("score_local", lambda: scores.update(local=[list(one.log_prob) for one in model.score(chats, [LABELS] * len(chats))]))
    for kind, ours in (("say", "local"), ("say", "llamacpp"), ("score", "local")):
        for clock in ("wall", "cpu"):
            gained = figures[f"{kind}_one_by_one_{clock}_s"] / figures[f"{kind}_{ours}_{clock}_s"]
            figures[f"{kind}_{ours}_times_{clock}"] = round(gained, 2)
    figures["same_answers_local"] = sum(one == other for one, other in zip(said["peer"], said["local"], strict=True))
    pairs = zip(scores["peer"], scores["local"], strict=True)
    figures["score_furthest_apart"] = round(max(abs(a - b) for ours, its in pairs for a, b in zip(ours, its, strict=True)), 5)
    print(record("language_model", figures))


if __name__ == "__main__":
    main()
