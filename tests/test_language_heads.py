"""Models with several heads: what each predicts, one head as the plain model, the loss and the loop, resumed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probsig import seeds
from probsig.language import heads as language_heads
from probsig.language import networks, training
from probsig.language.training import Recipe
from probsig.runs import drafts
from probsig.text.training_set import IGNORED, renumbered

V, TINY = 10, networks.Shape(layers=2, heads=2, head_dim=4, hidden=8, ffn=12)
RECIPE = Recipe(epochs=2, batch=4, length=6, lr=1e-2)


def words(tokens=300, name="made up"):
    """Tokens that prefer the next number, in documents of 25."""
    ids = np.cumsum(seeds.stream(0, "words").integers(1, 4, tokens)) % V
    return renumbered(ids, np.append(np.arange(0, tokens, 25), tokens), V, None, name)


def network(heads=1, seed=0):
    return language_heads.build("qwen2.5", TINY, V, heads, seed=seed)


def both(step, W_E, W_U):
    return {"W_E": W_E, "W_U": W_U}


def trained(distances, seed=0, keep_at=(0, 24), **options):
    model = network(len(distances), seed)
    kept = language_heads.train(
        model, words(), distances, RECIPE, seed=seed, keep=both, keep_at=keep_at, progress=False, **options
    )
    return model, kept


def test_targets_by_hand():
    ids = [3, 1, 2, 0, 0, 1, 3, 2, 1, 3]
    few = renumbered(np.array(ids), np.array([0, 4, 5, 10]), 4, None, "by hand")
    new = {int(old): i for i, old in enumerate(few.kept)}
    no = IGNORED
    expected = {
        1: [1, 2, 0, no, no, 3, 2, 1, 3],
        2: [2, 0, no, no, no, 2, 1, 3, no],
        3: [0, no, no, no, no, 1, 3, no, no],
        5: [no] * 9,
    }
    found = language_heads.targets(few, 3, list(expected))
    assert found.shape == (3, 4, 3)
    for j, old in enumerate(expected.values()):
        assert found[:, j].ravel().tolist() == [no if one == no else new[one] for one in old]


@given(st.lists(st.integers(1, 7), min_size=2, max_size=12), st.integers(1, 5), st.integers(1, 9))
def test_targets_are_the_pairs_of_the_counts(lengths, length, distance):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    if offsets[-1] <= length:
        return
    data = renumbered(seeds.stream(0, "any").integers(0, 5, offsets[-1]), offsets, 5, None, "any")
    inputs, goals = data.rows(length)[0].ravel(), language_heads.targets(data, length, [distance])[:, 0].ravel()
    document = np.repeat(np.arange(len(lengths)), lengths)
    for place, goal in enumerate(goals):
        same = place + distance < len(data.ids) and document[place] == document[place + distance]
        assert goal == (data.ids[place + distance] if same else IGNORED)
    assert np.array_equal(inputs, data.ids[: len(inputs)])
    assert np.array_equal(language_heads.targets(data, length, [1])[:, 0], data.rows(length)[1])


def test_one_head_at_distance_one_is_the_plain_model_to_the_bit():
    plain = networks.build("qwen2.5", TINY, V, seed=3)
    log = training.train(
        plain, words(), RECIPE, seed=3, measure=lambda *_: {}, measure_at=range(25), device="cpu", progress=False
    )
    model, kept = trained([1], seed=3)
    others = dict(model.named_parameters())
    for name, weight in plain.named_parameters():
        assert torch.equal(weight, others.pop(name)), name
    assert not others
    losses = np.array([row["loss"] for row in log.metrics[1:]])
    assert np.array_equal(kept["loss"][:, 0].astype(np.float32), losses.astype(np.float32))


def test_the_first_head_starts_as_the_plain_one_and_the_others_apart():
    plain, model = networks.build("qwen2.5", TINY, V, seed=3), network(3, seed=3)
    W_U = language_heads.unembeddings(model)
    assert np.array_equal(W_U[0], networks.embeddings(plain)[1])
    assert np.array_equal(networks.embeddings(model)[0], networks.embeddings(plain)[0])
    flat = W_U.reshape(3, -1)
    assert np.abs(np.corrcoef(flat)[np.triu_indices(3, 1)]).max() < 0.5
    assert np.abs(flat.std(axis=1) * TINY.hidden**0.5 - 1).max() < 0.25


def test_losses_and_gradients_against_all_logits_at_once():
    model, data = network(3), words()
    ids = torch.from_numpy(data.rows(6)[0][:4]).long()
    goals = torch.from_numpy(language_heads.targets(data, 6, [1, 3, 4])[:4]).long()
    found = language_heads.losses(model, ids, goals)
    (sum(found) / 3).backward()
    mine = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    hidden = model.model(input_ids=ids).last_hidden_state
    plain = [
        torch.nn.functional.cross_entropy((hidden @ head.weight.T).reshape(-1, V), goals[:, j].reshape(-1))
        for j, head in enumerate([model.lm_head, *model.more_heads])
    ]
    (sum(plain) / 3).backward()
    assert [one.item() for one in found] == pytest.approx([one.item() for one in plain], rel=1e-5)
    for name, weight in model.named_parameters():
        assert torch.allclose(mine[name], weight.grad, atol=1e-6), name


@pytest.mark.parametrize("at", [1, 7, 24])
def test_stopped_and_taken_up_again_to_the_same_bits(tmp_path, at, stops):
    _, whole = trained([2, 3], keep_at=(0, 6, 24))
    with pytest.raises(drafts.Stopped):
        trained([2, 3], keep_at=(0, 6, 24), draft=stops(tmp_path, at))
    _, resumed = trained([2, 3], keep_at=(0, 6, 24), draft=drafts.Draft(tmp_path))
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        assert np.array_equal(array, resumed[name]), name
    assert np.isfinite(whole["loss"]).all()
    assert whole["loss"][-4:].mean() < whole["loss"][:4].mean()


def test_a_draft_of_other_distances_is_not_taken_up(tmp_path, stops):
    with pytest.raises(drafts.Stopped):
        trained([2, 3], draft=stops(tmp_path, 9))
    _, fresh = trained([2, 4], draft=drafts.Draft(tmp_path))
    _, alone = trained([2, 4])
    assert np.array_equal(fresh["24/W_E"], alone["24/W_E"])


def test_errors_name_the_culprit():
    with pytest.raises(ValueError, match="heads is 0"):
        network(0)
    for wrong in ([], [0, 1], [2, 2]):
        with pytest.raises(ValueError, match="different whole numbers above 0"):
            language_heads.targets(words(), 6, wrong)
    options = {"seed": 0, "keep": both, "keep_at": ()}
    with pytest.raises(ValueError, match="1 heads meet 2 distances"):
        language_heads.train(network(1), words(), [1, 2], RECIPE, **options)
    with pytest.raises(ValueError, match="in a run of 24"):
        language_heads.train(network(1), words(), [1], RECIPE, **options | {"keep_at": [25]})
    with pytest.raises(ValueError, match="shorter than one sequence"):
        language_heads.targets(words(), 400, [1])
