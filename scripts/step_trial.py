"""What one update costs on a GPU at the paper's shape, by method, and whether they agree. Prints a table."""

import sys
import time

import numpy as np
import torch

from probsig import language_models as lm
from probsig import language_training as lt
from probsig.language_data import TrainingSet


def rate_of_card():
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(10):
        a @ b
    torch.cuda.synchronize()
    return 10 * 2 * 8192**3 / (time.perf_counter() - begun)


def flops(model, V, batch, length):
    trunk = sum(p.numel() for n, p in model.named_parameters() if "embed_tokens" not in n and "lm_head" not in n)
    heads = model.config.num_attention_heads * 64
    attention = len(model.model.layers) * 2 * heads * length  # scores and values, causal: half of 4
    return (6 * (trunk + V * model.config.hidden_size) + 3 * attention) * batch * length


def data(V, tokens, seed=0):
    ids = np.minimum(np.random.default_rng(seed).zipf(1.3, tokens) - 1, V - 1).astype(np.uint16)
    return TrainingSet("zipf", ids, np.array([0, tokens // 2, tokens]), np.arange(V), V)


class Trainer:
    """A trainer's way: labels=, fused AdamW, autocast, eager."""

    def __init__(self, model, rows, recipe):
        self.model, self.rows = model, [torch.from_numpy(r.astype(np.int64)).cuda() for r in rows]
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )

    def ready(self):
        pass

    def __call__(self, batch, rate):
        for g in self.optimizer.param_groups:
            g["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        ids, goals = (r[torch.from_numpy(batch).cuda()] for r in self.rows)
        with torch.autocast("cuda", torch.bfloat16):
            logits = self.model(input_ids=ids).logits
            loss = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), goals[:, 0].flatten(), ignore_index=-100
            )
        loss.backward()
        self.optimizer.step()
        return loss.detach()[None]


class NoGraph(lt._Compiled):
    def _capture(self):
        self.taken = -(10**9)


def no_compile(cls):
    class Plain(cls):
        def __init__(self, model, rows, recipe):
            kept = torch.nn.Module.compile
            torch.nn.Module.compile = lambda self, *a, **k: None
            try:
                super().__init__(model, rows, recipe)
            finally:
                torch.nn.Module.compile = kept

    return Plain


def main():
    torch._dynamo.config.automatic_dynamic_shapes = False
    card = rate_of_card()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {card / 1e12:.0f} TFLOP/s in bf16", flush=True)
    V, length = 30_000, 2048
    known = None
    cases = [
        ("trainer", Trainer, 2),
        ("ours", lt._Compiled, 2),
        ("ours eager, graph", no_compile(lt._Compiled), 2),
        ("ours", lt._Compiled, 8),
        ("trainer", Trainer, 8),
        ("ours compiled, no graph", NoGraph, 2),
    ]
    for name, way, batch in cases:
        try:
            model = lm.build("qwen2.5", lm.SHAPES["paper"], V, seed=0, original=151_936).to("cuda").train()
            recipe = lt.Recipe(batch=batch, length=length)
            some = data(V, 64 * length + 1)
            rows = some.rows(length)[0], lt.targets(some, length, (1,))
            begun = time.perf_counter()
            update = way(model, rows, recipe)
            update.ready()
            torch.cuda.synchronize()
            ready = time.perf_counter() - begun
            order = np.random.default_rng(1).permutation(64)
            losses = [update(np.roll(order, -batch * s)[:batch].copy(), 1e-4) for s in range(20)]
            losses = torch.cat(losses).cpu().numpy()
            torch.cuda.synchronize()
            begun = time.perf_counter()
            for s in range(30):
                update(order[:batch], 1e-4)
            torch.cuda.synchronize()
            took = (time.perf_counter() - begun) / 30
            if batch == 2:
                known = losses if known is None else known
            off = np.abs(losses / known - 1).max() if batch == 2 else float("nan")
            share = flops(model, V, batch, length) / took / card
            print(
                f"{name:26s} batch {batch}: {1000 * took:7.2f} ms, {batch * length / took:9.0f} tokens/s, {100 * share:4.1f} % of the card, "
                f"ready {ready:5.1f} s, losses differ by {off:.1e}, last {losses[-1]:.4f}, peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB",
                flush=True,
            )
            if name == "ours" and batch == 2:
                with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
                    for _ in range(3):
                        update(order[:batch], 1e-4)
                    torch.cuda.synchronize()
                print(
                    profile.key_averages().table(
                        sort_by="self_cuda_time_total", row_limit=22, max_name_column_width=70
                    ),
                    flush=True,
                )
        except Exception as error:
            import traceback

            print(f"{name} batch {batch}: FAILED", traceback.format_exc(limit=-4), flush=True)
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
