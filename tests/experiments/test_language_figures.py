"""The figures of the language chapters draw what is stored."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from probsig.experiments import language_figures
from probsig.experiments.language_model import at, course, data, last, over
from probsig.experiments.language_readers import LONG, Shown, group, held_out, progress
from probsig.experiments.texts import NAMES
from probsig.pages import figures

PARAMETERS = {"text": "stand-in", "tokenizer": "", "scale": "smoke", "seed": 0, "repeats": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def shown(place):
    found = Shown(SimpleNamespace(**PARAMETERS))
    yield found
    plt.close("all")


def test_matrices_are_the_stored_cosines_in_one_order(shown):
    run = shown.main["arxiv"][0]
    figure = language_figures.matrices(run, shown.token_names(run, 40), shown=12)
    heat = at(run, last(run), "next/heat").astype(float)
    labels = [[one.get_text() for one in ax.get_yticklabels()] for ax in figure.axes]
    assert len(set(labels[0])) == 12 and labels[1:] == [[]] * 3
    inside = ~np.eye(12, dtype=bool)
    for ax, stored in zip(figure.axes[:2], heat, strict=True):
        drawn = ax.images[0].get_array().filled(np.nan)
        np.testing.assert_allclose(np.sort(drawn[inside]), np.sort(stored[:12, :12][inside]))
        assert np.isnan(np.diag(drawn)).all()


def test_losses_are_drawn_with_both_yardsticks(shown):
    known = shown.yardsticks(shown.small)
    figure = language_figures.losses(shown.small, known, training=True)
    for ax, (name, found) in zip(figure.axes, shown.small.items(), strict=False):
        np.testing.assert_allclose(ax.lines[0].get_ydata(), held_out(found).mean(axis=0)[1:])
        levels = {float(line.get_ydata()[0]) for line in ax.lines if len(set(line.get_ydata())) == 1}
        assert levels == {known[name].unigram, known[name].bigram} and ax.get_title() == name


def test_sizes_tokens_and_courses(shown):
    found = shown.small["arxiv"]
    figure = language_figures.by_size(shown.small)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), over(found, "next/rcos")[:, 0].mean(axis=0))
    figure = language_figures.by_token(shown.small)
    assert len(figure.axes[0].lines[0].get_xdata()) == int(data(found[0], "sizes")[-1])
    _, ax = plt.subplots()
    language_figures.through_training(shown.small, "rcos", (1, 0, 0), ax)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), course(found, "rcos")[1][:, 1:, 1, 0, 0].mean(axis=0))
    assert [one.get_text() for one in ax.texts] == [*shown.small]


def test_sizes_of_network_against_steps_and_against_loss(shown):
    known, found = shown.yardsticks(shown.main)["arxiv"], shown.small["arxiv"]
    figure = language_figures.by_shape({"one": found, "other": found[:1]}, known)
    steps, values = course(found, "rcos")
    top, bottom = (ax.lines[:3] for ax in figure.axes)
    for k, (over_steps, over_loss) in enumerate(zip(top, bottom, strict=True)):
        np.testing.assert_array_equal(over_steps.get_xdata(), steps)
        np.testing.assert_array_equal(over_loss.get_ydata(), values[k % 2, :, 0, 0, 0])
        way = [progress(loss, known) for loss in held_out(found)[k % 2]]
        np.testing.assert_allclose(over_loss.get_xdata(), way)
    assert [one.get_text() for one in figure.axes[0].texts] == ["one", "other"]


def test_texts_weigh_the_same_in_the_table_of_percentiles(shown):
    share = language_figures.shares(shown.small)
    np.testing.assert_allclose(share.sum(axis=2), 1.0)
    found = {"arxiv": shown.small["arxiv"]}
    exact = over(shown.small["arxiv"], "next/means")
    alone = language_figures.percentile_means(language_figures.shares(found))
    np.testing.assert_allclose(alone, exact, atol=0.5 / share.shape[-1])
    for chosen in ((0, 4, 9), range(10)):
        assert len(language_figures.distributions(shown.small, chosen=chosen).axes) == (1 if len(chosen) == 3 else 10)
    figure = language_figures.interval_means(shown.small)
    expected = language_figures.percentile_means(share).mean(axis=0)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), expected)


def test_groups_and_orders(shown):
    run = shown.main["arxiv"][0]
    members = {name: group(run, name)[0] for name in ("digits", "months")}
    figure = language_figures.groups(run, [*members], members)
    drawn = figure.axes[0].images[0].get_array().filled(np.nan)
    np.testing.assert_array_equal(drawn[np.triu_indices(10, 1)], run.arrays["model/digits/W_E"][-1])
    assert np.allclose(drawn, drawn.T, equal_nan=True) and np.isnan(np.diag(drawn)).all()
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == members["digits"]
    figure = language_figures.orders({"one": shown.small["arxiv"]}, "digits")
    line = figure.axes[0].lines[0].get_ydata()
    pairs = run.arrays["model/digits/W_E"][-1].astype(float)
    i, j = np.triu_indices(10, 1)
    other = shown.small["arxiv"][1].arrays["model/digits/W_E"][-1].astype(float)
    expected = np.mean([np.corrcoef(one, j - i)[0, 1] for one in (pairs, other)])
    assert line[-1] == pytest.approx(expected, abs=1e-6)
    (ax,) = language_figures.orders({"one": [run]}, "digits", {"one": shown.small["arxiv"]}).axes
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), line)
    assert [drawn.get_linestyle() for drawn in ax.lines] == ["-", "--", ":"]


def test_the_null_of_an_order_holds_most_orders_of_noise(shown):
    null = language_figures.null_order(shown.main["arxiv"][0], "digits")
    assert 0.2 < null < 0.4
    assert null == language_figures.null_order(shown.main["arxiv"][0], "digits")


def test_the_order_around_a_ring():
    n = 12
    i, j = np.triu_indices(n, 1)
    around = np.cos(2 * np.pi * (j - i) / n)
    assert language_figures.order_of(around, cyclic=True) < -0.98 < language_figures.order_of(around)


def test_a_text_has_its_colour_everywhere():
    assert language_figures.colours(NAMES) == list(figures.COLOURS[:5])
    assert (
        language_figures.colours(["cc"]) == [figures.COLOURS[2]]
        and len(set(language_figures.colours([*NAMES, LONG]))) == 6
    )
    own = language_figures.colours(["yours", "cc", "mine"])
    assert len(set(own)) == 3 and own[1] == figures.COLOURS[2]


def test_a_peak_and_its_dip(monkeypatch):
    steps, values = np.array([0, 5, 10, 20, 30]), np.array([[0, 0.9, 0.5, 0.7, 0.6], [0, 0, 0.1, 0.2, 0.3]])
    monkeypatch.setattr(language_figures, "course", lambda models, key: (steps, values))
    monkeypatch.setattr(language_figures, "epoch", lambda run: 10)
    top, dip = language_figures.peak([None], "rcos", ())
    assert top.tolist() == [0.7, 0.3] and dip.round(9).tolist() == [0.1, 0.0]


def test_names_at_the_ends_of_lines_stay_apart_and_inside():
    figure, ax = plt.subplots(figsize=(6.5, 2))
    ends = [(10, 0.0), (8, 0.001), (10, 0.002), (10, 1.0)]
    for x, y in ends:
        ax.plot([1, x], [0.5, y])
    for left in (False, True):
        before = len(ax.texts)
        figures.end_labels(ax, ends, ["first", "second", "third", "fourth"], figures.COLOURS, left=left)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in ax.texts[before:]]
        axes = ax.get_window_extent()
        assert all(box.y0 > axes.y0 - 2 for box in boxes)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        if not left:
            assert all(box.x1 < axes.x1 + 1 for box in boxes)
