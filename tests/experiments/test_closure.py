"""Every function of the package that a maker enters is part of the code of its runs.

`runs.code` finds by reading what a maker uses. Here each maker is entered at the smallest scale under a tracer.
"""

import contextlib
import importlib
import sys
import threading

import house
import pytest

from probsig import runs
from probsig.experiments import (
    KINDS,
    addition,
    causal_geometry,
    costs,
    equal_pairs,
    heads,
    language_model,
    language_readers,
    left_out,
    new_token,
    pretrained,
    rivals,
    shape,
    start,
    surveys,
    sweeps,
    unembedding,
    velocity,
    velocity_shuffles,
    windows,
)
from probsig.experiments import across_texts as across
from probsig.experiments import edited_text as edited
from probsig.experiments.texts import Texts
from probsig.runs import Piece, code
from probsig.runs.drafts import Draft

pytestmark = pytest.mark.slow

SMOKE = Texts(scale="smoke")
POINT = addition.addition_config("smoke", 0)
OPTIONS = {"seed": 0, "steps": 6, "learning_rate": 1e-3, "batch": 10, "samples": 100, "hidden_size": 8}
INPUTS = (
    "probsig.text.sources.toy",
    "probsig.text.tokenizers",
    "probsig.experiments.pretrained.made_up",
    "probsig.experiments.unembedding.made_up",
    "probsig.experiments.shape.MadeUp",
    "probsig.experiments.shape.Vocabulary",
)
"""What the objects of a text or of a model are of, which come with a run's inputs and their digest."""
READERS = {
    "addition": lambda: addition.addition_runs([POINT | {"steps": 8, "hidden_size": 8}]),
    "longer": lambda: addition.faster(POINT | {"steps": 8, "hidden_size": 8, "batch": 10, "samples": 100}),
    "sweep": lambda: sweeps.stored(
        "sweep", {"a": POINT | {"steps": 8, "hidden_size": 8}}, {"a": ["mod/linear", "add_same/ffn"]}
    ),
    "variant": lambda: sweeps.stored(
        "variant",
        {
            name: sweeps.variant_config("smoke", 0, **{"hidden_size": 8, "steps": 8, name: value})
            for name, value in {"activation": "gelu", "optimiser": "sgd", "depth": 2, "modulus": 7}.items()
        },
        {name: ["add/ffn"] for name in ("activation", "optimiser", "depth", "modulus")},
    ),
    "causes": lambda: runs.run(
        "causes",
        {},
        {name: Piece("probsig.experiments.causes:follow", (name,), OPTIONS) for name in ("swapped", "equal")},
    ),
    "rivals": lambda: rivals.stored("smoke", 0, hidden_size=8),
    "language-model": lambda: language_model.trained(["cc"], [0], SMOKE, scale="smoke"),
    "language-velocity": lambda: [
        velocity.velocities("cc", SMOKE, architecture=name, norms=norms, scale="smoke", seed=0)
        for name, norms in (("qwen2.5", True), ("llama-2", False))
    ],
    "language-shuffles": lambda: velocity_shuffles.shuffled("cc", SMOKE, architecture="qwen2.5", scale="smoke", seed=0),
    "language-yardsticks": lambda: language_readers.measured(["cc"], SMOKE, scale="smoke"),
    "language-heads": lambda: heads.trained("cc", SMOKE, distances=[1, 2], scale="smoke", seed=0),
    "language-edit": lambda: edited.trained("cc", SMOKE, scale="smoke", seed=0),
    "across-texts": lambda: across.signatures(["cc", "arxiv"], SMOKE, narrow="arxiv", scale="smoke"),
    "language-equal-pairs": lambda: equal_pairs.course(scale="smoke", seed=0),
    "language-survey": lambda: surveys.stored("cc", SMOKE),
    "language-shared": lambda: surveys.stored_shared(["cc", "arxiv"], SMOKE),
    "language-pretrained": lambda: pretrained.stored(pretrained.Model(), SMOKE),
    "language-dealt": lambda: causal_geometry.trained("cc", SMOKE, scale="smoke", seed=0),
    "language-added": lambda: new_token.added("cc", SMOKE, scale="smoke", seed=0),
    "language-start": lambda: start.trained("cc", SMOKE, scale="smoke", seed=0),
    "language-rows": lambda: new_token.shipped(pretrained.Model(), SMOKE),
    "language-left-out": lambda: left_out.trained("cc", SMOKE, scale="smoke", seed=0),
    "language-windows": lambda: windows.of_texts(["cc"], SMOKE, scale="smoke"),
    "language-follows": lambda: windows.of_model(pretrained.Model(), SMOKE),
    "language-shape": lambda: shape.of_model(pretrained.Model(), SMOKE),
    "language-unembedding": lambda: unembedding.stored(SMOKE),
    "language-cost": lambda: costs.stored(["cc", "arxiv"], SMOKE),
}


def calls(kind, monkeypatch):
    """The kind's pieces and what opens their inputs, without making anything."""
    found = []

    def run(asked, config, pieces, *, inputs=None, **means):
        assert asked == kind
        found.append((pieces, inputs))

    monkeypatch.setattr(runs, "run", run)
    monkeypatch.setattr(runs, "find", lambda *_: None)
    with contextlib.suppress(AttributeError):  # of a reader that goes on with a run, where there is none
        READERS[kind]()
    return found


READ = [kind for kind in KINDS if kind.startswith(("language-", "across-")) and kind != "language-equal-pairs"]


@pytest.mark.parametrize("kind", [kind for kind in READ if kind != "language-model"])  # `Shown` looks before it trains
def test_whatever_reads_a_text_tells_a_want_of_text_as_such(kind, monkeypatch):
    """What a maker refuses of a text of the reader's own is TooLittle, and a page without it."""
    within = []

    @contextlib.contextmanager
    def enough(texts):
        within.append(True)
        yield
        within.pop()

    monkeypatch.setattr(Texts, "enough", enough)
    monkeypatch.setattr(runs, "find", lambda *_: None)
    seen = []
    monkeypatch.setattr(runs, "run", lambda asked, *_, **__: seen.append((asked, bool(within))))
    with contextlib.suppress(AttributeError):
        READERS[kind]()
    assert seen and all(one == (kind, True) for one in seen)


@pytest.fixture(scope="module")
def package():
    """The definitions of the package; what makers use is imported, so that nothing is defined under the tracer."""
    found = code.definitions()
    makers = [tuple(maker.split(":")) for makers in KINDS.values() for maker in makers]
    for name in {home[0] for home in found.digests(makers)}:
        importlib.import_module(name)
    return found


@pytest.fixture(scope="module")
def lines(package):
    """By file and line, the definition that stands there."""
    table = {}
    for module in package.modules.values():
        path = str(house.path_of(module.name))
        for name, nodes in module.own.items():
            for node in nodes:
                first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
                table |= {(path, line): (module.name, name) for line in range(first, node.end_lineno + 1)}
    return table


def entered(work):
    """The code objects of the package that some work enters, in whatever thread."""
    seen, inside, before = set(), str(code.PACKAGE), sys.gettrace()

    def trace(frame, event, _):
        seen.add(frame.f_code)

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
        threading.settrace(before)
    return {each for each in seen if each.co_filename.startswith(inside)}


def test_there_is_a_reader_for_every_kind():
    assert READERS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_function_that_a_maker_enters_is_in_its_closure(kind, package, lines, monkeypatch, tmp_path):
    monkeypatch.setattr(costs, "COUNTED", 2_000)
    makers = set()
    for number, (pieces, inputs) in enumerate(calls(kind, monkeypatch)):
        opened = inputs() if inputs else None
        for name, piece in pieces.items():
            makers.add(piece.maker)
            closure = package.digests([tuple(piece.maker.split(":"))]).keys()
            draft = Draft(tmp_path / f"{number} {name.replace('/', ' ')}")
            found = entered(lambda p=piece, o=opened, d=draft: p.make(inputs=o, draft=d))
            homes = {lines[each.co_filename, each.co_firstlineno] for each in found if each.co_name != "<module>"}
            assert tuple(piece.maker.split(":")) in homes
            given = {home for home in homes if home[0] in INPUTS or ".".join(home) in INPUTS}
            missed = {home for home in homes - given if not package.is_silent(home)} - closure
            assert missed == set(), name
    assert makers == set(KINDS[kind])


def test_what_is_handed_over_as_an_object_is_seen(package, lines):
    """The tracer sees what reading cannot: a function that reaches another only as an argument."""
    from probsig.seeds import stream

    def hands_over():
        return list(map(stream, [0]))

    found = {lines[each.co_filename, each.co_firstlineno] for each in entered(hands_over)}
    assert found == {("probsig.seeds", "stream")}
