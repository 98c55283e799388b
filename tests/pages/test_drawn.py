"""The numbers of a figure, read back by csv and held against what was drawn."""

import csv
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest

from probsig.pages import drawn, figures, named


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def read(figure):
    """The rows of a figure's table, by kind and series: x, y and value, as numbers where there are any."""
    rows = list(csv.DictReader(io.StringIO(drawn.table(figure), newline="")))
    found = {}
    for row in rows:
        point = tuple(float(row[key]) if row[key] else None for key in ("x", "y", "value"))
        found.setdefault((int(row["panel"]), row["kind"], row["series"]), []).append(point)
    return rows, found


def test_lines_are_called_as_the_legend_or_the_text_in_their_colour_and_the_band_with_them():
    figure = figures.dynamics([0, 10], {"many": [[0, 2], [2, 4]]}, "epoch", "accuracy")
    (ax,) = figure.axes
    ax.plot([0, 10], [5, 6], color="#123456")
    ax.text(10, 6, "told", color="#123456")
    ax.plot([0, 10], [7, 8], color="#654321")
    ax.axhline(0.5, color="#aaaaaa")
    ax.plot([0, 1], [0, 1], transform=ax.transAxes)
    ax.set_title("panel")
    rows, found = read(figure)
    assert found == {
        (1, "line", "many"): [(0, 1, None), (10, 3, None)],
        (1, "band low", "many"): [(0, 0, None), (10, 2, None)],
        (1, "band high", "many"): [(0, 2, None), (10, 4, None)],
        (1, "line", "told"): [(0, 5, None), (10, 6, None)],
        (1, "line", "line"): [(0, 7, None), (10, 8, None)],
        (1, "line", "line 2"): [(None, 0.5, None)],
        (1, "text", "told"): [(10, 6, None)],
    }
    assert [row["title"] for row in rows] == ["panel", *[""] * 11]
    assert (rows[0]["x label"], rows[0]["y label"], rows[1]["y label"]) == ("epoch", "accuracy", "")


def test_a_scatter_has_its_places_colours_and_names():
    points = np.random.default_rng(0).standard_normal((2, 5, 2))
    _, found = read(figures.scatter_panels(points, ["a", "b"], range(11, 16)))
    for panel, expected in enumerate(points, 1):
        seen = np.array(found[panel, "points", "points"])
        assert np.abs(seen[:, :2] / expected - 1).max() < 1e-4 and seen[:, 2].tolist() == [11, 12, 13, 14, 15]
        assert np.allclose(found[panel, "text", "13"][0][:2], expected[2], rtol=1e-4)


def test_bars_have_their_ends_and_lengths_and_error_bars_theirs():
    figure, (left, right) = plt.subplots(1, 2)
    left.bar(["a", "b"], [2, -1], bottom=[0, 5], label="up")
    right.barh([0, 1], [3, 4], left=1, color="0.5")
    right.errorbar([2], [0], xerr=[0.5], fmt="o", capsize=3, label="mean")
    _, found = read(figure)
    assert found == {
        (1, "bar", "up"): [(0, 2, 2), (1, 4, -1)],
        (1, "x tick", "a"): [(0, None, None)],
        (1, "x tick", "b"): [(1, None, None)],
        (2, "bar", "bar"): [(4, 0, 3), (5, 1, 4)],
        (2, "points", "mean"): [(2, 0, None)],
        (2, "segment", "mean"): [(1.5, 0, None), (2.5, 0, None)],
    }


def test_histograms_steps_and_boxes():
    figure, ax = plt.subplots()
    ax.hist([0.1, 0.2, 0.9], [0, 0.5, 1])
    ax.stairs([3, 4], [0, 1, 2])
    ax.axhspan(-1, 1)
    _, found = read(figure)
    assert found == {
        (1, "bar", "bar"): [(0.25, 2, 2), (0.75, 1, 1)],
        (1, "steps", "steps"): [(0, 3, None), (1, 4, None), (2, 4, None)],
        (1, "box", "box"): [(None, -1, None), (None, 1, None)],
    }


def test_a_heatmap_has_its_cells_and_its_tokens_and_its_colour_bar_is_no_panel():
    tokens = [' "a"', "=b,\n", "é"]
    _, found = read(named.heatmaps([np.arange(9).reshape(3, 3) / 8] * 2, ["a", "b"], [tokens]))
    assert found[1, "cell", "cosine"] == [
        *((1, 0, 0.125), (2, 0, 0.25), (0, 1, 0.375), (2, 1, 0.625), (0, 2, 0.75), (1, 2, 0.875))
    ]
    assert found[2, "cell", "cosine"] == found[1, "cell", "cosine"]
    names = [name for panel, kind, name in found if kind == "y tick" and panel == 1]
    assert names == ['␣"a"', "'=b,⏎", "é"] and {panel for panel, _, _ in found} == {1, 2}


def test_cells_lie_where_an_image_shows_them():
    figure, (below, above) = plt.subplots(1, 2)
    below.imshow([[1, 2], [3, 4]], extent=(10, 12, 0, 4), origin="lower")
    above.imshow([[1, 2], [3, 4]], extent=(10, 12, 0, 4))
    _, found = read(figure)
    assert found[1, "cell", "cell"] == [(10.5, 1, 1), (11.5, 1, 2), (10.5, 3, 3), (11.5, 3, 4)]
    assert found[2, "cell", "cell"] == [(10.5, 3, 1), (11.5, 3, 2), (10.5, 1, 3), (11.5, 1, 4)]


def test_an_empty_figure_is_a_head():
    figure, _ = plt.subplots(1, 2)
    assert read(figure) == ([], {}) and drawn.table(figure).split(",")[0] == "panel"


@pytest.mark.parametrize("words", ["=1+1", "+a", "-a", "@a", "\ta", "\ra"])
def test_no_label_is_a_formula(words):
    figure, ax = plt.subplots()
    ax.plot([0, 1], [-1, -2], label=words)
    ax.set_title(words)
    rows, found = read(figure)
    assert list(found) == [(1, "line", f"'{words}")] and rows[0]["title"].startswith("'")
    assert (rows[0]["y"], drawn.unpacked(drawn.bundle(figure)[drawn.MIME])) == ("-1", drawn.table(figure).encode())


@pytest.mark.parametrize("token", ['"', "a,b", "two\nlines", "a\r\n", "\u2028", "שלום", "-0.5", "$x$"])
def test_labels_are_read_back_as_they_were(token):
    figure, ax = plt.subplots()
    ax.plot([0], [0], label=token)
    assert list(read(figure)[1]) == [(1, "line", token)]


def test_numbers_have_five_digits_and_what_is_not_drawn_is_left_out():
    figure, ax = plt.subplots()
    ax.plot([1234567, 2, 3], [1 / 3e6, np.nan, -0.0])
    ax.plot(np.ma.masked_equal([5, 6], 6), [1, 2])
    rows, _ = read(figure)
    assert [(row["x"], row["y"]) for row in rows[:2]] == [("1234567", "3.3333e-07"), ("3", "0")]
    assert [(row["x"], row["y"]) for row in rows[2:]] == [("5", "1")]


def test_of_many_points_the_longest_series_keep_each_kth():
    figure, ax = plt.subplots()
    ax.plot(range(5 * drawn.MOST), range(5 * drawn.MOST), label="long")
    ax.plot([0, 1], [0, 1], label="short")
    rows, found = read(figure)
    steps = np.diff([x for x, _, _ in found[1, "line", "long"]])
    every = {row["series"]: int(row["every"]) for row in rows}
    assert drawn.MOST / 2 < len(rows) <= drawn.MOST and len(found[1, "line", "short"]) == 2
    assert every["short"] == 1 and set(steps) == {every["long"]}
