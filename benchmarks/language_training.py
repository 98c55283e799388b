"""One training step of a language model: our loop against the way of a trainer's defaults.

Run as `python benchmarks/language_training.py [shape ...]` ("laptop" and "paper" by default; "paper" at the full
vocabulary needs 14 GB: the methods are there side by side). A trainer passes `labels=`, so the model makes all logits
at once, and takes torch's AdamW: its fused form in transformers 5, the plain one before. Since 2.13 torch has a loss
that never holds all logits, `linear_cross_entropy`. Ours makes logits and their gradient in chunks; both take the
fused AdamW. All start from the same weights, see the same tokens, on one thread, each
in a process of its own; they take turns, step by step, after a first that is not counted. Matrix products are counted
from the shapes (6 flops a weight and token, attention and the embedding's lookup left out) and set against the rate of
a plain product of the hidden size.
Writes benchmarks/language_training.md.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from probsig.language.networks import SHAPES, build, chunked_loss
from probsig.runs import machine

TURNS = {"laptop": 40, "paper": 6}
SIZES = {"laptop": (8_192, 2, 256), "paper": (151_936, 1, 512)}
WAYS = ("labels=, AdamW", "labels=, fused AdamW", "linear_cross_entropy", "ours")


def step(way, model, optimizer, ids):
    """One update in one of WAYS, in seconds."""
    begun = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    if way == "ours":
        loss = chunked_loss(model, inputs, targets)
    elif way == "linear_cross_entropy":
        hidden = model.model(input_ids=inputs).last_hidden_state.flatten(0, 1)
        loss = functional.linear_cross_entropy(hidden, model.lm_head.weight, targets.flatten())
    else:
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    return time.perf_counter() - begun


def matmul_rate(hidden, tokens):
    """Flops a second of a product (tokens, hidden) x (hidden, 4 hidden)."""
    a, b = torch.randn(tokens, hidden), torch.randn(hidden, 4 * hidden)
    best = np.inf
    for _ in range(20):
        begun = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - begun)
    return 2 * tokens * hidden * 4 * hidden / best


def measure(shape_name, way):
    """In a process of its own: a step for each line that comes in, its seconds for each that goes out; at the end the
    share of the product rate that the best step reached, and the peak of this process's memory in GiB."""
    torch.set_num_threads(1)
    vocab_size, batch, length = SIZES[shape_name]
    model = build("qwen2.5", SHAPES[shape_name], vocab_size, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=way != WAYS[0])
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, vocab_size, (batch, length + 1)))
    best = np.inf
    for _ in sys.stdin:
        seconds = step(way, model, optimizer, ids)
        best = min(best, seconds)
        print(seconds, flush=True)
    weights = sum(p.numel() for p in model.parameters()) - vocab_size * SHAPES[shape_name].hidden
    share = 6 * weights * batch * length / best / matmul_rate(SHAPES[shape_name].hidden, batch * length)
    print(share, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def in_turns(shape_name):
    """For each of WAYS the seconds of its steps, the share and the peak."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([sys.executable, __file__, "--one", shape_name, way], **pipes) for way in WAYS]
    seconds = np.empty((1 + TURNS[shape_name], len(WAYS)))
    for turn in seconds:
        for i, child in enumerate(children):
            child.stdin.write("step\n")
            child.stdin.flush()
            turn[i] = float(child.stdout.readline())
    ends = [[float(part) for part in child.communicate()[0].split()] for child in children]
    return [(times, *end) for times, end in zip(seconds[1:].T, ends, strict=True)]


def main(shapes):
    lines = ["One training step, Qwen2.5's architecture, one thread, float32; methods take turns.", ""]
    for name in shapes:
        vocab_size, batch, length = SIZES[name]
        lines += [f"Shape {name}, V = {vocab_size:,}, {batch} x {length} tokens, {TURNS[name]} steps each:", ""]
        lines += ["| method | best, s | median, s | tokens a second | speed against the first: best, median of turns |"]
        lines[-1] += " share of the product rate | peak, GiB |"
        lines += ["|---|---|---|---|---|---|---|"]
        found = in_turns(name)
        for way, (times, share, peak) in zip(WAYS, found, strict=True):
            first, best = found[0][0], times.min()
            ratios = f"{first.min() / best:.2f}, {np.median(first / times):.2f}"
            cells = [way, f"{best:.3f}", f"{np.median(times):.3f}", f"{batch * length / best:.0f}", ratios]
            lines.append("| " + " | ".join([*cells, f"{share:.2f}", f"{peak:.1f}"]) + " |")
        lines.append("")
    lines.append(f"{machine.hardware()}; torch {torch.__version__.partition('+')[0]}.")
    text = "\n".join(lines) + "\n"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(*sys.argv[2:])
    else:
        main(sys.argv[1:] or list(SIZES))
