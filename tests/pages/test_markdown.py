"""What data says stands on a page as it is written: no script, no template, no role, no link, no typography."""

import html.parser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hypothesis
import jupyter_book.config
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import v4

from probsig.experiments import texts as experiments_texts
from probsig.pages import markdown, words
from probsig.runs import machine
from probsig.runs import results as runs_results

ROOT = Path(__file__).resolve().parents[2]
PIECES = (
    *("{{ 7*191 }}", "{{", "}}", "{%", "%}", "{{ cycler.__init__.__globals__.os.popen('echo 1337').read() }}", "1337"),
    *("<script>alert(1)</script>", "<script>", "</script>", "<img src=x onerror=alert(1)>", "<a href=", "<!--", "-->"),
    *("<![CDATA[", "&amp;", "&#60;", "&lt;script&gt;", "&", ";", "```{raw} html", "```", "`", "``", ":::{note}", ":::"),
    *("{math}`x`", "{eval}`1+1`", "{doc}`/absent`", "{eval-rst}", "{include} ../_config.yml", "$x$", "$$", r"\(x\)"),
    *(r"\begin{align}", "\\", "\\|", '\\"', "|", "||", "|---|", "|x|", "[a](javascript:alert(1))", "![a](x.png)"),
    *("[a]: x", "[^1]", "^[note]", "https://example.org", "www.example.org", "a.py", "a@example.org", "mailto:", "*"),
    *("**", "_", "__", "~~", "# ", "## ", "- ", "+ ", "1. ", "1) ", "> ", "---", "===", "--", "...", "'", '"', "% "),
    *("(target)=", "+++", ": ", "- [ ] ", "    ", " ", "x", "é", "日"),
    *("\n", "\n\n", "\r", "\t", "\0", "\x1b[31m", "\u202e", "\udcff"),
)
HOSTILE = st.lists(
    st.sampled_from(PIECES) | st.text(min_size=1, max_size=4),
    min_size=1,
    max_size=6,
).map("".join)


def seen(text):
    """What a page shows of a text: what has no shape of its own by its number."""
    return "".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in text)


@given(HOSTILE)
def test_nothing_but_words_and_references_is_left(text):
    shown = markdown.literal(text)
    assert html.unescape(shown) == seen(text)
    assert re.fullmatch(r"([^\W_]|(?<=[^\W_,-])[ -](?=[^\W_])|(?<=[^\W_]),(?= [^\W_])|(?<=,) |U\+|&#\d+;)*", shown)


@pytest.mark.parametrize(
    "name", [*experiments_texts.NAMES, *experiments_texts.FURTHER, "AMD EPYC, 2 cores", "laptop", 12]
)
def test_the_books_own_names_stay_readable(name):
    assert markdown.literal(name) == str(name)


def made_by(hardware, digest="0123456789abcdef", **config):
    record = {"seconds": 3.0, "hardware": hardware} | ({"code": {"digest": digest}} if digest else {})
    return runs_results.Run("toy", {"scale": "laptop", "seed": 0} | config, {}, record, "results")


def test_runs_of_this_book_are_described_in_a_line():
    several = [made_by("AMD EPYC, 2 cores", seed=seed) for seed in (0, 1)]
    line = markdown.describe(several)
    assert line == "Scale laptop; seeds 0, 1; stored in `results/`; on AMD EPYC, 2 cores; 6 s; code 0123456789ab."
    assert line._repr_markdown_() == line
    assert html.unescape(markdown.describe(made_by(machine.hardware()))).count("\n") == 0


def test_every_code_that_made_a_run_is_named():
    line = markdown.describe([made_by("a machine", digest, seed=seed) for seed, digest in enumerate("aab")])
    assert line.endswith("; code a, b.")


def test_a_run_that_is_stored_nowhere_is_of_the_page():
    assert markdown.describe(made_by("a machine", None)).endswith("; code of this page.")


def test_the_book_has_no_templates():
    """Jupyter Book's own list of MyST's extensions has them, and Jinja runs code."""
    final, _ = jupyter_book.config.get_final_config(
        user_yaml=ROOT / "_config.yml", cli_config={"latex_individualpages": False}
    )
    assert "dollarmath" in final["myst_enable_extensions"] and "substitution" not in final["myst_enable_extensions"]


class Article(html.parser.HTMLParser):
    """The elements of a page's article, their attributes, and the text of each paragraph."""

    def __init__(self, page):
        super().__init__()
        self.inside, self.open, self.tags, self.attributes, self.paragraphs = False, False, set(), set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside |= tag == "article"
        if self.inside:
            self.tags.add(tag)
            self.attributes |= set(attrs)
            if tag == "p":
                self.open = True
                self.paragraphs.append("")

    def handle_endtag(self, tag):
        self.inside &= tag != "article"
        self.open &= tag != "p"

    def handle_data(self, data):
        if self.inside and self.open:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def hostile():
    """A few hundred hostile texts."""
    found = dict.fromkeys(PIECES)

    @hypothesis.settings(max_examples=300, database=None)
    @given(HOSTILE)
    def collect(text):
        found[text] = None

    collect()
    return list(found)


@pytest.fixture(scope="module")
def article(hostile, tmp_path_factory):
    """A page built as the book is built: texts in sentences, lists and tables, in a run's record, in a rerun's notice
    and in the ledger."""
    root = tmp_path_factory.mktemp("book")
    for part in ("_config.yml", "book/_ext", "book/_static", "book/references.bib"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (root / part).parent.mkdir(exist_ok=True)
        copy(ROOT / part, root / part)
    (root / "_toc.yml").write_text("format: jb-book\nroot: notebooks/part/page\n", encoding="utf-8")
    shown = [markdown.literal(text) for text in hostile]
    rows = [f"| {text} | **{text}**, x | {words.cell(raw)} |" for text, raw in zip(shown, hostile, strict=True)]
    lines = [
        "{{ 7*191 }}",
        "\n\n".join(shown),
        "\n".join(f"- {text}" for text in shown),
        "\n".join(["| a | b | c |", "|---|---|---|", *rows]),
        "\n\n".join(markdown.describe([made_by(text, scale=text)]) for text in hostile),
    ]
    outputs = [v4.new_output("display_data", data={"text/markdown": line}) for line in lines]
    cells = [
        v4.new_markdown_cell("# A page"),
        v4.new_code_cell("pass", execution_count=1, outputs=outputs),
        v4.new_markdown_cell("```{status-table}\n```"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = seen("".join(hostile))
    nb = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "papermill": {"parameters": {"text": whole}}})
    folder = root / "notebooks" / "part"
    folder.mkdir(parents=True)
    nbformat.write(nb, folder / "page.ipynb")
    ledger = {"part/page": {"hardware": whole, "versions": {"python": whole}}}
    (folder.parent / "executed.json").write_text(json.dumps(ledger), encoding="utf-8")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", root, "-W", "-n", "--keep-going"]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return Article((root / "_build" / "html" / "notebooks" / "part" / "page.html").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_built_page_shows_texts_as_they_are_written(article, hostile):
    whole = seen("".join(hostile))
    tokens = [words.visible(text).replace(r"\$", "$") for text in hostile]
    cells = [cell for raw, token in zip(hostile, tokens, strict=True) for cell in (seen(raw), f"{seen(raw)}, x", token)]
    described = [
        f"Scale {seen(text)}; seed 0; stored in results/; on {seen(text)}; 3 s; code 0123456789ab." for text in hostile
    ]
    first = article.paragraphs.index("{{ 7*191 }}")
    texts = [seen(text) for text in hostile]
    expected = [*texts, *texts, "a", "b", "c", *cells]
    assert article.paragraphs[first + 1 :][: len(expected)] == expected
    after = article.paragraphs[first + 1 + len(expected) :]
    assert after[: len(described)] == described
    assert f"text = {whole!r}" in article.paragraphs[first - 1]
    assert whole in after and f"All chapters ran with python {whole}." in after


def test_a_built_page_runs_nothing(article):
    page = {"article", "section", "h1", "div", "a", "p", "pre", "span"}
    assert article.tags == page | {"strong", "code", "ul", "li", *"table colgroup col thead tbody tr th td".split()}
    assert {name for name, _ in article.attributes} == {"class", "href", "id", "style", "title"}
    assert {value for name, value in article.attributes if name == "href"} == {"#", "#a-page"}
