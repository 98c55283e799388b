"""The numbers that a notebook keeps beside its pictures, as the build finds them."""

import figure_data
import matplotlib.pyplot as plt
import nbformat

from probsig.pages import drawn


def packed(count):
    figure, ax = plt.subplots()
    ax.plot(range(count), range(count), label="two\nlines")
    plt.close(figure)
    return {"image/png": "", **drawn.bundle(figure)}


def test_each_named_figure_has_its_own_file(tmp_path):
    cells = []
    for name, data in (("fig-a", packed(2)), ("fig-b", packed(3)), ("fig-none", {"image/png": ""}), (None, packed(4))):
        cell = nbformat.v4.new_code_cell(metadata={"mystnb": {"figure": {"name": name} if name else {}}})
        cell.outputs = [nbformat.v4.new_output("stream", text="x"), nbformat.v4.new_output("display_data", data)]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("a"), *cells]), tmp_path / "n.ipynb")
    found = figure_data.kept(tmp_path / "n.ipynb")
    assert {name: numbers.count(b'"two\nlines"') for name, numbers in found.items()} == {"fig-a": 2, "fig-b": 3}


def test_the_link_says_when_points_are_left_out():
    few, many = (drawn.unpacked(packed(count)[drawn.MIME]) for count in (3, drawn.MOST + 1))
    assert not figure_data.is_thinned(few) and figure_data.is_thinned(many)
