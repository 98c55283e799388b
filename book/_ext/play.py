"""Pieces to play with: what `_static/play.js` draws, with the numbers that it needs in the page.

    ```{play} two-tokens
    ```

The numbers are computed while the book is built, from the exact laws and from the stored runs of the addition tasks.
A page that shows a piece says in its text what is to be seen, for who reads without a script.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from probsig import geometry, runs, signatures
from probsig.experiments import addition
from probsig.geometry.small import plane
from probsig.laws import tasks
from probsig.theory.trajectory import LinearPopulation

NAMES = {"add": "sum", "add_same": "sum, labels the same", "mod": "sum modulo 40"}
MODELS = {"linear": "linear", "ffn": "feed-forward"}


def rounded(values: Any, digits: int = 4) -> Any:
    """Numbers as nested lists of few digits.

    >>> rounded(np.array([[1 / 3, 1.0]]))
    [[0.3333, 1.0]]
    """
    return np.asarray(values, dtype=float).round(digits).tolist()


def two_tokens() -> dict[str, Any]:
    """For each task the signatures of the anchors and their cosines, and for each model the trained embeddings'."""
    config = addition.addition_config("paper", 0)
    run = runs.find("addition", config, addition.addition(config))
    if run is None:
        raise FileNotFoundError("the run of the addition tasks at the paper's scale is not in results/")
    stage = addition.Clock.of(config).stage(config, -1)
    found = {}
    for task, make in tasks.TASKS.items():
        law = make()
        anchors = list(law.groups["anchors"])
        kinds = {
            "label": signatures.label(law, anchors, convention="companion"),
            "companion": signatures.cooccurrence(law, anchors, convention="companion"),
            "joint": signatures.joint(law, anchors, convention="companion").reshape(len(anchors), -1),
        }
        models = {}
        for model in MODELS:
            W = run.arrays[f"{task}/{model}/anchors"][stage].astype(float)
            models[model] = {"plane": rounded(plane(W)[0]), "cosine": rounded(geometry.cosine(W))}
        labels = law.labels()
        found[task] = {
            "anchors": anchors,
            "labels": labels.tolist(),
            "law": rounded(kinds["label"][:, labels], 5),
            "cosine": {kind: rounded(geometry.cosine(rows)) for kind, rows in kinds.items()},
            "models": models,
        }
    return {"tasks": found, "names": NAMES, "models": MODELS}


def trajectories() -> dict[str, Any]:
    """For each task C^T C and n of the tokens that occur: (M_0^T M_0 = C^T C - n n^T / V, theorem of the chapter)."""
    found = {}
    for task, make in tasks.TASKS.items():
        part = LinearPopulation.of(make())
        tokens = part.tokens.tolist()
        found[task] = {
            "anchors": [tokens.index(anchor) for anchor in range(11, 21)],
            "CtC": rounded(part.joint.T @ part.joint, 8),
            "n": rounded(part.token_rate, 8),
        }
    return {"tasks": found, "names": NAMES, "hidden_size": 200}


PIECES: dict[str, Callable[[], dict[str, Any]]] = {"two-tokens": two_tokens, "trajectories": trajectories}


class Play(SphinxDirective):
    """`{play} name`: a piece to play with."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Called by docutils."""
        name = self.arguments[0]
        if name not in PIECES:
            raise self.error(f"there is no piece {name}; the pieces are: {', '.join(PIECES)}")
        data = json.dumps(PIECES[name](), separators=(",", ":")).replace("<", "\\u003c")
        script = f'<script type="application/json">{data}</script>'
        return [nodes.raw("", f'<div class="play" data-piece="{name}">{script}</div>', format="html")]


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.add_directive("play", Play)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
