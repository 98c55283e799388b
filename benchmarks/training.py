"""Steps per second of the addition tasks' protocol: the naive loop, its better cousins, our engines, and the bound.

Run as `python benchmarks/training.py [steps]` (2,000 by default). Every row takes the same batches of 100 of f_add with
V = 200 and d = 200 in float32 under AdamW, on one thread; rows take turns and each keeps its best of three, so that a
busy moment of the machine does not decide. The bound is the time of the three matrix products of a step alone, at the
shapes that the engine uses, in the BLAS that it uses. Writes benchmarks/training.md.
"""

import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from probsig import seeds
from probsig.addition import engines
from probsig.addition.training import MODELS
from probsig.laws.tasks import TASKS
from probsig.runs import machine
from probsig.theory.models import initial_weights

V = D = 200
BATCH, SAMPLES, RATE = 100, 50_000, 1e-5
NAME = {"linear": "F_lin", "ffn": "F_ffn"}


class Naive(torch.nn.Module):
    """The model as a reader would write it."""

    def __init__(self, law, model):
        super().__init__()
        W_E, W_U = initial_weights(V, D, "sd", 0, ("init", law.name))
        self.embedding = torch.nn.Embedding.from_pretrained(torch.tensor(W_E, dtype=torch.float32), freeze=False)
        self.output = torch.nn.Linear(D, V, bias=False)
        self.output.weight.data = torch.tensor(W_U, dtype=torch.float32)
        self.relu = model == "ffn"

    def forward(self, X):
        hidden = self.embedding(X).sum(dim=1)
        return self.output(torch.relu(hidden) if self.relu else hidden)


def eager(law, model, loader, fused):
    """A torch loop: with a DataLoader or with the batches gathered at once, AdamW as it comes or fused."""
    net = Naive(law, model)
    rule = torch.optim.AdamW(net.parameters(), lr=RATE, fused=fused)
    drawn = law.draw(SAMPLES, 0)
    X, y = torch.tensor(law.X[drawn]), torch.tensor(law.y[drawn])
    order = seeds.stream(0, "order", law.name)

    def batches():
        if loader:
            data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), BATCH, shuffle=True)
            while True:
                yield from data
        while True:
            for atoms in torch.tensor(order.permutation(SAMPLES)).reshape(-1, BATCH):
                yield X[atoms], y[atoms]

    def run(steps):
        for inputs, labels in itertools.islice(batches(), steps):
            rule.zero_grad()
            torch.nn.functional.cross_entropy(net(inputs), labels).backward()
            rule.step()

    return run, lambda: (net.embedding.weight.detach().numpy(), net.output.weight.detach().numpy())


def ours(law, model, kind):
    """One of our engines."""
    how = engines.Protocol(steps=0, learning_rate=RATE, batch=BATCH, samples=SAMPLES)
    start = tuple(W.astype(np.float32) for W in (*initial_weights(V, D, "sd", 0, ("init", law.name)), np.eye(D)))
    extra = (np, np.array) if kind is engines.ArrayEngine else ()
    engine = kind(law, model, how, [start], [0], *extra)
    return engine.advance, lambda: engine.weights()[0]


@numba.njit(nogil=True)
def products(steps, A, B, C, one, two, three):
    """The three products of a step: A B^T, C B and C^T A."""
    for _ in range(steps):
        np.dot(A, B.T, one)
        np.dot(C, B, two)
        np.dot(C.T, A, three)


def bound(rows):
    """The matrix products of a step alone, with `rows` tokens or sequences."""
    rng = np.random.default_rng(0)
    A, B, C = (rng.standard_normal(shape).astype(np.float32) for shape in ((rows, D), (V, D), (rows, V)))
    one, two, three = np.empty((rows, V), np.float32), np.empty((rows, D), np.float32), np.empty((V, D), np.float32)
    return lambda steps: products(steps, A, B, C, one, two, three)


def best_of_three(runs, steps):
    """Milliseconds a step of every run; they take turns."""
    for run in runs.values():
        run(20)
    times = {name: [] for name in runs}
    for _ in range(3):
        for name, run in runs.items():
            begun = time.perf_counter()
            run(steps)
            times[name].append(time.perf_counter() - begun)
    return {name: min(values) / steps * 1e3 for name, values in times.items()}


def agreement(law, model):
    """The largest difference of a weight after 1,000 steps of the compiled engine and of the torch loop."""
    (one, W), (two, T) = ours(law, model, engines.KernelEngine), eager(law, model, False, False)
    one(1000)
    two(1000)
    return max(np.abs(a - b).max() for a, b in zip(W(), T(), strict=True))


def main(steps):
    torch.set_num_threads(1)
    law = TASKS["add"]()
    tables, apart = {}, {}
    with threadpool_limits(1, user_api="blas"):
        for model in MODELS:
            tables[model] = best_of_three(
                {
                    "naive: nn.Embedding, DataLoader, AdamW": eager(law, model, True, None)[0],
                    "torch, batches gathered": eager(law, model, False, None)[0],
                    "torch, batches gathered, fused AdamW": eager(law, model, False, True)[0],
                    "ours, arrays (numpy)": ours(law, model, engines.ArrayEngine)[0],
                    "ours, compiled": ours(law, model, engines.KernelEngine)[0],
                    "bound: three matrix products": bound(len(law.occurs()) if model == "linear" else BATCH),
                },
                steps,
            )
            apart[model] = agreement(law, model)
        # all six runs of a seed, one after another and on two threads
        six = [ours(TASKS[task](), model, engines.KernelEngine)[0] for task in TASKS for model in MODELS]
        for run in six:
            run(20)
        begun = time.perf_counter()
        for run in six:
            run(steps)
        alone = time.perf_counter() - begun
        begun = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda run: run(steps), six))
        together = time.perf_counter() - begun
    lines = [
        f"Steps of the addition protocol, milliseconds a step and speed over the naive loop in the same run ({steps:,} "
        "steps a row, best of three, one thread).",
        "",
        "| method | F_lin, ms | × naive | F_ffn, ms | × naive |",
        "|---|---|---|---|---|",
    ]
    for name in tables["linear"]:
        cells = [f"{tables[m][name]:.3f} | {next(iter(tables[m].values())) / tables[m][name]:.1f}" for m in MODELS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    over = {m: tables[m]["ours, compiled"] / tables[m]["bound: three matrix products"] for m in MODELS}
    naive = sum(tables[m]["naive: nn.Embedding, DataLoader, AdamW"] for m in MODELS)
    lines += [
        "",
        f"- Over the bound: {over['linear']:.2f} times (F_lin), {over['ffn']:.2f} times (F_ffn).",
        f"- All six runs of a seed: {alone / steps * 1e3:.2f} ms a step of each, one after another; two threads take "
        f"{together / alone:.2f} of that wall time.",
        f"- The whole protocol of a seed, 500,000 steps of each: {alone / steps * 500_000 / 60:.0f} core-minutes; the "
        f"naive loop, at three times the two rows above, {3 * naive * 500 / 60:.0f}.",
        f"- Weights after 1,000 steps against the torch loop with the same batches: within {apart['linear']:.0e} "
        f"(F_lin) and {apart['ffn']:.0e} (F_ffn).",
        "",
        f"{machine.hardware()}; torch {torch.__version__}, numpy {np.__version__}, numba {numba.__version__}.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
