"""A chapter run on a text that is too short for parts of it: a page without them, which says why.

A cell that ends in `TooLittle` has a sentence in the place of its output, and so has a cell that then fails for want of
a name that such a cell would have given or filled. Every other error stops the chapter, as ever.
"""

import ast
import re

from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from probsig.pages.markdown import literal

NAME = "leaving-out"
LACKS = re.compile("name '(.+)' is not defined")


def given_by(source: str) -> set[str]:
    """The names that a cell's code gives or fills.

    >>> sorted(given_by("import a.b as c\\nx, *y = 1, 2\\nd['k'] = 0\\ndef f():\\n    z = 1\\nfor i in x: pass"))
    ['c', 'd', 'f', 'i', 'x', 'y']
    """
    names = set()
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            names.add(node.value.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif not isinstance(node, ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return names


def read_by(source: str) -> set[str]:
    """The names that a cell's code reads.

    >>> read_by("x = found['a']")
    {'found'}
    """
    nodes = ast.walk(ast.parse(source))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


class Client(PapermillNotebookClient):
    """papermill's, which goes on behind a part that a text is too short for."""

    def papermill_execute_cells(self) -> None:
        """Called by papermill."""
        lost: set[str] = set()
        for index, cell in enumerate(self.nb.cells):
            try:
                self.nb_man.cell_start(cell, index)
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                lacks = LACKS.match(error.evalue)
                if error.ename == "TooLittle":
                    why = f"**Left out:** {literal(re.sub('^yours', 'the text', error.evalue))}"
                elif (lacks and lacks[1] in lost) or lost & read_by(cell.source):
                    why = "**Left out** for want of what is left out above."
                else:
                    self.nb_man.cell_exception(cell, cell_index=index, exception=error)
                    break
                lost |= given_by(cell.source)
                cell.outputs = [new_output("display_data", {"text/markdown": why, "text/plain": why})]
                cell.metadata.pop("mystnb", None)  # a caption without its figure
            finally:
                self.nb_man.cell_complete(cell, cell_index=index)


class Engine(NBClientEngine):
    """papermill's, with `Client`."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, log_output=False, start_timeout=60, **options):
        """Called by papermill."""
        known = {name: value for name, value in options.items() if name not in ("input_path", "execution_timeout")}
        return Client(
            nb_man, kernel_name=kernel_name, log_output=log_output, startup_timeout=start_timeout, **known
        ).execute()


papermill_engines.register(NAME, Engine)
