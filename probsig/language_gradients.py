r"""What drives W_E in a real language model: its exact gradient beside what Corollary 4 says of it.

The loss is the mean cross entropy of the P places of some rows that have a target, so W_s moves with the velocity

    v_s = -dL/dW_s = (1/P) sum_t sum_{i: X_i = s} J_{ti}^T W_U^T (e_{X_{t+1}} - p_t),   J_{ti} = dh_t / dx_i,

with x_i the embedding at place i and h_t what W_U reads. Every formula puts something simpler for J and for p. With N
and A the pair frequencies and the attention signature of the same rows (`sequences`, with a factor of 1/P) and W_OV
the sum over layers of W_O W_V:

- "printed": W_U^T N_s, Corollary 4 with eta dropped: n_s W_U^T phi^next_s;
- "centred": W_U^T (N_s - n_s / V); "unigram": N_s - n_s q, q the law of the targets; "own": N_s - sum of the model's
  own predictions after s;
- "attention": W_OV^T W_U^T (A_s - a_s / V), attention uniform;
- "third_order": centred - n_s Sigma_U W_s + attention, `expansions.language` (a gated MLP adds nothing to this order);
- "stack": the centred force sent back through all layers with uniform attention and without their MLPs, I + W_OV
  mean_{i <= t} for each layer; "stack_own": the same of the model's own residuals. Without norms and at embeddings of
  size 0 the stack is all of the velocity, whatever the size of the other weights; "stack_norms": stack_own through the
  model's norms too, each linearised where the model is. What it lacks is the attention's pattern and the MLPs;
- "skip": no formula but a measured part of v: what comes through the residual stream and the last norm alone.

Axes: velocities and formulas are (V, d), rows tokens; inputs and targets (R, T) as `TrainingSet.rows` gives them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probsig import geometry, runs, seeds
from probsig.drafts import Draft
from probsig.expansions.linear import covariance
from probsig.language_data import TrainingSet

Array = NDArray[np.float64]
FORMS = ("printed", "centred", "unigram", "own", "attention", "third_order")
FORMS += ("stack", "stack_own", "stack_norms", "skip")
MAPS = {"next": ("centred",), "attention": ("context",), "both": ("centred", "context")}
"""What a free linear map is given: W_U^T of the centred N, of the centred A, or both side by side."""
GEOMETRY = ("next", "attention", "next centred", "attention centred")
BANDS = (10, 100, 1000)  # ranks by frequency where a band ends
DRAWS, GROUP, LEAST, MOST, FOLDS = 5, 50, 20, 500, 4
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)  # of `mapped`, in units of the mean squared singular value


@dataclass(frozen=True)
class Scale:
    """Tokens and ids of the text, the model's shape, the recipe, and how many rows the gradient is taken over (None:
    all)."""

    tokens: int
    keep: int
    shape: str
    batch: int
    length: int
    lr: float
    rows: int | None


SCALES = {
    "smoke": Scale(tokens=6_000, keep=150, shape="smoke", batch=4, length=32, lr=1e-2, rows=None),
    "laptop": Scale(tokens=250_000, keep=8_192, shape="laptop", batch=2, length=256, lr=1e-4, rows=100),
}


def without_norms(model: Any) -> Any:
    """The model with every RMSNorm replaced by the identity, in place; raises ValueError where it has none."""
    from torch import nn

    places = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if type(child).__name__.endswith("RMSNorm")
    ]
    if not places:
        raise ValueError("the model has no RMSNorm: pass one that language_models.build made.")
    for module, name in places:
        setattr(module, name, nn.Identity())
    return model


def velocity_and_formulas(model: Any, inputs: NDArray, targets: NDArray, at_once: int = 8) -> dict[str, Array]:
    """The velocity of W_E over all rows and what every formula says of it: "velocity", FORMS and "context" (the centred
    force sent to every earlier place by uniform attention, before W_OV), (V, d) each, and "loss" (), in nats.

    Raises ValueError where no place has a target.
    """
    import torch

    from probsig.language_models import chunked_loss

    W_E, W_U = model.get_input_embeddings().weight.detach(), model.get_output_embeddings().weight.detach()
    total = np.count_nonzero(targets >= 0)
    if not total:
        raise ValueError("no place of these rows has a target: pass rows of a text of 2 tokens or more.")
    law = torch.from_numpy(np.bincount(targets[targets >= 0], minlength=len(W_U)) / total).to(W_U)
    middle, common, where = W_U.mean(dim=0), law @ W_U, W_U.device
    layers, last = model.model.layers, model.model.norm
    values = [(layer.self_attn.o_proj.weight @ layer.self_attn.v_proj.weight).detach() for layer in layers]  # W_OV
    names = [name for name in ("velocity", *FORMS, "context") if name != "third_order"]
    out = {name: torch.zeros(W_E.shape, dtype=torch.float64, device=where) for name in names}
    loss, caught = 0.0, {}

    def catch(module: Any, args: Any, result: Any) -> None:
        caught[module] = (args[0], result)

    norms = [layer.input_layernorm for layer in layers]
    hooks = [m.register_forward_hook(catch) for m in (model.get_input_embeddings(), *norms, last)]
    try:
        for start in range(0, len(inputs), at_once):
            ids, goal = (
                torch.from_numpy(part[start : start + at_once].astype(np.int64)).to(where) for part in (inputs, targets)
            )
            asked = goal >= 0
            weight = int(asked.sum()) / total
            if not weight:
                continue
            with torch.enable_grad():
                value = chunked_loss(model, ids, goal)
                x, stream, h = torch.autograd.grad(value, [caught[model.get_input_embeddings()][1], *caught[last]])
            loss += float(value.detach()) * weight
            label = W_U[goal.clamp(min=0)] / total
            centred, own = (label - middle / total) * asked[..., None], -weight * h
            context = _to_earlier(centred)
            found = {"velocity": -weight * x, "skip": -weight * stream, "printed": label * asked[..., None]}
            found |= {"unigram": (label - common / total) * asked[..., None], "centred": centred, "own": own}
            found |= {"context": context, "attention": context @ sum(values)}
            found |= {"stack": _through(centred, values), "stack_own": _through(own, values)}
            at = [(norm, caught[norm][0].detach()) for norm in norms]
            found["stack_norms"] = _through(_norm_back(own, last, caught[last][0].detach()), values, at)
            for name, force in found.items():
                out[name].index_add_(0, ids.reshape(-1), force.reshape(-1, W_E.shape[1]).double())
    finally:
        for hook in hooks:
            hook.remove()
    arrays = {name: rows.cpu().numpy() for name, rows in out.items()}
    often = np.bincount(inputs[targets >= 0], minlength=len(W_E)) / total
    decay = often[:, None] * (W_E.double().cpu().numpy() @ covariance(W_U.double().cpu().numpy()))
    return arrays | {"third_order": arrays["centred"] - decay + arrays["attention"], "loss": np.float64(loss)}


def _to_earlier(force: Any) -> Any:
    """(B, T, d): what uniform causal attention sends back, sum_{t >= i} force_t / t with t = 1 at the first place."""
    import torch

    places = torch.arange(1, force.shape[1] + 1, device=force.device, dtype=force.dtype)
    return (force / places[:, None]).flip(1).cumsum(1).flip(1)


def _norm_back(force: Any, norm: Any, x: Any) -> Any:
    """A force after an RMSNorm, at its input x: the force times the Jacobian's transpose."""
    if not hasattr(norm, "variance_epsilon"):
        return force
    size = (x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).sqrt()
    force, x = force * norm.weight.detach(), x / size
    return (force - x * (force * x).mean(-1, keepdim=True)) / size


def _through(force: Any, values: Sequence[Any], norms: Sequence[tuple[Any, Any]] = ()) -> Any:
    """The force at the embeddings, of one at the end, through layers of uniform attention without MLPs; with the norms
    before them, if given, each with its input."""
    for value, before in zip(reversed(values), reversed(norms or [None] * len(values)), strict=True):
        branch = _to_earlier(force) @ value
        force = force + (_norm_back(branch, *before) if before else branch)
    return force


def signatures(inputs: NDArray, targets: NDArray, tokens: ArrayLike, vocab_size: int) -> tuple[Array, Array]:
    """N and A of some tokens, (tokens, V) each, of these very rows: row s is N_.s and A_.s.

    Places without a target count for neither; attention reaches over the border of two documents, as the model's does.

    >>> N, A = signatures(np.array([[0, 1]]), np.array([[1, 0]]), [0, 1], 2)
    >>> N.tolist(), A.tolist()
    ([[0.0, 0.5], [0.5, 0.0]], [[0.25, 0.5], [0.25, 0.0]])
    """
    tokens = np.asarray(tokens)
    place = np.full(vocab_size, -1)
    place[tokens] = np.arange(tokens.size)
    N, A = np.zeros((2, tokens.size, vocab_size))
    total, asked = np.count_nonzero(targets >= 0), targets >= 0
    here = asked & (place[inputs] >= 0)
    np.add.at(N, (place[inputs[here]], targets[here]), 1 / total)
    for row, goal, there in zip(place[inputs], targets, asked, strict=True):
        t, i = np.nonzero(np.tril(np.ones((len(row), len(row)), dtype=bool)) & there[:, None] & (row >= 0)[None, :])
        np.add.at(A, (row[i], goal[t]), 1 / (total * (t + 1)))
    return N, A


def cosine(v: Array, f: Array) -> float:
    """The cosine of two matrices; 0 where one of them is 0. Its square is the share of v that f explains at its best
    scale, 1 - min_c |v - c f|^2 / |v|^2.

    >>> cosine(np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]]))
    0.8
    """
    size = np.sqrt((v**2).sum() * (f**2).sum())
    return float((v * f).sum() / size) if size else 0.0


def bands(often: ArrayLike) -> list[NDArray[np.int64]]:
    """The tokens that occur, most frequent first, in bands of rank 1 to 10, 11 to 100, 101 to 1000 and the rest.

    >>> [band.tolist() for band in bands([2, 0, 5])]
    [[2, 0], [], [], []]
    """
    often = np.asarray(often)
    order = np.argsort(-often, kind="stable")[: np.count_nonzero(often)]
    return np.split(order, [min(end, order.size) for end in BANDS])


def shuffled(f: Array, often: ArrayLike, group: int | None, stream: np.random.Generator) -> Array:
    """A formula with its tokens shuffled: s gets n_s f_r / n_r of another token r, so every row keeps its frequency.

    group: r is among `group` neighbours in frequency; None takes any token that occurs.

    >>> shuffled(np.array([[4.0], [2.0], [0.0]]), [4, 1, 0], None, seeds.stream(0, "d")).ravel().tolist()
    [8.0, 1.0, 0.0]
    """
    often = np.asarray(often, dtype=float)
    order = np.concatenate(bands(often))
    size = group or max(order.size, 1)
    moved = np.concatenate([stream.permutation(order[a : a + size]) for a in range(0, order.size, size)])
    out = np.zeros_like(f)
    out[order] = f[moved] * (often[order] / often[moved])[:, None]
    return out


def mapped(v: Array, f: Array, often: ArrayLike, seed: int) -> float:
    """The share of v that a formula f (V, k) explains up to a linear map of the hidden space, one for all tokens.

    The map is fitted by ridge regression on three quarters of the tokens that occur and judged on the rest, four times;
    errors weigh 1 / n_s, since v_s adds up n_s places. The best of the PENALTIES counts.
    """
    often = np.asarray(often, dtype=float)
    there = np.flatnonzero(often)
    weight = np.sqrt(1 / often[there])[:, None]
    X, Y = f[there] * weight, v[there] * weight
    left = np.zeros(len(PENALTIES))
    for part in np.array_split(seeds.stream(seed, "folds").permutation(there.size), FOLDS):
        X_in, Y_in = np.delete(X, part, axis=0), np.delete(Y, part, axis=0)
        values, vectors = np.linalg.eigh(X_in.T @ X_in)
        turned, goal = X[part] @ vectors, vectors.T @ (X_in.T @ Y_in)
        for i, penalty in enumerate(PENALTIES):
            fitted = goal / (values + penalty * values.mean())[:, None]
            left[i] += ((Y[part] - turned @ fitted) ** 2).sum()
    return float(1 - left.min() / (Y**2).sum())


class Judge:
    """Some rows of a text, and how formulas are judged on them; `seed` is that of the shuffles.

    `often` (V,) is how often each token has a target after it, `tokens` those whose geometry is compared: at most MOST,
    seen LEAST times, and 3 in any case.
    """

    def __init__(self, inputs: NDArray, targets: NDArray, vocab_size: int, seed: int):
        self.inputs, self.targets, self.seed = inputs, targets, seed
        self.often = np.bincount(inputs[targets >= 0], minlength=vocab_size)
        order = np.concatenate(bands(self.often))[:MOST]
        self.tokens = order[: max(3, np.count_nonzero(self.often[order] >= LEAST))]
        both = signatures(inputs, targets, self.tokens, vocab_size)
        self.pairs = _all_cosines(*both)

    def measure(self, model: Any) -> dict[str, NDArray]:
        """What is kept of one look at the model.

        cosine, raw, scale (10,): of FORMS, the cosine with v, 1 - |v - f|^2 / |v|^2 and the best c. two (3,): the share
        of the best c f + c' f' of centred and attention, and both scales. band (4, 10): cosines in each of `bands`, and
        weight (4,) its part of |v|^2. null (2, 5, 10): cosines after a shuffle of all tokens, of tokens of a similar
        frequency. map (3,): `mapped` with each of MAPS, map_null (3,) with tokens of a similar frequency shuffled.
        rcos (4,) of GEOMETRY: correlation of the cosines of the tokens' velocities with those of N and A, all about
        their means in the last two. ratio (): |v - skip| / |skip|; length (): the mean of a row of W_E; loss ().
        """
        said = velocity_and_formulas(model, self.inputs, self.targets)
        v, forms, parts = said["velocity"], [said[name] for name in FORMS], bands(self.often)
        power, side_by_side = (v**2).sum(), np.concatenate(forms, axis=1)
        two = np.stack([said["centred"].ravel(), said["attention"].ravel()])
        best = np.linalg.lstsq(two @ two.T, two @ v.ravel(), rcond=None)[0]
        null = [
            [
                [cosine(v, f) for f in np.split(shuffled(side_by_side, self.often, group, stream), len(FORMS), axis=1)]
                for stream in (seeds.stream(self.seed, name, str(draw)) for draw in range(DRAWS))
            ]
            for name, group in (("shuffled", None), ("matched", GROUP))
        ]
        fed = [np.concatenate([said[block] for block in blocks], axis=1) for blocks in MAPS.values()]
        wrong = [shuffled(block, self.often, GROUP, seeds.stream(self.seed, "map")) for block in fed]
        length = np.linalg.norm(model.get_input_embeddings().weight.detach().cpu().numpy()[self.often > 0], axis=1)
        found: dict[str, Any] = {
            "cosine": [cosine(v, f) for f in forms],
            "raw": [1 - ((v - f) ** 2).sum() / power for f in forms],
            "scale": [(v * f).sum() / (f**2).sum() if f.any() else 0.0 for f in forms],
            "two": [1 - ((v.ravel() - best @ two) ** 2).sum() / power, *best],
            "band": [[cosine(v[part], f[part]) for f in forms] for part in parts],
            "weight": [(v[part] ** 2).sum() / power for part in parts],
            "null": null,
            "map": [mapped(v, block, self.often, self.seed) for block in fed],
            "map_null": [mapped(v, block, self.often, self.seed) for block in wrong],
            "rcos": [
                geometry.pearson(own, pair)
                for own, pair in zip(_all_cosines(v[self.tokens], v[self.tokens]), self.pairs, strict=True)
            ],
            "ratio": np.linalg.norm(v - said["skip"]) / np.linalg.norm(said["skip"]),
            "length": length.mean(),
            "loss": said["loss"],
        }
        return {name: np.asarray(value, dtype=np.float64) for name, value in found.items()}


def _all_cosines(N: Array, A: Array) -> list[Array]:
    """The cosines of all pairs of rows of N, of A, and of both about their mean rows."""
    return [geometry.pairs(geometry.cosine(rows)) for rows in (N, A, N - N.mean(axis=0), A - A.mean(axis=0))]


def looks(last: int) -> list[int]:
    """The steps at which the gradient is looked at: 0, 4, 8, 16, ..., and the last.

    >>> looks(40)
    [0, 4, 8, 16, 32, 40]
    """
    return [0, *(1 << k for k in range(2, 40) if 1 << k < last), last]


def held_until(steps: ArrayLike, shares: ArrayLike) -> float:
    """The first of the steps at which a share is under half of the first one; inf where it never is, nan where the
    first is not positive.

    >>> held_until([0, 4, 8], [0.6, 0.4, 0.2]), held_until([0, 4], [0.6, 0.5]), held_until([0, 4], [-0.1, 0.5])
    (8.0, inf, nan)
    """
    steps, shares = np.asarray(steps), np.asarray(shares)
    if not shares[0] > 0:
        return float("nan")
    under = np.flatnonzero(shares < shares[0] / 2)
    return float(steps[under[0]]) if under.size else float("inf")


def gradients(
    name: str,
    sets: Callable[[], Sequence[TrainingSet]],
    *,
    architecture: str,
    norms: bool,
    scale: str,
    seed: int,
    init: str | float = "vocab",
    text: str = "stand-in",
    device: str = "cpu",
) -> runs.Run:
    """The run of the gradients of a model on the text `name`, at the start and along one epoch: found, or made now.

    sets: gives the training sets, `name` among them, made with `SCALES[scale]`. norms: False puts the identity for
    every RMSNorm. The piece "gradient" holds steps (m,), what `Judge.measure` gives with a first axis of m, epoch (1,),
    often (V,), size (tokens of the text, ids, places of the rows that have a target) and the digest of the text's ids.
    Raises ValueError for an unknown architecture or scale, and what training raises.
    """
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}: pass one of {', '.join(map(repr, SCALES))}.")
    how = SCALES[scale]
    config = {"corpus": name, "text": text, "architecture": architecture, "norms": norms, "scale": scale, "seed": seed}
    config |= {"init": init, **asdict(how)}

    def make(draft: Draft) -> dict[str, NDArray]:
        data = next(one for one in sets() if one.name == name)
        return _followed(data, how, architecture, norms, seed, init, device, draft)

    return runs.run("language-gradient", config, {"gradient": make}, modules=["probsig.language_gradients"])


def _followed(
    data: TrainingSet,
    how: Scale,
    architecture: str,
    norms: bool,
    seed: int,
    init: str | float,
    device: str,
    draft: Draft,
) -> dict[str, NDArray]:
    from probsig import language_models, language_training

    sizes = {"vocab_size": data.vocab_size, "original": data.original}
    model = language_models.build(architecture, language_models.SHAPES[how.shape], init=init, seed=seed, **sizes)
    model = model if norms else without_norms(model)
    recipe = language_training.Recipe(batch=how.batch, length=how.length, lr=how.lr)
    inputs, targets = data.rows(how.length)
    if how.rows and how.rows < len(inputs):
        chosen = np.sort(seeds.stream(0, "rows", data.name).permutation(len(inputs))[: how.rows])
        inputs, targets = inputs[chosen], targets[chosen]
    judge, steps = Judge(inputs, targets, data.vocab_size, seed), looks(recipe.epoch(data))
    log = language_training.train(
        model,
        data,
        recipe,
        seed=seed,
        keep=lambda step, W_E, W_U: judge.measure(model),
        keep_at=steps,
        device=device,
        draft=draft,
    )
    names = [name.partition("/")[2] for name in log.kept if name.startswith("0/")]
    return {name: np.stack([log.kept[f"{step}/{name}"] for step in steps]) for name in names} | {
        "steps": np.array(steps, dtype=np.int64),
        "epoch": np.array([recipe.epoch(data)], dtype=np.int64),
        "often": judge.often,
        "size": np.array([len(data.ids), data.vocab_size, np.count_nonzero(targets >= 0)], dtype=np.int64),
        "digest": np.frombuffer(hashlib.sha256(data.ids.tobytes()).digest(), dtype=np.uint8).copy(),
    }
