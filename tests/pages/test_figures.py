"""Figures: what is drawn is what was passed, in one style, to the same bytes."""

import io
import os
import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from probsig.laws import tasks
from probsig.pages import figures
from probsig.theory import orders

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def style():
    with matplotlib.rc_context():
        figures.use_style()
        yield
        plt.close("all")


def cosines(n, seed=0):
    W = np.random.default_rng(seed).standard_normal((n, 6))
    W /= np.linalg.norm(W, axis=1)[:, None]
    return W @ W.T


def panels(figure):
    return [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]


def png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=200, metadata={"Software": None})
    return file.getvalue()


def order(power=3.0, seeds=3):
    return orders.residual_order(lambda scale, seed: (1 + 0.1 * seed) * scale**power, [0.02, 0.04, 0.08], range(seeds))


def test_tasks_have_their_colours_and_models_their_lines():
    assert set(figures.TASK_COLOURS) == set(tasks.TASKS)
    assert len({*figures.TASK_COLOURS.values()}) == len(tasks.TASKS)
    assert len({*figures.MODEL_LINES.values()}) == len(figures.MODEL_LINES) == 2


def test_colours_are_told_apart_without_red_or_green():
    """Vienot's simulation of protanopia and deuteranopia leaves each two colours at a distance in linear RGB."""
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    linear = np.array([to_rgb(colour) for colour in figures.COLOURS]) ** 2.2
    for seen in (linear @ protan.T, linear @ deutan.T):
        apart = np.linalg.norm(seen[:, None] - seen, axis=2)
        assert apart[np.triu_indices(len(apart), 1)].min() > 0.1
    assert np.linalg.norm(np.subtract(*(np.array([to_rgb(c) for c in ("#ff0000", "#00ff00")]) @ deutan.T))) > 0.1


def test_heatmaps_of_a_row_share_their_limits():
    matrices = [cosines(5, seed) for seed in range(4)]
    matrices[3] /= 10
    figure = figures.heatmaps(matrices, list("abcd"), ticks=range(11, 16), columns=3)
    off = ~np.eye(5, dtype=bool)
    images = [ax.images[0] for ax in panels(figure)]
    assert [ax.get_title() for ax in panels(figure)] == list("abcd")
    first = np.concatenate([matrix[off] for matrix in matrices[:3]])
    assert all(image.get_clim() == (first.min(), first.max()) for image in images[:3])
    assert images[3].get_clim() == (matrices[3][off].min(), matrices[3][off].max())
    for image, matrix in zip(images, matrices, strict=True):
        assert (image.get_array()[off] == matrix[off]).all()
    assert images[0].get_array().mask.diagonal().all()  # ones are left grey
    assert not images[3].get_array().mask.any()


def test_heatmaps_take_limits_and_write_few_ticks():
    figure = figures.heatmaps([cosines(40)], ["a"], ticks=range(101, 141), limits=(-1, 1))
    (ax,) = panels(figure)
    assert ax.images[0].get_clim() == (-1, 1)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["101", "114", "127", "140"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["101", "114", "127", "140"]


def test_heatmaps_of_equal_cosines_show_no_rounding_noise():
    matrix = 1 - 1e-16 * np.arange(9).reshape(3, 3)
    low, high = panels(figures.heatmaps([matrix], ["a"]))[0].images[0].get_clim()
    assert high - low > 0.009


def test_scatter_panels_place_colour_and_label_the_tokens():
    points = np.random.default_rng(1).standard_normal((2, 10, 2))
    numbers = np.arange(11, 21)
    figure = figures.scatter_panels(points, ["a", "b"], numbers, label="anchor")
    for ax, expected in zip(panels(figure), points, strict=True):
        (dots,) = ax.collections
        assert (np.asarray(dots.get_offsets()) == expected).all()
        assert (dots.get_array() == numbers).all() and dots.get_clim() == (11, 20)
        assert [text.get_text() for text in ax.texts] == [str(number) for number in numbers]
        assert [text.xy for text in ax.texts] == [tuple(point) for point in expected]


def test_scatter_panels_label_some_of_many_tokens():
    figure = figures.scatter_panels([np.random.default_rng(2).standard_normal((40, 2))], ["a"], range(101, 141))
    labels = [text.get_text() for text in panels(figure)[0].texts]
    assert len(labels) == 8 and labels[0] == "101" and labels[-1] == "140"


def test_thin_labels_leave_no_two_names_on_one_spot():
    points = np.column_stack([np.r_[np.zeros(20), 5.0], np.r_[np.linspace(0, 1e-3, 20), 5.0]])
    figure = figures.thin_labels(figures.scatter_panels([points], ["a"], range(21)))
    (ax,) = panels(figure)
    shown = [text for text in ax.texts if text.get_visible()]
    assert {"0", "20"} <= {text.get_text() for text in shown} and len(shown) < len(ax.texts)
    boxes = [text.get_window_extent() for text in shown]
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[i + 1 :])


def test_dynamics_draws_the_mean_and_the_band_of_the_seeds():
    x, curve = [0, 10, 20], np.array([[0.0, 2.0, 4.0], [2.0, 2.0, 10.0]])
    styles = {"many": {"color": figures.TASK_COLOURS["mod"], "linestyle": figures.MODEL_LINES["ffn"]}}
    (ax,) = figures.dynamics(x, {"many": curve, "one": [1, 1, 1]}, "epoch", "accuracy", styles=styles).axes
    many, one = ax.lines
    assert many.get_xdata().tolist() == x and many.get_ydata().tolist() == [1, 2, 7]
    assert (to_hex(many.get_color()), many.get_linestyle()) == (figures.TASK_COLOURS["mod"], "--")
    (band,) = ax.collections  # one seed has no band
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert {(0.0, 0.0), (0.0, 2.0), (20.0, 4.0), (20.0, 10.0)} <= corners
    assert one.get_ydata().tolist() == [1, 1, 1]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "accuracy")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["many", "one"]


def test_residual_orders_write_slopes_and_draw_the_nearest_whole_one():
    (ax,) = figures.residual_orders({"printed": order(1.04), "corrected": order(5, seeds=1)}).axes
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["printed: slope 1.04 ± 0.00", "corrected: slope 5.00"]
    assert [text.get_text() for text in ax.texts] == [r"$\propto\epsilon$", r"$\propto\epsilon^{5}$"]
    printed, guide = ax.lines[:2]
    assert np.abs(printed.get_ydata() - np.cbrt(1.0 * 1.1 * 1.2) * np.array([0.02, 0.04, 0.08]) ** 1.04).max() < 1e-15
    slope = np.diff(np.log(guide.get_ydata())) / np.diff(np.log(guide.get_xdata()))
    assert abs(slope[0] - 1) < 1e-12
    assert len({line.get_marker() for line in ax.lines if line.get_marker() != "None"}) == 2


def test_residual_orders_keep_the_names_of_powers_apart():
    close = [orders.residual_order(lambda e, s, k=k: (e / 0.08) ** k, [0.02, 0.04, 0.08], [0]) for k in (1, 2, 3)]
    figure = figures.residual_orders(dict(zip("abc", close, strict=True)))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[i + 1 :])


def test_residual_orders_sort_their_scales():
    found = orders.residual_order(lambda scale, seed: scale**2, [0.1, 0.01, 1.0], [0])
    (ax,) = figures.residual_orders({"a": found}).axes
    assert ax.lines[0].get_xdata().tolist() == [0.01, 0.1, 1.0]
    assert np.abs(ax.lines[0].get_ydata() - [1e-4, 1e-2, 1.0]).max() < 1e-15


def test_a_given_axes_is_drawn_on():
    figure, (left, right) = plt.subplots(1, 2)
    assert figures.residual_orders({"a": order()}, ax=left) is figure
    assert figures.dynamics([0, 1], {"b": [[0, 1]]}, "x", "y", ax=right) is figure
    assert left.lines and right.lines


def test_figures_are_no_wider_than_the_column_and_their_letters_are_large():
    points = [np.eye(4)[:, :2]] * 6
    drawn = [
        figures.heatmaps([cosines(4)] * 6, list("abcdef")),
        figures.scatter_panels(points, list("abcdef"), range(4)),
        figures.dynamics([0, 1], {"b": [[0, 1]]}, "x", "y"),
        figures.residual_orders({"a": order()}),
    ]
    for figure in drawn:
        figure.canvas.draw()
        assert figure.get_size_inches()[0] <= figures.WIDTH
        written = [text for text in figure.findobj(plt.Text) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in written) >= 8.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: figures.heatmaps([cosines(3)], ["a", "b"]), "1 panels and 2 titles"),
        (lambda: figures.heatmaps([], []), "at least one panel"),
        (lambda: figures.heatmaps([np.ones((2, 3))], ["a"]), "pass square matrices"),
        (lambda: figures.heatmaps([cosines(3)], ["a"], ticks=[1, 2]), "2 ticks for a matrix of 3 tokens"),
        (lambda: figures.scatter_panels([np.ones((3, 2))], ["a"], [1, 2]), "one row a value"),
        (lambda: figures.dynamics([0, 1, 2], {"b": [[0, 1]]}, "x", "y"), "curve 'b' has shape"),
        (lambda: figures.residual_orders({}), "orders is empty"),
    ],
)
def test_a_bad_call_names_its_fault(call, words):
    with pytest.raises(ValueError, match=words):
        call()


SCRIPT = """
import hashlib, io, matplotlib
matplotlib.use("agg")
import numpy as np
from probsig.pages import figures
figures.use_style()
for figure in (
    figures.heatmaps([np.eye(4) + np.arange(16).reshape(4, 4)], [r"$\\phi^y$"]),
    figures.dynamics(range(3), {"a": np.arange(6).reshape(2, 3)}, "x", "y"),
):
    file = io.BytesIO()
    figure.savefig(file, metadata={"Software": None})
    print(hashlib.sha256(file.getvalue()).hexdigest())
"""


def test_the_same_numbers_give_the_same_bytes_in_another_process():
    runs = {
        subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1 and len(runs.pop().split()) == 2
    assert b"Software" not in png(figures.residual_orders({"a": order()}))


SHELL = """
import matplotlib
matplotlib.use("agg")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
from probsig.pages import figures
figures.use_style()
data, metadata = shell.display_formatter.format(figures.dynamics([0, 1], {"a": [0, 1]}, "x", "y"))
print(*sorted(set(data) - {"text/plain"}), metadata["image/png"]["width"])
print(figures.drawn.unpacked(data[figures.drawn.MIME]).decode().splitlines()[1])
"""


def test_style_sets_sharp_pictures_with_their_numbers_in_a_notebook(tmp_path):
    """A picture is shown at half of its pixels, which fits the column."""
    shown = subprocess.run(
        [sys.executable, "-c", SHELL],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"IPYTHONDIR": str(tmp_path)},
    ).stdout.split()
    assert shown[:2] == ["application/gzip", "image/png"] and 600 <= int(shown[2]) <= 100 * figures.WIDTH + 20
    assert shown[3:] == ["1,,x,y,line,a,1,0,0,"]
