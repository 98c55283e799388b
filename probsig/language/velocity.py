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
- "skip": no formula but a measured part of v: what comes through the residual stream and the last norm alone;
- "place": the other measured part: what comes from the loss at the token's own place, through all layers. The rest of v
  comes from the losses at later places, through attention.

Axes: velocities and formulas are (V, d), rows tokens; inputs and targets (R, T) as `TrainingSet.rows` gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from probsig.language.networks import attending, chunked_loss
from probsig.theory.softmax import covariance

Array = NDArray[np.float64]
FORMS = (
    *("printed", "centred", "unigram", "own", "attention", "third_order"),
    *("stack", "stack_own", "stack_norms", "skip", "place"),
)


def without_norms(model: Any) -> Any:
    """The model with every RMSNorm replaced by the identity, in place; raises ValueError where it has none.

    >>> from probsig.language.networks import SHAPES, build
    >>> without_norms(build("llama-2", SHAPES["smoke"], 10, seed=0)).model.norm
    Identity()
    """
    places = [
        (module, name)
        for module in model.modules()
        for name, child in module.named_children()
        if type(child).__name__.endswith("RMSNorm")
    ]
    if not places:
        raise ValueError("The model has no RMSNorm: pass one that networks.build made.")
    for module, name in places:
        setattr(module, name, nn.Identity())
    return model


def velocity_and_formulas(model: Any, inputs: NDArray, targets: NDArray, at_once: int = 8) -> dict[str, Array]:
    """The velocity of W_E over all rows and what every formula says of it: "velocity", FORMS and "context" (the centred
    force sent to every earlier place by uniform attention, before W_OV), (V, d) each, and "loss" (), in nats.

    model: one that `networks.build` made. inputs, targets: (R, T), targets below 0 are left out. at_once: how
    many rows the model reads at a time. Raises ValueError where no place has a target.

    >>> from probsig.language.networks import SHAPES, build
    >>> model = build("llama-2", SHAPES["smoke"], 10, init=1e-3, seed=0)
    >>> said = velocity_and_formulas(model, np.array([[3, 1, 4]]), np.array([[1, 4, -1]]))
    >>> said["velocity"].shape, round(float(said["loss"]), 2), np.flatnonzero(said["velocity"].any(axis=1)).tolist()
    ((10, 32), 2.3, [1, 3])
    """
    W_E, W_U = model.get_input_embeddings().weight.detach(), model.get_output_embeddings().weight.detach()
    total = _places(targets)
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
            with torch.enable_grad(), attending(model, "own place"):
                of_place = chunked_loss(model, ids, goal)
                (x_own,) = torch.autograd.grad(of_place, caught[model.get_input_embeddings()][1])
            loss += float(value.detach()) * weight
            label = W_U[goal.clamp(min=0)] / total
            centred, own = (label - middle / total) * asked[..., None], -weight * h
            context = _to_earlier(centred)
            found = {"velocity": -weight * x, "skip": -weight * stream, "place": -weight * x_own}
            found |= {"printed": label * asked[..., None]}
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


def signatures(inputs: NDArray, targets: NDArray, tokens: ArrayLike, vocab_size: int) -> tuple[Array, Array]:
    """N and A of some tokens, (tokens, V) each, of these very rows: row s is N_.s and A_.s.

    Places without a target count for neither; attention reaches over the border of two documents, as the model's does.
    Raises ValueError where no place has a target.

    >>> N, A = signatures(np.array([[0, 1]]), np.array([[1, 0]]), [0, 1], 2)
    >>> N.tolist(), A.tolist()
    ([[0.0, 0.5], [0.5, 0.0]], [[0.25, 0.5], [0.25, 0.0]])
    """
    tokens = np.asarray(tokens)
    place = np.full(vocab_size, -1)
    place[tokens] = np.arange(tokens.size)
    N, A = np.zeros((2, tokens.size, vocab_size))
    total, asked = _places(targets), targets >= 0
    here = asked & (place[inputs] >= 0)
    np.add.at(N, (place[inputs[here]], targets[here]), 1 / total)
    for row, goal, there in zip(place[inputs], targets, asked, strict=True):
        t, i = np.nonzero(np.tril(np.ones((len(row), len(row)), dtype=bool)) & there[:, None] & (row >= 0)[None, :])
        np.add.at(A, (row[i], goal[t]), 1 / (total * (t + 1)))
    return N, A


def _places(targets: NDArray) -> int:
    """P, how many places have a target."""
    total = np.count_nonzero(targets >= 0)
    if not total:
        raise ValueError("No place of these rows has a target: pass rows of a text of 2 tokens or more.")
    return total  # type: ignore[return-value]


def _to_earlier(force: Any) -> Any:
    """(B, T, d): what uniform causal attention sends back, sum_{t >= i} force_t / t with t = 1 at the first place."""
    places = torch.arange(1, force.shape[1] + 1, device=force.device, dtype=force.dtype)
    return (force / places[:, None]).flip(1).cumsum(1).flip(1)


def _norm_back(force: Any, norm: Any, x: Any) -> Any:
    """A force after an RMSNorm, at its input x: the force times the Jacobian's transpose."""
    if isinstance(norm, nn.Identity):
        return force
    size = (x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).sqrt()
    force, x = force * norm.weight.detach(), x / size
    return (force - x * (force * x).mean(-1, keepdim=True)) / size


def _through(force: Any, values: Sequence[Any], norms: Sequence[tuple[Any, Any]] = ()) -> Any:
    """The force at the embeddings, of one at the end, through layers of uniform attention without MLPs; with the norms
    before them, if given, each with its input."""
    for value, before in zip(reversed(values), reversed(norms or [None] * len(values)), strict=True):  # type: ignore[list-item]
        branch = _to_earlier(force) @ value
        force = force + (_norm_back(branch, *before) if before else branch)
    return force
