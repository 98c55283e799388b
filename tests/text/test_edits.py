"""An edited text: what may change does, what must stay stays to the count, and the chance is fair."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probsig import seeds
from probsig.text import edits
from probsig.text.edits import ARMS, choose, edit
from probsig.text.training_set import REST, TrainingSet, renumbered

NEXT, PREVIOUS, SWAPPED, UNTOUCHED = range(4)
CHOSEN = np.arange(16).reshape(4, 2, 2)  # tokens 0 to 15 are of arms, the others are not
VOCAB = 24
DOCUMENTS = st.lists(st.lists(st.integers(0, 47), max_size=30), min_size=1, max_size=5)


def text_of(documents, vocab_size=VOCAB):
    """A training set of documents that are lists; ids from `vocab_size` on are folded onto those of no arm."""
    flat = [id if id < vocab_size else 16 + id % 8 for document in documents for id in document]
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    return TrainingSet("text", np.array(flat, dtype=np.uint16), offsets, np.arange(vocab_size), vocab_size)


def pairs_of(data):
    """How often each ordered pair of neighbours occurs, document by document."""
    split = np.split(data.ids, data.offsets[1:-1])
    return collections.Counter(pair for part in split for pair in itertools.pairwise(part.tolist()))


def side_of(data, token, place):
    """What stands after (place 0) or before (place 1) a token, with its count."""
    return collections.Counter({p[1 - place]: n for p, n in pairs_of(data).items() if p[place] == token})


def free_of(data, token, step):
    """The rule of the module, read aloud, one place at a time."""
    out = []
    for start, end in itertools.pairwise(data.offsets.tolist()):
        for i in range(start, end):
            near, far = i + step, i + 2 * step
            if data.ids[i] != token or not start <= near < end or data.ids[near] < 16:
                continue
            if start <= far < end and data.ids[far] < 16:
                continue
            out.append(near)
    return out


@settings(deadline=None)
@given(DOCUMENTS, st.integers(0, 5))
def test_what_an_edit_keeps(documents, seed):
    """Frequencies, documents, the places of the arms' tokens, and every count on the side that is not edited."""
    data = text_of(documents)
    done = edit(data, CHOSEN, seed)
    after = done.data
    assert (after.frequency == data.frequency).all() and (after.offsets == data.offsets).all()
    assert after.ids.dtype == data.ids.dtype and (after.name, after.original) == (data.name, data.original)
    arms = data.ids < 16
    assert (after.ids[arms] == data.ids[arms]).all() and (after.ids[~arms] >= 16).all()
    for arm, place in ((NEXT, 1), (SWAPPED, 1), (PREVIOUS, 0), (UNTOUCHED, 0), (UNTOUCHED, 1)):
        for token in CHOSEN[arm].ravel().tolist():
            assert side_of(after, token, place) == side_of(data, token, place)
    for arm, place in ((NEXT, 0), (SWAPPED, 0), (PREVIOUS, 1)):
        for group in CHOSEN[arm].tolist():
            before, now = (sum((side_of(one, t, place) for t in group), collections.Counter()) for one in (data, after))
            assert before == now  # a group as a whole keeps its counts


@settings(deadline=None)
@given(DOCUMENTS, st.integers(0, 5))
def test_only_free_places_change_and_they_are_counted(documents, seed):
    data = text_of(documents)
    done = edit(data, CHOSEN, seed)
    changed = set(np.flatnonzero(done.data.ids != data.ids).tolist())
    allowed, moved = set(), np.zeros(CHOSEN.shape, dtype=int)
    for arm, step in ((NEXT, 1), (PREVIOUS, -1), (SWAPPED, 1)):
        for g, group in enumerate(CHOSEN[arm].tolist()):
            places = [free_of(data, token, step) for token in group]
            assert not allowed & {p for own in places for p in own}  # no place is free for two tokens
            allowed |= {p for own in places for p in own}
            moved[arm, g] = [min(map(len, places))] * 2 if arm == SWAPPED else [len(own) for own in places]
    assert changed <= allowed
    assert (done.moved == moved).all() and (done.chosen == CHOSEN).all()


def test_followers_that_change_hands_by_hand():
    """8 and 9 swap all of their three followers; 10 has two of 11's three to give."""
    body = [[8, 20, 21], [8, 20, 21], [8, 22, 21], [9, 23, 21], [9, 23, 21], [9, 17, 21]]
    body += [[10, 18, 16], [10, 19, 16], [11, 20, 16], [11, 20, 16], [11, 20, 16]]
    data = text_of(body)
    done = edit(data, CHOSEN, 0)
    assert done.moved[SWAPPED].tolist() == [[3, 3], [2, 2]]
    assert side_of(done.data, 8, 0) == {23: 2, 17: 1} and side_of(done.data, 9, 0) == {20: 2, 22: 1}
    assert side_of(done.data, 10, 0) == {20: 2} and side_of(done.data, 11, 0) == {20: 1, 18: 1, 19: 1}
    assert (done.data.ids[2::3] == data.ids[2::3]).all()  # the far neighbours stay


@pytest.mark.parametrize(
    ("document", "free"),
    [
        ([0, 20], True),  # the last place of a document
        ([0, 20, 21], True),
        ([20, 0], False),  # nothing follows
        ([0, 12], False),  # an arm's token follows
        ([0, 20, 12], False),  # and one stands beyond
    ],
)
def test_which_places_take_part_by_hand(document, free):
    """Beside a document with another member of the group: their followers trade places or do not."""
    data = text_of([document, [1, 23, 21]])
    outcomes = {edit(data, CHOSEN, seed).data.ids.tobytes() for seed in range(12)}
    assert len(outcomes) == (2 if free else 1)
    assert edit(data, CHOSEN, 0).moved[NEXT, 0].tolist() == [int(free), 1]
    mirrored = text_of([[4 if id == 0 else id for id in document[::-1]], [21, 23, 5]])
    assert edit(mirrored, CHOSEN, 0).moved[PREVIOUS, 0].tolist() == [int(free), 1]


@pytest.mark.parametrize(("arm", "place"), [(NEXT, 0), (PREVIOUS, 1)])
def test_pooled_rows_are_one_law_in_expectation(arm, place):
    """Two tokens with followers in places 30 and 10: over 400 edits the counts of each have the mean of the pool, with
    the variance of a hypergeometric law."""
    one, two = CHOSEN[arm, 0].tolist()
    rows = [(one, 20)] * 24 + [(one, 21)] * 6 + [(two, 21)] * 9 + [(two, 22)]
    data = text_of([list(pair if place == 0 else pair[::-1]) for pair in rows])
    pool, draws = {20: 24, 21: 15, 22: 1}, 400
    for token, n in ((one, 30), (two, 10)):
        got = [side_of(edit(data, CHOSEN, seed).data, token, place) for seed in range(draws)]
        for other, often in pool.items():
            mean, share = np.mean([counts[other] for counts in got]), often / 40
            spread = np.sqrt(n * share * (1 - share) * (40 - n) / 39 / draws)
            assert abs(mean - n * share) < 4 * spread, (token, other)


def test_every_deal_is_as_likely():
    """Three followers in three places: each of the six deals about a sixth of the time."""
    data = text_of([[0, 20], [1, 21], [1, 22]])
    deals = collections.Counter(tuple(edit(data, CHOSEN, seed).data.ids[1::2].tolist()) for seed in range(600))
    assert set(deals) == set(itertools.permutations([20, 21, 22]))
    assert all(abs(often - 100) < 4 * np.sqrt(600 * 5 / 36) for often in deals.values())


def test_arms_draw_from_streams_of_their_own():
    """What one arm does leaves the chance of another; another seed is another edit."""
    rows = [[0, 20 + k % 4] for k in range(20)] + [[1, 17]] * 20
    alone, beside = text_of(rows), text_of([*rows, [20, 4], [21, 5], [8, 22], [9, 23]])
    found = edit(alone, CHOSEN, 3).data.ids
    assert (edit(beside, CHOSEN, 3).data.ids[: len(found)] == found).all()
    assert (edit(alone, CHOSEN, 3).data.ids == found).all() and (edit(alone, CHOSEN, 4).data.ids != found).any()


def made_up(number, keep=None):
    """A text whose ids have frequencies that fall slowly."""
    often = np.arange(3 * number, number, -2)[:number]
    ids = seeds.stream(0, "made up").permutation(np.repeat(np.arange(number), often))
    return renumbered(ids, np.array([0, len(ids)]), number, keep, "made up")


def test_chosen_tokens_are_matched_in_frequency():
    data = made_up(120)
    found = choose(data, groups=3, size=4, ranks=(10, 115), least=40, seed=1)
    assert found.shape == (4, 3, 4) and len(np.unique(found)) == 48
    ranks = np.flatnonzero(data.frequency >= 40)
    strata = np.array_split(ranks[(ranks >= 10) & (ranks < 115)], 3)
    for g, stratum in enumerate(strata):
        assert np.isin(found[:, g], stratum).all()
    assert (found == choose(data, groups=3, size=4, ranks=(10, 115), least=40, seed=1)).all()
    assert (found != choose(data, groups=3, size=4, ranks=(10, 115), least=40, seed=2)).any()


def test_no_arm_is_preferred():
    """Over 300 draws of two a stratum of eight, each token is in each arm about a quarter of the time."""
    data, often = made_up(8), np.zeros((8, 4))
    for seed in range(300):
        found = choose(data, groups=1, size=2, ranks=(0, 8), least=1, seed=seed)
        for a in range(4):
            often[found[a].ravel(), a] += 1
    assert np.abs(often - 75).max() < 4.5 * np.sqrt(300 * 3 / 16)


def test_the_rest_is_never_chosen():
    data = made_up(40, keep=20)
    assert data.kept[-1] == REST
    found = choose(data, groups=1, size=4, ranks=(0, 20), least=1, seed=0)
    assert data.vocab_size - 1 not in found


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"groups": 0}, "0 groups of 2 tokens are asked for: pass one group or more, of an even size"),
        ({"size": 3}, "1 groups of 3 tokens are asked for"),
        ({"groups": 6}, "made up has 40 tokens of ranks 0 to 40 seen 5 times, and the arms need 48: take more text"),
        ({"ranks": (35, 40)}, "has 5 tokens of ranks 35 to 40"),
        ({"least": 119}, "has 1 tokens of ranks 0 to 40 seen 119 times"),
    ],
)
def test_a_text_that_is_too_short_and_groups_that_cannot_be(asked, message):
    with pytest.raises(ValueError, match=message) as caught:
        choose(made_up(40), **{"groups": 1, "size": 2, "ranks": (0, 40), "least": 5, "seed": 0} | asked)
    assert "\n" not in str(caught.value)


def test_arms_that_edit_are_arms():
    assert set(edits.SIDES) == set(ARMS) - {"untouched"}
