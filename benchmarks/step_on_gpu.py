"""One update of a language model at the paper's shape on a GPU, against the usual way of a trainer; prints a table.

    python benchmarks/step_on_gpu.py

The usual way: eager layers under autocast to bfloat16, the logits of all places at once, fused AdamW. The book's:
`probsig.language.training`: compiled layers, the loss in pieces of the vocabulary, one CUDA graph per update. The
share of the card counts the matrix products of the network, and the card is what a product of two square matrices of
8192 rows reaches in the same process. Losses must agree to what bfloat16 rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from probsig.language import networks, training, updates
from probsig.text.training_set import TrainingSet

V, LENGTH, ROWS, STEPS = 30_000, 2048, 64, 30
AGREE = 5e-3  # relative, of losses

Update = Callable[[np.ndarray, float], torch.Tensor]


def card() -> float:
    """Operations per second of a large product in bfloat16."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / seconds(lambda: a @ b, 10)


def seconds(call: Callable[[], Any], times: int) -> float:
    """The mean time of a call."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(times):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - begun) / times


def operations(model: Any, batch: int) -> float:
    """Floating-point operations of an update's matrix products; attention over what stands before a place."""
    weights = sum(w.numel() for name, w in model.named_parameters() if "embed_tokens" not in name)
    config = model.config
    scores = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * LENGTH
    return (6 * weights + 3 * scores) * batch * LENGTH


def usual(model: Any, rows: updates.Rows, recipe: updates.Recipe) -> Update:
    """A trainer's update."""
    ids, goals = (torch.from_numpy(part.astype(np.int64)).cuda() for part in rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)

    def update(batch: np.ndarray, rate: float) -> torch.Tensor:
        chosen = torch.from_numpy(batch).cuda()
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(input_ids=ids[chosen]).logits
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), goals[chosen, 0].flatten())
        loss.backward()
        optimizer.step()
        return loss.detach()[None]

    return update


def book(model: Any, rows: updates.Rows, recipe: updates.Recipe) -> Update:
    """The book's update."""
    update = updates.CompiledUpdate(model, rows, recipe, torch.device("cuda"))
    update.ready()
    return update


def main() -> None:
    """Print a line for each way and batch; raise where the losses disagree."""
    speed = card()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {speed / 1e12:.0f} TFLOP/s in bf16", flush=True)
    ids = np.minimum(np.random.default_rng(0).zipf(1.3, ROWS * LENGTH + 1) - 1, V - 1).astype(np.uint16)
    data = TrainingSet("zipf", ids, np.array([0, len(ids)]), np.arange(V), V)
    rows = data.rows(LENGTH)[0], training.targets(data, LENGTH, (1,))
    for batch in (2, 8):
        known = None
        for name, way in (("usual", usual), ("book", book)):
            torch.cuda.reset_peak_memory_stats()
            model = networks.build("qwen2.5", networks.SHAPES["paper"], V, seed=0).to("cuda").train()
            begun = time.perf_counter()
            update = way(model, rows, updates.Recipe(batch=batch, length=LENGTH))
            order = np.random.default_rng(1).permutation(ROWS)
            losses = (
                torch.cat([update(np.roll(order, -batch * s)[:batch].copy(), 1e-4) for s in range(12)]).cpu().numpy()
            )
            ready = time.perf_counter() - begun
            took = seconds(lambda update=update, some=order[:batch]: update(some, 1e-4), STEPS)
            known = losses if known is None else known
            off = np.abs(losses / known - 1).max()
            share, peak = operations(model, batch) / took / speed, torch.cuda.max_memory_allocated() / 2**30
            print(
                f"{name:6s} {batch} rows: {1000 * took:6.2f} ms, {batch * LENGTH / took:8.0f} tokens/s, {share:4.0%} "
                f"of the card, {peak:4.1f} GiB, first 12 steps {ready:5.1f} s, losses differ by {off:.1e}",
                flush=True,
            )
            if not off < AGREE:
                raise SystemExit(f"The losses of {name} differ by {off:.1e}: {losses} where {known} was known.")


if __name__ == "__main__":
    main()
