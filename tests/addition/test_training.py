"""The optimiser loop: against torch's autograd and AdamW, against the exact flow, and its random streams."""

import os
import subprocess
import sys

import numpy as np
import pytest

from probsig import seeds
from probsig.addition.engines import Order
from probsig.addition.training import MODELS, train, train_together
from probsig.laws.distribution import Distribution
from probsig.laws.tasks import TASKS, addition, modular_addition
from probsig.runs import drafts
from probsig.theory.models import initial_weights

torch = pytest.importorskip("torch")
SMALL = {"seed": 3, "hidden_size": 12, "learning_rate": 1e-3}


def law(make=modular_addition):
    return make(anchors=range(1, 5), z=range(10, 17), vocab_size=30)


def by_torch(dist, model, *, seed, steps, hidden_size, learning_rate, batch, samples, dtype):
    """The naive loop: nn.Embedding, autograd, torch.optim.AdamW, every sequence gathered anew."""
    kind = {np.dtype("float64"): torch.float64, np.dtype("float32"): torch.float32}[np.dtype(dtype)]
    W_E, W_U = initial_weights(dist.vocab_size, hidden_size, "sd", seed, ("init", dist.stream))
    embedding = torch.nn.Embedding.from_pretrained(torch.tensor(W_E, dtype=kind), freeze=False)
    output = torch.nn.Parameter(torch.tensor(W_U, dtype=kind))
    optimiser = torch.optim.AdamW([embedding.weight, output], lr=learning_rate)
    drawn, order = dist.draw(samples, seed), seeds.stream(seed, "order", dist.stream)
    X, y, done = torch.tensor(dist.X), torch.tensor(dist.y), 0
    while done < steps:
        for atoms in drawn[order.permutation(samples)].reshape(-1, batch)[: steps - done]:
            hidden = embedding(X[atoms]).sum(dim=1)
            hidden = torch.relu(hidden) if model == "ffn" else hidden
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(hidden @ output.T, y[atoms]).backward()
            optimiser.step()
            done += 1
    return embedding.weight.detach().numpy(), output.detach().numpy()


@pytest.mark.parametrize("model", MODELS)
def test_200_steps_equal_torch_autograd_and_adamw(model):
    """In float64 to rounding; in float32 as near to the float64 weights as torch's own float32 is."""
    options = {**SMALL, "steps": 200, "batch": 20, "samples": 300}  # 15 batches an epoch
    ours, theirs = {}, {}
    for dtype in (np.float64, np.float32):
        run = train(law(), model, **options, dtype=dtype)
        assert run.W_E.dtype == dtype
        ours[dtype] = np.concatenate([run.W_E[0], run.W_U[0]])
        theirs[dtype] = np.concatenate(by_torch(law(), model, **options, dtype=dtype))
    exact = theirs[np.float64]
    assert np.abs(ours[np.float64] - exact).max() < 1e-12
    start = np.concatenate(initial_weights(30, 12, "sd", 3, ("init", "mod")))
    assert np.abs(exact - start).max() > 0.1  # it did move

    def size(difference):
        return np.sqrt((difference**2).mean())

    rounding = size(theirs[np.float32] - exact)
    assert size(ours[np.float32] - exact) < 1.3 * rounding and size(ours[np.float32] - theirs[np.float32]) < rounding


def test_tokens_that_never_occur_only_decay():
    done = train(law(), "linear", **SMALL, steps=50, batch=20, samples=100, dtype=np.float64)
    start, _ = initial_weights(30, 12, "sd", 3, ("init", "mod"))
    absent = np.setdiff1d(np.arange(30), law().occurs())
    np.testing.assert_allclose(done.W_E[0][absent], start[absent] * (1 - 1e-5) ** 50, rtol=1e-13)


def test_seeds_and_tasks_are_independent_and_models_are_paired():
    options = {"steps": 0, "hidden_size": 8, "batch": None}
    pairs = [(task, model) for task in ("add", "mod") for model in MODELS]
    one, two = ({pair: train(TASKS[pair[0]](), pair[1], seed=seed, **options) for pair in pairs} for seed in (0, 1))
    assert np.array_equal(one["add", "linear"].W_E, one["add", "ffn"].W_E)
    different = [one["add", "linear"], one["mod", "linear"], two["add", "linear"], two["mod", "linear"]]
    rows = np.array([r.W_E.ravel() for r in different])
    correlation = np.corrcoef(rows) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(rows.shape[1])
    first = [Order(TASKS[task](), seed, 100, 1000).take(1) for task in ("add", "mod") for seed in (0, 1)]
    assert len({tuple(atoms[0].tolist()) for atoms in first}) == 4


def test_measurements_and_checkpoints_are_of_the_step_they_name():
    seen = {}

    def measure(step, W_E, W_U):
        seen[step] = W_E.copy()
        return {"norm": float(np.linalg.norm(W_U)), "step": step}

    options = {**SMALL, "batch": None}
    run = train(law(), "ffn", **options, steps=7, measure=measure, measure_at=[7, 0, 3], checkpoints=[3, 0])
    assert run.steps.tolist() == [0, 3, 7] == run.metrics["step"].tolist()
    assert run.checkpoints.tolist() == [0, 3] and run.W_E.shape == (2, 30, 12)
    assert np.array_equal(run.W_E[1], seen[3]) and run.metrics["norm"][0] == np.linalg.norm(run.W_U[0])
    alone = train(law(), "ffn", **options, steps=3)
    assert np.array_equal(alone.W_E[0], run.W_E[1])


SCRIPT = """
from probsig.addition.training import train
from probsig.laws.tasks import addition
from probsig.runs.files import digest
for batch in (None, 100):
    run = train(addition(), "ffn", seed=0, steps=20, batch=batch, samples=2000, learning_rate=1e-3)
    print(digest(run.W_E.tobytes() + run.W_U.tobytes()))
"""


@pytest.mark.slow
def test_the_same_bits_at_one_and_at_two_threads():
    out = []
    for threads in ("1", "2"):
        names = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | names, capture_output=True, text=True, check=True
        )
        out.append(done.stdout.split())
    assert out[0] == out[1] and len(set(out[0])) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "rnn"}, "model is 'rnn': pass one of 'linear', 'ffn'"),
        ({"batch": 7}, "samples 300 are no multiple of batch 7"),
        ({"checkpoints": [9]}, r"step 9 is outside 0\.\.5"),
        ({"steps": -1}, "steps is -1: pass a whole number of at least 0"),
        ({"optimiser": "lion"}, "optimiser is 'lion': pass one of 'adamw', 'adam', 'sgd'"),
        ({"activation": "step"}, "activation is 'step': pass one of 'identity'"),
        ({"depth": 3}, "depth is 3: pass one of 1, 2"),
        ({"device": "tpu"}, "device is 'tpu' .*: pass one of 'auto', 'cpu', 'cuda'"),
    ],
)
def test_errors_name_the_culprit(options, message):
    options = {"model": "linear", "seed": 0, "steps": 5, "batch": 100, "samples": 300} | options
    with pytest.raises(ValueError, match=message):
        train(law(addition), **options)


def by_autograd(dist, activation, depth, optimiser, *, seed, steps, learning_rate, start):
    """Full-batch training of any variant by torch: modules, autograd, torch.optim."""
    W_E, W_U, inner = (torch.nn.Parameter(torch.tensor(W)) for W in start)
    used = [W_E, W_U] + ([inner] if depth == 2 else [])
    rule = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimiser](
        used, learning_rate
    )
    X, y, p = torch.tensor(dist.X), torch.tensor(dist.y), torch.tensor(dist.probability)
    named = {
        "relu": torch.relu,
        "tanh": torch.tanh,
        "gelu": torch.nn.functional.gelu,
        "quadratic": lambda s: s + s**2 / 2,
    }
    for _ in range(steps):
        H = named[activation](W_E[X].sum(dim=1))
        H = named[activation](H @ inner.T) if depth == 2 else H
        rule.zero_grad()
        (p @ torch.nn.functional.cross_entropy(H @ W_U.T, y, reduction="none")).backward()
        rule.step()
    return W_E.detach().numpy(), W_U.detach().numpy()


@pytest.mark.parametrize(
    ("activation", "depth", "optimiser"),
    [("tanh", 1, "adam"), ("gelu", 1, "adamw"), ("quadratic", 1, "sgd"), ("relu", 2, "adamw"), ("tanh", 2, "sgd")],
)
def test_every_variant_equals_torch(activation, depth, optimiser):
    dist, rate = law(), 0.5 if optimiser == "sgd" else 1e-2
    start = [*initial_weights(30, 12, "variance", 3, ("init", "mod"))]
    start.append(initial_weights(12, 12, "variance", 3, ("init", "mod", "inner"))[0])
    options = {"seed": 3, "steps": 30, "learning_rate": rate}
    theirs = by_autograd(dist, activation, depth, optimiser, start=start, **options)
    ours = train(
        dist,
        "ffn",
        **options,
        hidden_size=12,
        init="variance",
        batch=None,
        activation=activation,
        depth=depth,
        optimiser=optimiser,
    )
    occurs = dist.occurs()
    assert np.abs(ours.W_U[0] - theirs[1]).max() < 1e-12
    assert np.abs(ours.W_E[0] - theirs[0])[occurs].max() < 1e-12
    assert np.abs(ours.W_U[0] - start[1]).max() > 1e-2


def test_runs_together_are_the_runs_alone():
    options = {**{k: v for k, v in SMALL.items() if k != "seed"}, "steps": 30, "batch": 20, "samples": 100}
    both = train_together(law(), "ffn", seeds=[3, 4], init=["sd", 0.3], dtype=np.float64, **options)
    for seed, init, together in zip((3, 4), ("sd", 0.3), both, strict=True):
        alone = train(law(), "ffn", seed=seed, init=init, dtype=np.float64, **options)
        np.testing.assert_allclose(together.W_E, alone.W_E, atol=1e-14)
        np.testing.assert_allclose(together.W_U, alone.W_U, atol=1e-14)


def test_a_run_goes_on_from_given_weights_with_a_fresh_optimiser():
    first = train(law(), "linear", **SMALL, steps=5, batch=None)
    start = first.W_E[0], first.W_U[0]
    assert np.array_equal(train(law(), "linear", **SMALL, steps=0, batch=None, init=start).W_U[0], start[1])
    later = train(law(), "linear", **SMALL, steps=1, batch=None, init=start)
    moved = np.abs(later.W_U[0] - start[1] * (1 - 1e-5))
    assert moved.max() == pytest.approx(1e-3, rel=1e-3)  # a first step of Adam: the learning rate


@pytest.mark.parametrize("options", [{"batch": 20, "samples": 100}, {"batch": None}, {"batch": 20, "depth": 2}])
@pytest.mark.parametrize("at", [1, 4, 6])
def test_stopped_anywhere_a_run_goes_on_to_the_same_bits(tmp_path, stops, options, at):
    options = {
        "samples": 100,
        **SMALL,
        **options,
        "steps": 90,
        "checkpoints": [0, 35, 90],
        "measure_at": range(0, 91, 15),
    }

    def measure(step, W_E, W_U, *inner):
        return {"norm": float(np.linalg.norm(W_E)), **({"now and then": float(W_U[0, 0])} if step % 45 == 0 else {})}

    whole = train(law(), "ffn", measure=measure, **options)
    with pytest.raises(drafts.Stopped):
        train(law(), "ffn", measure=measure, draft=stops(tmp_path / "state", at), **options)
    on = train(law(), "ffn", measure=measure, draft=drafts.Draft(tmp_path / "state"), **options)
    assert whole.steps.tolist() == on.steps.tolist() and whole.checkpoints.tolist() == on.checkpoints.tolist()
    for name in whole.metrics:
        assert np.array_equal(whole.metrics[name], on.metrics[name], equal_nan=True)
    assert np.array_equal(whole.W_E, on.W_E) and np.array_equal(whole.W_U, on.W_U)


def test_the_state_of_another_protocol_is_not_taken_up(tmp_path, stops):
    options = {**SMALL, "batch": None, "measure_at": [0, 2, 4], "measure": lambda step, *W: {"x": 0.0}}
    with pytest.raises(drafts.Stopped):
        train(law(), "linear", steps=4, draft=stops(tmp_path / "state", 2), **options)
    changed = {"steps": 5}, {"init": "variance"}, {"init": 0.1}, {"checkpoints": [2]}, {"measure_at": [1, 2]}
    for change in (*changed, {"dtype": np.float32}, {"hidden_size": 4}):
        other = {"steps": 4} | options | change
        resumed = train(law(), "linear", draft=drafts.Draft(tmp_path / "state"), **other)
        fresh = train(law(), "linear", **other)
        assert np.array_equal(resumed.W_E, fresh.W_E) and resumed.steps.tolist() == fresh.steps.tolist(), change
    twice = Distribution(law().X, law().y, np.arange(1, len(law().y) + 1), 30, stream="mod")
    resumed = train(twice, "linear", steps=4, draft=drafts.Draft(tmp_path / "state"), **options)
    assert np.array_equal(resumed.W_E, train(twice, "linear", steps=4, **options).W_E)
