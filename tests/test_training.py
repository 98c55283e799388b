"""The optimiser loop: against torch's autograd and AdamW, against the exact flow, and its random streams."""

import os
import subprocess
import sys

import numpy as np
import pytest

from probsig import flow, seeds
from probsig.models import FeedForward, LinearModel, initial_weights
from probsig.tasks import TASKS, addition, modular_addition
from probsig.training import MODELS, AdamW, batches, gradient, train, train_addition

torch = pytest.importorskip("torch")
HIDDEN = {"linear": LinearModel(), "ffn": FeedForward("relu")}
SMALL = {"seed": 3, "hidden_size": 12, "learning_rate": 1e-3}


def law(make=modular_addition):
    return make(anchors=range(1, 5), z=range(10, 17), vocab_size=30)


def by_torch(dist, model, *, seed, steps, hidden_size, learning_rate, batch, samples, dtype):
    """The naive loop: nn.Embedding, autograd, torch.optim.AdamW, every sequence gathered anew."""
    kind = {np.dtype("float64"): torch.float64, np.dtype("float32"): torch.float32}[np.dtype(dtype)]
    W_E, W_U = initial_weights(dist.vocab_size, hidden_size, "sd", seed, ("init", dist.name))
    embedding = torch.nn.Embedding.from_pretrained(torch.tensor(W_E, dtype=kind), freeze=False)
    output = torch.nn.Parameter(torch.tensor(W_U, dtype=kind))
    optimiser = torch.optim.AdamW([embedding.weight, output], lr=learning_rate)
    drawn, order = dist.draw(samples, seed), seeds.stream(seed, "order", dist.name)
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
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_200_steps_equal_torch_autograd_and_adamw(model, dtype, tolerance):
    options = {**SMALL, "steps": 200, "batch": 20, "samples": 300, "dtype": dtype}  # 15 batches an epoch
    ours, theirs = train(law(), model, **options), by_torch(law(), model, **options)
    for mine, reference in zip((ours.W_E[0], ours.W_U[0]), theirs, strict=True):
        assert mine.dtype == dtype
        assert np.abs(mine - reference).max() < tolerance
        assert np.abs(mine - initial_weights(30, 12, "sd", 3, ("init", "mod"))[0]).max() > 0.02  # it did move


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_the_population_gradient_is_minus_the_exact_velocity(task, model):
    dist = TASKS[task]()
    W_E, W_U = initial_weights(200, 20, 0.5, 1)
    population = next(batches(dist, 0, None, 0, np.dtype(float)))
    dE, dU = gradient(model, *population, W_E[dist.occurs()], W_U)
    vE, vU = flow.velocity(dist, W_E, W_U, HIDDEN[model])
    np.testing.assert_allclose(-dE, vE[dist.occurs()], atol=1e-14)
    np.testing.assert_allclose(-dU, vU, atol=1e-14)


def test_a_batch_of_the_whole_sample_is_the_gradient_of_the_empirical_law():
    dist = law()
    counts, y, weight = next(batches(dist, 5, 300, 300, np.dtype(float)))
    W_E, W_U = initial_weights(30, 8, 0.5, 1)
    dE, dU = gradient("ffn", counts, y, weight, W_E[dist.occurs()], W_U)
    vE, vU = flow.velocity(dist.sample(300, 5), W_E, W_U, HIDDEN["ffn"])
    np.testing.assert_allclose(-dE, vE[dist.occurs()], atol=1e-14)
    np.testing.assert_allclose(-dU, vU, atol=1e-14)


def test_adamw_by_hand():
    """Two steps with gradients 2 and -1 at rate 0.1, worked on paper: decay, then the corrected moments."""
    W = np.array([1.0])
    optimiser = AdamW(W, 0.1)
    optimiser.step(np.array([2.0]))
    assert W[0] == pytest.approx(1 * 0.999 - 0.1 * 2 / (2 + 1e-8), abs=1e-15)
    before = W[0]
    optimiser.step(np.array([-1.0]))
    mean, square = (0.9 * 0.2 - 0.1) / (1 - 0.81), (0.999 * 0.004 + 0.001) / (1 - 0.998001)
    assert W[0] == pytest.approx(before * 0.999 - 0.1 * mean / (square**0.5 + 1e-8), abs=1e-12)


def test_tokens_that_never_occur_only_decay():
    done = train(law(), "linear", **SMALL, steps=50, batch=20, samples=100, dtype=np.float64)
    start, _ = initial_weights(30, 12, "sd", 3, ("init", "mod"))
    absent = np.setdiff1d(np.arange(30), law().occurs())
    np.testing.assert_allclose(done.W_E[0][absent], start[absent] * (1 - 1e-5) ** 50, rtol=1e-13)


def test_every_epoch_takes_each_sample_once_in_another_order():
    dist = law()
    source = batches(dist, 1, 20, 60, np.dtype(float))
    drawn = np.column_stack([dist.counts()[:, dist.occurs()], dist.y])[dist.draw(60, 1)]
    epochs = []
    for _ in range(2):
        counts, y, weight = (np.concatenate(part) for part in zip(*(next(source) for _ in range(3)), strict=True))
        assert (weight == 1 / 20).all()
        epochs.append(np.column_stack([counts, y]))
    assert not np.array_equal(epochs[0], epochs[1])
    for epoch in epochs:
        assert sorted(map(tuple, epoch.tolist())) == sorted(map(tuple, drawn.tolist()))


def test_seeds_and_tasks_are_independent_and_models_are_paired():
    options = {"steps": 0, "hidden_size": 8, "batch": None}
    one = train_addition(["add", "mod"], seed=0, **options)
    two = train_addition(["add", "mod"], seed=1, **options)
    assert np.array_equal(one["add", "linear"].W_E, one["add", "ffn"].W_E)
    different = [one["add", "linear"], one["mod", "linear"], two["add", "linear"], two["mod", "linear"]]
    rows = np.array([r.W_E.ravel() for r in different])
    correlation = np.corrcoef(rows) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(rows.shape[1])
    first = [next(batches(TASKS[t](), s, 100, 1000, np.dtype(float)))[1] for t in ("add", "mod") for s in (0, 1)]
    assert len({tuple(y.tolist()) for y in first}) == 4


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
from probsig.training import train
from probsig.tasks import addition
from probsig.storage import digest
for batch in (None, 100):
    run = train(addition(), "ffn", seed=0, steps=20, batch=batch, samples=2000, learning_rate=1e-3)
    print(digest(run.W_E.tobytes() + run.W_U.tobytes()))
"""


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
        ({"model": "rnn"}, "unknown model 'rnn': choose one of linear, ffn"),
        ({"batch": 7}, "samples 300 are no multiple of batch 7"),
        ({"checkpoints": [9]}, r"step 9 is outside 0\.\.5"),
        ({"steps": -1}, "is outside 0..-1"),
    ],
)
def test_errors_name_the_culprit(options, message):
    options = {"model": "linear", "seed": 0, "steps": 5, "batch": 100, "samples": 300} | options
    with pytest.raises(ValueError, match=message):
        train(law(addition), **options)


def test_unknown_task():
    with pytest.raises(ValueError, match="unknown task 'sub': choose one of add, add_same, mod"):
        train_addition(["sub"], seed=0, steps=1)
