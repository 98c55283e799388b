"""Heatmaps with names: every row has its token's name, lines have scales of their own, nothing runs into another."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from probsig.pages import figures, named

matplotlib.use("agg")
NAMES = [[" the", "$x", "日", "\n"], [f" word{i}" for i in range(26)]]


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        figures.use_style()
        yield
        plt.close("all")


def squares(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random((n, n)) for n in (4, 4, 26, 26)]


def panels(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def test_each_line_has_all_its_names_and_one_scale():
    given = squares()
    axes = panels(named.heatmaps(given, list("abcd"), NAMES))
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["␣the", r"\$x", "U+65E5", "⏎"]
    assert [tick.get_text() for tick in axes[2].get_yticklabels()] == [f"␣word{i}" for i in range(26)]
    for first, second in ((0, 1), (2, 3)):
        off = ~np.eye(len(given[first]), dtype=bool)
        both = np.concatenate([given[first][off], given[second][off]])
        assert axes[first].images[0].get_clim() == axes[second].images[0].get_clim() == (both.min(), both.max())
        assert (axes[second].images[0].get_array()[off] == given[second][off]).all()
        assert axes[second].images[0].get_array().mask.diagonal().all()
        assert given[first].diagonal().all()  # what was passed is as it was


def test_names_do_not_overlap_and_are_large_enough_at_400_pixels():
    figure = named.heatmaps(squares(), list("abcd"), NAMES)
    figure.draw_without_rendering()
    for ax in (panels(figure)[0], panels(figure)[2]):
        boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
        assert all(upper.y0 >= lower.y1 - 1 for upper, lower in itertools.pairwise(boxes))
        assert min(box.x0 for box in boxes) >= 0
        assert all(tick.get_fontsize() * 400 / (figures.WIDTH * 72) > 8 for tick in ax.get_yticklabels())


def test_given_limits_have_one_bar_for_all():
    bars = [len(named.heatmaps(squares(), list("abcd"), NAMES, limits=limits).axes) - 4 for limits in (None, (0, 1))]
    assert bars == [2, 1]


def test_what_is_no_number_is_grey_and_limits_hold():
    panel = np.full((4, 4), np.nan)
    ax, _ = panels(named.heatmaps([panel], ["a"], NAMES[:1], limits=(0, 1)))
    assert ax.images[0].get_clim() == (0, 1) and ax.images[0].get_array().mask.all()
    assert panels(named.heatmaps([panel], ["a"], NAMES[:1]))[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: named.heatmaps([], [], []), "0 matrices"),
        (lambda: named.heatmaps(squares(), list("abc"), NAMES), "3 titles"),
        (lambda: named.heatmaps(squares(), list("abcd"), NAMES[:1]), "1 lists of names"),
        (lambda: named.heatmaps(squares()[::-1], list("abcd"), NAMES), r"shape \(26, 26\) and 4 names"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_names_around_points_do_not_run_into_each_other_and_keep_their_order():
    stream = np.random.default_rng(0)
    for points in (stream.standard_normal((12, 2)), np.repeat(stream.standard_normal((4, 2)), 3, axis=0)):
        figure, ax = plt.subplots(figsize=(2.1, 2.3))
        named.around(ax, points, [f"m{i:02}" for i in range(12)])
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert [text.get_text() for text in ax.texts][3] == "m03"


def test_angles_that_are_apart_stay_and_others_are_moved_apart():
    assert named.apart([0.0, 1.0, 2.0], 0.5).tolist() == [0.0, 1.0, 2.0]
    crowd = named.apart(np.zeros(12), 2 * np.pi / 12)
    turns = np.sort(crowd % (2 * np.pi))
    assert np.diff(np.append(turns, turns[0] + 2 * np.pi)).min() > 0.5


def test_a_line_is_not_closed():
    _, ax = plt.subplots()
    named.around(ax, [[0, 0], [1, 0], [1, 1]], "abc", closed=False)
    assert len(ax.lines[0].get_xdata()) == 3
