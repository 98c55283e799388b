r"""Language models of the paper's two shapes, with its init: networks of `transformers`, for any vocabulary.

The paper's shape is 12 layers, 12 heads of 64, hidden size 512, feed-forward size 1024, embedding and unembedding
apart (section 6). It gives no number of key-value heads: here there are as many as heads. 12 x 64 is not 512, which
`LlamaConfig` refuses; Mistral's network without its window is Llama's and takes it, so "llama-2" is built as that (a
test holds it equal to `LlamaForCausalLM` at a shape that both take). Qwen2.5: biases on queries, keys and values, rope
with theta 10^6. Llama-2: no biases, theta 10^4, epsilon 10^-5.

Init: every matrix is drawn from N(0, 1/d_in), d_in its number of inputs, biases are 0 and norms 1. For the embedding
d_in can be read as V ("vocab": a one-hot vector comes in) or as the hidden size ("hidden"); the unembedding's d_in is
the hidden size in both. Where a vocabulary was compacted to the ids that occur, V is still that of the tokenizer's
model: rows that no text reads change neither the init nor the gradient of the others.

Axes: W_E and W_U are (V, d), ids (B, T).
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from probsig import guards, seeds
from probsig.errors import one_of

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="IProgress")  # transformers looks for a notebook's widgets
    from transformers import AttentionInterface, MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM

ARCHITECTURES = ("qwen2.5", "llama-2")
ATTENTION = {"causal": "sdpa", "itself": "probsig itself", "own place": "probsig own place"}
"""What a place attends to: itself and all before it; itself alone; or as the first, but with gradients through its own
keys and values only, so that the gradient of the sum of all losses is that of each place's own loss by itself."""
INITS = ("vocab", "hidden", "library")
LOGITS = 1 << 25  # how many are held at a time


@dataclass(frozen=True)
class Shape:
    """The sizes of a model: key-value heads are as many as heads.

    Raises ValueError for a size that is no whole number above 0, and for an odd head_dim, which rope cannot turn.
    """

    layers: int
    heads: int
    head_dim: int
    hidden: int
    ffn: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            guards.made_by(name, value, Real, "a whole number above 0")
            if value < 1 or value != int(value):
                raise ValueError(f"{name} is {value}: pass a whole number above 0.")
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}: pass an even number, rope turns its coordinates in pairs.")


SHAPES = {
    "smoke": Shape(layers=2, heads=2, head_dim=16, hidden=32, ffn=64),
    "laptop": Shape(layers=4, heads=4, head_dim=32, hidden=128, ffn=256),
    "middle": Shape(layers=6, heads=8, head_dim=32, hidden=256, ffn=512),
    "paper": Shape(layers=12, heads=12, head_dim=64, hidden=512, ffn=1024),
}


def build(
    architecture: str,
    shape: Shape,
    vocab_size: int,
    *,
    init: str | float = "vocab",
    seed: int,
    original: int | None = None,
    heads: int = 1,
    attention: str = "causal",
) -> Any:
    """A causal language model of `transformers`, float32, on the CPU.

    init: "vocab" or "hidden" (the paper's N(0, 1/d_in) with either reading for the embedding), "library" (standard
    deviation 0.02 throughout, as transformers has it) or the standard deviation of every matrix. Weights come from the
    streams (seed, "language model", name of the parameter), so a matrix does not depend on the others.
    original: the V of the init "vocab" where it is not `vocab_size`.
    heads: how many unembeddings read the last hidden state: the model's own, and more in `more_heads`, from streams
    (seed, "language model", "head 1") and so on.
    attention: "causal", or "itself" for a network in which no place sees another.
    Raises ValueError for an unknown architecture, init or attention, a shape that is none, fewer than 2 ids or 1 head,
    and an `original` below `vocab_size`.

    >>> model = build("llama-2", SHAPES["smoke"], 10, seed=0)
    >>> [W.shape for W in embeddings(model)], sum(weights.numel() for weights in model.parameters())
    ([(10, 32), (10, 32)], 21280)
    """
    one_of("architecture", architecture, ARCHITECTURES)
    one_of("attention", attention, ("causal", "itself"))
    guards.made_by("shape", shape, Shape, "a Shape, such as SHAPES['smoke']")
    guards.made_by("vocab_size", vocab_size, int, "a Python integer")
    known = init in INITS if isinstance(init, str) else np.isfinite(init) and init > 0
    if not known:
        raise ValueError(f"init is {init!r}: pass one of {', '.join(map(repr, INITS))}, or a positive number.")
    if vocab_size < 2:
        raise ValueError(f"vocab_size is {vocab_size}: a language model needs 2 ids or more.")
    if heads < 1:
        raise ValueError(f"heads is {heads}: pass 1 or more.")
    if original is not None and original < vocab_size:
        raise ValueError(f"original is {original}, below the {vocab_size} ids that were kept of it: pass what it was.")
    with torch.device("meta"):
        model = _network(architecture, shape, vocab_size)
    model.config._attn_implementation = ATTENTION[attention]
    model.to_empty(device="cpu")
    for name, buffer in model.named_buffers():
        if name.endswith("inv_freq"):
            theta = model.config.rope_parameters["rope_theta"]
            places = torch.arange(0, shape.head_dim, 2, dtype=torch.float32)
            buffer.copy_(1.0 / theta ** (places / shape.head_dim))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            weight.copy_(_drawn(name, tuple(weight.shape), init, seed, original or vocab_size))
    model.more_heads = torch.nn.ModuleList()
    for number in range(1, heads):
        head = torch.nn.Linear(shape.hidden, vocab_size, bias=False)
        drawn = _drawn(f"head {number}", (vocab_size, shape.hidden), init, seed, original or vocab_size)
        head.weight = torch.nn.Parameter(drawn)
        model.more_heads.append(head)
    return model


def _network(architecture: str, shape: Shape, vocab_size: int) -> Any:
    sizes = {
        "vocab_size": vocab_size,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": 1 << 15,
        "tie_word_embeddings": False,
        "use_cache": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": "sdpa",
    }
    if architecture == "qwen2.5":
        rope = {"rope_type": "default", "rope_theta": 1e6}
        return Qwen2ForCausalLM(Qwen2Config(rope_parameters=rope, rms_norm_eps=1e-6, **sizes))  # type: ignore[arg-type]
    rope = {"rope_type": "default", "rope_theta": 1e4}
    return MistralForCausalLM(MistralConfig(rope_parameters=rope, rms_norm_eps=1e-5, sliding_window=None, **sizes))  # type: ignore[arg-type]


def _drawn(name: str, size: tuple[int, ...], init: str | float, seed: int, original: int) -> torch.Tensor:
    drawn = seeds.stream(seed, "language model", name).standard_normal(size, dtype=np.float32)
    return torch.from_numpy(drawn * _deviation(name, size, init, original))


def _deviation(name: str, size: tuple[int, ...], init: str | float, original: int) -> np.float32:
    """The standard deviation of a matrix; a linear layer's is (outputs, inputs), the embedding's (V, d)."""
    if init == "library":
        return np.float32(0.02)
    if not isinstance(init, str):
        return np.float32(init)
    return np.float32((original if "embed_tokens" in name and init == "vocab" else size[1]) ** -0.5)


def embeddings(model: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """W_E and (the first head's) W_U of a model, (V, d) each, copies."""
    both = (model.get_input_embeddings().weight, unembeddings(model)[0])
    return tuple(weight.detach().float().cpu().numpy().copy() for weight in both)  # type: ignore[return-value]


def rows(model: Any, numbers: NDArray[np.int64], heads: bool = False) -> tuple[NDArray[np.float32], ...]:
    """Some rows of W_E and of the first head's W_U, or of every head's, (n, d) each, copies."""
    every = (model.get_input_embeddings().weight, *unembeddings(model)[: None if heads else 1])
    chosen = torch.from_numpy(numbers).to(every[0].device)
    return tuple(weight.detach()[chosen].float().cpu().numpy() for weight in every)


def unembeddings(model: Any) -> list[torch.Tensor]:
    """W_U of every head, (V, d) each: the model's own weights."""
    more = getattr(model, "more_heads", ())
    return [model.get_output_embeddings().weight, *(head.weight for head in more)]


def hidden_states(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """What the unembeddings read, (B, T, d), of ids (B, T): the network of `transformers`, layer by layer, every place
    seeing itself and all before it."""
    trunk, places = model.model, torch.arange(ids.shape[1], device=ids.device)[None]
    hidden = trunk.embed_tokens(ids)
    turns = trunk.rotary_emb(hidden, places)
    for layer in trunk.layers:
        hidden = layer(hidden, attention_mask=None, position_ids=places, position_embeddings=turns)
    return trunk.norm(hidden)


@contextlib.contextmanager
def attending(model: Any, attention: str) -> Iterator[None]:
    """The model with another of ATTENTION for a while."""
    before = model.config._attn_implementation
    model.config._attn_implementation = ATTENTION[attention]
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _itself(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **_: Any) -> tuple[Any, None]:
    return value.transpose(1, 2), None  # (B, T, heads, head_dim)


def _own_place(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float, **_: Any
) -> tuple[Any, None]:
    T, fixed = query.shape[2], value.detach()
    scores = query @ key.detach().transpose(2, 3) * scaling  # (B, heads, T, T)
    scores = torch.diagonal_scatter(scores, (query * key).sum(-1) * scaling, dim1=2, dim2=3)
    later = torch.ones(T, T, dtype=torch.bool, device=query.device).triu(1)
    weights = torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1, dtype=torch.float32).to(query.dtype)
    own = weights.diagonal(dim1=2, dim2=3)[..., None]
    return (weights @ fixed + own * (value - fixed)).transpose(1, 2), None


AttentionInterface.register(ATTENTION["itself"], _itself)
AttentionInterface.register(ATTENTION["own place"], _own_place)


def chunked_loss(model: Any, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean cross entropy of `targets` (B, T) given `ids` (B, T) up to each place, in nats, by the first head;
    targets below 0 are left out. Differentiate it once.

    torch's own `linear_cross_entropy`, new in 2.13, is as fast on a CPU (benchmarks/language_training.md); this one
    runs on an older torch too, such as a rented card's, and the stored runs are keyed by it.
    """
    return cross_entropy(hidden_states(model, ids), unembeddings(model)[0], targets)


def cross_entropy(hidden: torch.Tensor, W_U: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean cross entropy of `targets` (B, T) where the unembedding W_U (V, d) reads `hidden` (B, T, d), in nats;
    targets below 0 are left out.

    Logits are made for some places at a time, and their gradient at once, so that never more than LOGITS of them are
    held. Under autocast the products run in its type and sums are float32. Differentiate it once: its gradient is
    handed over, not copied.
    """
    return _Loss.apply(hidden.reshape(-1, hidden.shape[-1]), W_U, targets.reshape(-1), torch.is_grad_enabled())


class _Loss(torch.autograd.Function):
    """Cross entropy whose gradient, if one is wanted, is made with its value."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, W_U: torch.Tensor, targets: torch.Tensor, wanted: bool) -> torch.Tensor:
        fast = torch.is_autocast_enabled(hidden.device.type)
        kind = torch.get_autocast_dtype(hidden.device.type) if fast else W_U.dtype
        W, asked = W_U.to(kind), (targets >= 0).to(W_U.dtype)[:, None]
        each = asked / asked.sum().clamp(min=1)
        total = torch.zeros((), dtype=W_U.dtype, device=hidden.device)
        if wanted:
            by_hidden, by_W = torch.empty_like(hidden), torch.zeros_like(W_U)
        places = max(1, LOGITS // len(W))
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, len(hidden), places):
                part = slice(start, start + places)
                h, goal = hidden[part].to(kind), targets[part].clamp(min=0)[:, None]
                logits = torch.log_softmax((h @ W.T).to(W_U.dtype), dim=1)
                total -= (logits.gather(1, goal) * each[part]).sum()
                if not wanted:
                    continue
                slope = logits.exp_().scatter_add_(1, goal, logits.new_full(goal.shape, -1.0)).to(kind)
                by_hidden[part] = (slope @ W).to(W_U.dtype) * each[part]
                _add_product(by_W, slope.T, (h.to(W_U.dtype) * each[part]).to(kind))
        if wanted:
            ctx.gradients = by_hidden, by_W
        return total

    @staticmethod
    def backward(ctx: Any, *above: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        by_hidden, by_W = ctx.gradients
        del ctx.gradients  # so that W_U's gradient is handed over and not copied
        return by_hidden.mul_(above[0]), by_W.mul_(above[0]), None, None


def _add_product(out: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    """out += left @ right, the sum in the type of `out`."""
    if out.dtype == right.dtype:
        out.addmm_(left, right)
    else:
        out += left @ right
