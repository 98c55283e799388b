r"""Your own model against the theory: which orders of its flow do signatures explain?

For any smooth hidden map G over the embeddings of a sequence, written in torch, and any law of (X, y), with weights
of scale eps, K_i the Jacobian of G at zero with respect to position i, and h_0 = G(0), the flow of the embedding is

    dW_x = sum_i K_i^T W_U^T rho_i(x)                                              order eps
         + sum_i E[1{x_i = x} (D^2 G(0) E)_i^T W_U^T (e_y - 1/V)]                  order eps^2
         - sum_i P(x_i = x) K_i^T Sigma_U h_0                                      order eps^2
         + O(eps^3),            rho_i(x) = P(x_i = x, y = .) - P(x_i = x) / V.

So to first order a model can only see at which *position* a token stands with which label, through K_i, and to second
order pairs of positions with the label, through the Hessian of G at zero. `compare` measures both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn.attention import SDPBackend, sdpa_kernel

from probsig import guards
from probsig.errors import brief, one_of, whole
from probsig.laws.distribution import Distribution
from probsig.theory import flow, softmax
from probsig.theory import orders as theory_orders
from probsig.theory.modules import HiddenMap, TorchModel, by_autograd
from probsig.theory.softmax import Array

FORMS = {
    "labels": "order 1: the position-resolved label law",
    "labels and pairs": "order 2: with the position-resolved pair and label law, and G(0)",
}


def expansion(law: Distribution, W_E: ArrayLike, W_U: ArrayLike, module: HiddenMap, form: str) -> Array:
    """The flow of W_E, (V, d), by one of ``FORMS`` for a torch ``module`` from (n, L, d) to (n, d).

    Raises ValueError on an unknown form.
    """
    one_of("form", form, FORMS)
    W_E, W_U = np.asarray(W_E, dtype=np.float64), np.asarray(W_U, dtype=np.float64)
    centred = W_U - W_U.mean(axis=0)
    g = torch.as_tensor(centred[law.y])  # W_U^T (e_y - 1/V), (n, d)
    E = torch.as_tensor(W_E[law.X])
    at_zero = torch.zeros_like(E, requires_grad=True)
    h = module(at_zero)
    (pulled,) = torch.autograd.grad((h * g).sum(), at_zero, create_graph=True)
    out = pulled.detach()
    if form == "labels and pairs":
        if pulled.requires_grad:  # the Hessian of a linear map is zero and has no graph
            (hessian,) = torch.autograd.grad((pulled * E).sum(), at_zero, retain_graph=True, allow_unused=True)
            out = out + (0 if hessian is None else hessian)
        response = h.detach() @ torch.as_tensor(centred.T @ centred / len(W_U))
        (decay,) = torch.autograd.grad((h * response).sum(), at_zero)
        out = out - decay
    weighted = out.numpy() * law.probability[:, None, None]
    result = np.zeros_like(W_E)
    np.add.at(result, law.X, weighted)
    return result


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; `str()` says it in sentences.

    ``proposition_1`` and ``proposition_2`` are relative errors, ``hadamard`` the relative error of the printed
    Proposition 1 (diagonal of the Jacobian instead of its transpose), ``orders`` a `orders.Order` for the velocity
    itself and for the residual of every form.
    """

    proposition_1: float
    proposition_2: float
    hadamard: float
    orders: dict[str, theory_orders.Order]

    def matches(self, form: str) -> int:
        """The highest order in eps through which the form agrees with the flow, one below that of its residual.

        0 where the form misses the leading order, so that the residual falls no faster than the velocity or is above
        it, and where the residual's slope is no whole number: then the map is not smooth at zero, or the weights are
        not small.
        """
        residual, velocity = self.orders[form], self.orders["velocity"]
        order = round(residual.slope)
        smaller = (residual.values < velocity.values).all() and residual.slope > velocity.slope + 0.5
        return order - 1 if smaller and abs(residual.slope - order) < 0.1 else 0

    def __str__(self) -> str:
        lines = [
            f"Proposition 1 {'holds' if self.proposition_1 < 1e-10 else 'FAILS'}, relative error "
            + (f"{self.proposition_1:.1e}" if self.proposition_1 >= 1e-10 else "< 1e-10"),
            f"Proposition 2 {'holds' if self.proposition_2 < 1e-10 else 'FAILS'}, relative error "
            + (f"{self.proposition_2:.1e}" if self.proposition_2 >= 1e-10 else "< 1e-10"),
            f"the printed Hadamard form is off by {self.hadamard:.2f}" if self.hadamard > 1e-10 else "J is diagonal",
            f"the flow is of order {self.orders['velocity'].slope:.2f}",
        ]
        lines += [
            f"{form}: residual of order {self.orders[form].slope:.2f}, matches through order {self.matches(form)}"
            for form in FORMS
        ]
        return "\n".join(lines)


def _hadamard(law: Distribution, W_E: Array, W_U: Array, module: HiddenMap) -> Array:
    """Proposition 1 as printed: every Jacobian replaced by its diagonal."""
    E = torch.as_tensor(W_E[law.X]).requires_grad_()
    H = module(E)
    columns = [torch.autograd.grad(H[:, k].sum(), E, retain_graph=True)[0][:, :, k] for k in range(H.shape[1])]
    diagonal = torch.stack(columns, dim=2).numpy()  # (n, L, d): dG_k / dE_ik
    error = -softmax.softmax(H.detach().numpy() @ W_U.T)
    error[np.arange(len(law.y)), law.y] += 1
    result = np.zeros_like(W_E)
    np.add.at(result, law.X, diagonal * (error * law.probability[:, None] @ W_U)[:, None])
    return result


def _look(module: HiddenMap, law: Distribution, W_E: Array) -> None:
    """Raise ValueError where the module is no differentiable map of one sequence's embeddings to one hidden vector."""
    embeddings = torch.as_tensor(W_E[law.X]).requires_grad_()
    given = embeddings * 1  # a leaf may not be changed, and torch says so in other words
    shape = (len(law.X), W_E.shape[1])
    try:
        H = module(given)
    except Exception as error:  # whatever somebody's module raises
        why = f"{type(error).__name__} ({' '.join(str(error).split())})"
        raise ValueError(
            f"Given embeddings {tuple(given.shape)} in float64, the module raises {why}: it must return (n, d), here "
            f"{shape}."
        ) from error
    if not isinstance(H, torch.Tensor):
        raise ValueError(f"The module returns a {type(H).__name__}: it must return a tensor (n, d), here {shape}.")
    if H.shape != shape or H.dtype != torch.float64:
        found = f"a tensor {tuple(H.shape)} of {str(H.dtype).removeprefix('torch.')}"
        raise ValueError(f"The module returns {found}: it must return (n, d), here {shape}, in float64.")
    if not torch.equal(given, embeddings):
        raise ValueError("The module changes the embeddings that it is given: let it work on a copy of them.")
    if not H.requires_grad or torch.autograd.grad(H.sum(), embeddings, allow_unused=True)[0] is None:
        raise ValueError("What the module returns has no gradient with respect to the embeddings: leave out detach().")
    again, more = (module(part * 1).detach() for part in (embeddings, torch.cat([f * embeddings for f in (2, 1, 3)])))
    if not all(torch.isfinite(found).all() for found in (H, module(torch.zeros_like(embeddings)))):
        raise ValueError("The module returns numbers that are not finite: pass one that is defined at and near zero.")
    if torch.equal(H, again) and not torch.allclose(H, more[len(H) : 2 * len(H)], rtol=1e-9, atol=1e-12):
        raise ValueError(
            "A sequence's hidden vector depends on the other sequences of the batch, as with BatchNorm in training: "
            "call module.eval() first."
        )


@sdpa_kernel(SDPBackend.MATH)  # torch's fused attention has no second derivative
def compare(
    law: Distribution,
    module: HiddenMap,
    hidden_size: int,
    scales: Sequence[float] = (0.02, 0.01, 0.005, 0.0025, 0.00125),
    seeds: Sequence[int] = range(5),
) -> Comparison:
    """Hold a torch ``module`` over embeddings, (n, L, d) to (n, d), against Propositions 1 and 2 and both ``FORMS``.

    The module is converted to float64 in place; its own weights stay fixed while W_E and W_U are ``scale`` times a
    standard normal direction per seed.
    A map that draws random numbers, such as dropout in training mode, is no function of its input and fails.
    Raises ValueError where the module does not return (n, d) in float64, returns what is not finite, has no gradient,
    changes its input or mixes the sequences of a batch, and as ``residual_order`` does.

    >>> from probsig.laws.distribution import Distribution
    >>> law = Distribution(X=[[0, 1], [1, 2]], y=[2, 0], weight=[1, 2], vocab_size=3)
    >>> print(compare(law, lambda E: E.sum(dim=1), hidden_size=4))
    Proposition 1 holds, relative error < 1e-10
    Proposition 2 holds, relative error < 1e-10
    J is diagonal
    the flow is of order 1.00
    labels: residual of order 3.00, matches through order 2
    labels and pairs: residual of order 3.00, matches through order 2
    """
    guards.made_by("law", law, Distribution, "a Distribution, such as laws.tasks.addition() gives")
    if not callable(module):
        raise ValueError(f"module is {brief(module)}: pass a torch module or a function of tensors")
    hidden_size = whole("hidden_size", hidden_size, 1)
    found, seeds = theory_orders.checked(scales, seeds)
    scales = found.tolist()
    module = TorchModel(module).module
    W_E, W_U = theory_orders.directions(law, hidden_size, seeds[0])
    _look(module, law, W_E)
    ours = flow.velocity(law, W_E, W_U, TorchModel(module))
    exact = by_autograd(law, W_E, W_U, module)
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(ours, exact, strict=True)]
    hadamard = np.linalg.norm(_hadamard(law, W_E, W_U, module) - exact[0]) / np.linalg.norm(exact[0])

    def residual(form: str) -> Callable[[float, int], float]:
        def of(scale: float, seed: int) -> float:
            E, U = (scale * D for D in theory_orders.directions(law, hidden_size, seed))
            return float(np.linalg.norm(by_autograd(law, E, U, module)[0] - expansion(law, E, U, module, form)))

        return of

    def speed(scale: float, seed: int) -> float:
        E, U = (scale * D for D in theory_orders.directions(law, hidden_size, seed))
        return float(np.linalg.norm(by_autograd(law, E, U, module)[0]))

    orders = {"velocity": theory_orders.residual_order(speed, scales, seeds)}
    orders |= {form: theory_orders.residual_order(residual(form), scales, seeds) for form in FORMS}
    return Comparison(float(errors[0]), float(errors[1]), float(hadamard), orders)
