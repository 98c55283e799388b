"""Which tensor of a model is its embedding, and which its unembedding, by the names that models give them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from probsig.errors import one_of

TENSORS = {
    "embedding": (
        *("shared.weight", "embed_tokens.weight", "embed_in.weight", "wte.weight", "word_embeddings.weight"),
        *("word_embedding.weight", "tok_embeddings.weight", "token_embedding.weight", "embeddings.weight"),
        "embedding.weight",
    ),
    "unembedding": ("lm_head.weight", "embed_out.weight", "output.weight"),
}
"""What the name of each matrix is or ends with, after a point; of several the first."""
OTHER = re.compile("vision|visual|audio|position|token_type|layers?\\.|blocks?\\.")  # of pictures, sound, places


def chosen(
    name: str, tensors: Sequence[str], config: Mapping[str, Any], which: str, tensor: str | None = None
) -> tuple[str, bool]:
    """The name of the matrix that is asked for, and whether the model is tied, as its config says or, where that says
    nothing, as the lack of an unembedding does.

    `which`: a key of TENSORS; `tensor`: a name that is taken as it is. Of a file with one matrix alone it is that.
    Raises ValueError, with the remedy, where there is none or more than one.

    >>> chosen("m", ["visual.embed_tokens.weight", "model.language_model.embed_tokens.weight"], {}, "embedding")
    ('model.language_model.embed_tokens.weight', True)
    >>> chosen("m", ["embed_tokens.weight"], {"tie_word_embeddings": False}, "embedding")  # a base model
    ('embed_tokens.weight', False)
    """
    if tensor is not None:
        one_of("tensor", tensor, tensors)
    kinds = [kind for kind in TENSORS if tensor is None or kind == "unembedding"]
    found = {kind: _called(name, kind, tensors) for kind in kinds}
    said = config.get("tie_word_embeddings", config.get("text_config", {}).get("tie_word_embeddings"))
    tied = said is True or (said is None and found["unembedding"] is None)  # a base model has no head, and isn't tied
    if tensor is None:
        alone = which == "embedding" and name.endswith(".safetensors") and len(tensors) == 1
        tensor = found["embedding" if tied and found["embedding"] else which] or (tensors[0] if alone else None)
    if tensor is None:
        looked = ", ".join(TENSORS[which])
        raise ValueError(f"{name} has no {which} among its tensors (looked for {looked}): pass tensor= with its name.")
    return tensor, tied


def _called(name: str, kind: str, tensors: Sequence[str]) -> str | None:
    """The tensor whose name says that it is the embedding or the unembedding; None where there is none."""
    for ending in TENSORS[kind]:
        found = [one for one in tensors if f".{one}".endswith(f".{ending}") and not OTHER.search(one)]
        if len(found) > 1:
            raise ValueError(f"{name} has several {kind}s ({', '.join(sorted(found))}): pass tensor= with one of them.")
        if found:
            return found[0]
    return None


def declared(path: Path | None, key: str) -> bool:
    """Whether a file of JSON is an object with, under "text_config" perhaps or under "weight_map", another: there the
    names of files. One that is not there, or is no JSON, is refused elsewhere."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else {key: {}}
    except ValueError:
        return True
    inner = found.get(key, {} if key == "text_config" else None) if isinstance(found, dict) else None
    return isinstance(inner, dict) and (key == "text_config" or all(isinstance(one, str) for one in inner.values()))


def tied_beside(folder: str) -> bool | None:
    """What the config.json in a folder says of tied embeddings; None where it says nothing.

    >>> tied_beside("no such folder")
    """
    try:
        config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
        return config.get("tie_word_embeddings", config.get("text_config", {}).get("tie_word_embeddings"))
    except (OSError, ValueError, AttributeError):
        return None


def fits(entry: Any, sizes: Mapping[str, int]) -> bool:
    """Whether a tensor of a safetensors file is declared with a type, a shape, and as many bytes as these take, where
    `sizes` has that of a number of the type.

    >>> fits({"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}, {"F32": 4})
    True
    >>> fits({"dtype": "F32", "shape": [9, 2], "data_offsets": [0, 24]}, {"F32": 4})
    False
    """
    try:
        (first, last), shape, size = entry["data_offsets"], entry["shape"], sizes.get(entry["dtype"], 0)
        whole = all(isinstance(n, int) and n >= 0 for n in (first, last, *shape))
        return whole and (last - first == math.prod(shape) * size or not size)
    except (KeyError, TypeError, ValueError):
        return False
