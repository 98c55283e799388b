"""The built pages as a reader meets them: in a browser, offline, wide and narrow, light and dark."""

import csv
import html
import html.parser
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import play
import pytest
import rerun
import staleness

import probsig
from probsig.laws import tasks
from probsig.theory.trajectory import LinearPopulation, gram

pytestmark = pytest.mark.slow

BOOK = staleness.Book()
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = (1400, 400)
SCHEMES = ("light", "dark")
READY = "async () => { if (window.MathJax && MathJax.startup) await MathJax.startup.promise; }"
JUDGE = r"""() => {
  const main = document.querySelector('main') || document.body;
  const shown = e => e.offsetParent !== null;
  const width = document.documentElement.clientWidth;
  const problems = {};
  const note = (kind, what) => {
    const found = problems[kind] = problems[kind] || [];
    if (found.length < 5) found.push(what);
  };
  const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest('pre, code, script, style, mjx-container')) continue;
    if (/\\[\[(]|\\[a-zA-Z]+|\$\$|\$[^\s$][^$]*\$|\{(doc|eq|ref|numref|cite\S*|prf:ref)\}/.test(node.data))
      note('raw markup', node.data.trim().slice(0, 80));
  }
  const formulas = [...main.querySelectorAll('.math')].filter(e => !e.parentElement.closest('.math'));
  for (const e of formulas) if (!e.querySelector('mjx-container')) note('formula not set', e.textContent.slice(0, 80));
  for (const e of main.querySelectorAll('mjx-merror, [data-mjx-error]')) note('formula in error', e.textContent);
  for (const e of main.querySelectorAll('mjx-container[display="true"]')) {
    const number = e.parentElement.querySelector('.eqno'), cut = e.scrollWidth > e.clientWidth + 1;
    if (cut && width > 1000) note('formula wider than the page', e.textContent.slice(0, 80));
    if (cut && getComputedStyle(e).overflowX !== 'auto') note('formula cut', e.textContent.slice(0, 80));
    if (!number || !shown(e)) continue;
    const [one, two] = [e, number].map(part => part.getBoundingClientRect());
    if (two.top < one.bottom && (cut || two.left < one.right)) note('number at the cut', number.textContent);
  }
  if (document.documentElement.scrollWidth > width + 1) note('page scrolls', document.documentElement.scrollWidth);
  for (const e of main.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    if (!box.width || box.right <= width + 2 || !shown(e)) continue;
    let parent = e.parentElement;
    while (parent && !['auto', 'scroll', 'hidden'].includes(getComputedStyle(parent).overflowX))
      parent = parent.parentElement;
    if (!parent) note('wider than the screen', `${e.tagName}.${e.className} to ${Math.round(box.right)}`);
  }
  for (const e of document.querySelectorAll('img')) {
    if (!e.getAttribute('alt')) note('image without alternative text', e.src);
    if (shown(e) && !e.naturalWidth) note('missing image', e.src);
  }
  return problems;
}"""
HIGHEST = 12_000
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
ACCESSIBLE = """async (contrast) => {
  const exclude = contrast ? [['mjx-container'], ['[data-alike]']] : [['mjx-container']];  // MathJax speaks for itself
  const rules = contrast ? { runOnly: ['color-contrast'] } :
    { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], rules: { 'color-contrast': { enabled: false } } };
  const options = { resultTypes: ['violations'], preload: false, ...rules };
  const { violations } = await axe.run({ include: [['body']], exclude }, options);
  return violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => `${v.id}: ${v.nodes.map(n => n.target.join(' ')).slice(0, 3).join('; ')}`);
}"""
LEAN = """() => {
  for (const e of document.querySelectorAll('mjx-container')) {
    const { width, height } = e.getBoundingClientRect();
    e.replaceChildren();
    Object.assign(e.style, { display: 'inline-block', width: `${width}px`, height: `${height}px` });
  }
  for (const e of document.querySelectorAll('pre')) if (!e.checkVisibility()) e.textContent = e.textContent;
}"""
"""Formulas are left out of axe's rules, and code in a closed fold is: less of them saves it the time to walk there."""
ALIKE = """() => {
  const grounds = new Map([[null, '']]), seen = new Set();
  const ground = e => {
    if (grounds.has(e)) return grounds.get(e);
    const { backgroundColor, backgroundImage, opacity, position } = getComputedStyle(e);
    const own = `${backgroundColor} ${backgroundImage} ${opacity} ${position}; `;
    const plain = own === 'rgba(0, 0, 0, 0) none 1 static; ';
    grounds.set(e, ground(e.parentElement) + (plain ? '' : own));
    return grounds.get(e);
  };
  for (const e of document.querySelectorAll('body *')) {
    e.removeAttribute('data-alike');
    if (e.childElementCount || !e.textContent.trim() || !e.checkVisibility()) continue;
    const { color, fontSize, fontWeight, textShadow } = getComputedStyle(e);
    const look = [ground(e), color, fontSize, fontWeight, textShadow].join();
    e.toggleAttribute('data-alike', seen.has(look));
    seen.add(look);
  }
}"""
"""Of elements with nothing in them but text, those of the colours, size and grounds of an earlier one."""
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
LIGHTNESS = r"""(selector) => [...document.querySelectorAll(selector)].map(e => {
  const [r, g, b] = getComputedStyle(e).backgroundColor.match(/[\d.]+/g).map(Number);
  return (r + g + b) / 765;
})"""


def build(source, target):
    """Build a book strictly into another folder."""
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", source, "--path-output", target, "-W", "-n", "--keep-going"]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A folder with a copy of the book's sources in `copy` and what was built of them in `_build`."""
    folder = tmp_path_factory.mktemp("built")
    rerun.stage(BOOK, folder / "copy")
    made = build(folder / "copy", folder)
    assert made.returncode == 0, made.stderr[-4000:]
    return folder


@pytest.fixture(scope="session")
def site(built):
    """The folder of the built pages."""
    return built / "_build" / "html"


@pytest.fixture(scope="session")
def pages(site):
    """Every page a reader can reach, the search page and the indices included."""
    found = [page for page in sorted(site.rglob("*.html")) if "_static" not in page.parts]
    return [page for page in found if page != site / "index.html"]  # that one only redirects


class Links(html.parser.HTMLParser):
    """Targets of a page's links and sources, and the anchors that it offers."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.anchors, self.scripts = [], {""}, []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors.add(given.get("id"))
        self.targets += [given[key] for key in ("href", "src") if given.get(key)]
        self.scripts += [given["src"]] if tag == "script" and given.get("src") else []


def test_every_page_of_the_contents_is_built(site):
    toc = (BOOK.root / "_toc.yml").read_text(encoding="utf-8")
    names = re.findall(r"(?:file|root): (\S+)", toc)
    assert {f"notebooks/{name}" for name in BOOK.names()} <= set(names)
    assert [name for name in names if not (site / f"{name}.html").is_file()] == []


def test_internal_links_lead_somewhere(pages):
    links = {page: Links(page) for page in pages}
    broken = []
    for page, found in links.items():
        for target in found.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchor = unquote(parts.fragment)
            if not file.is_file() or (file in links and anchor not in links[file].anchors):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_no_script_or_style_of_another_host(pages):
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=\"(https?:)?//", text), page.name
        assert not any("thebe" in script for script in Links(page).scripts)


@pytest.fixture(scope="session")
def browser():
    """Chromium, headless."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install Debian's package chromium to judge the pages")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        running = engine.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


class Reader:
    """A page in a browser without a network, and all that went wrong on it."""

    def __init__(self, browser, width):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
        self.page, self.wrong = self.context.new_page(), []
        self.page.on("request", self._request)
        self.page.on("requestfailed", lambda request: self.wrong.append(f"not found: {request.url}"))
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))

    def _request(self, request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(f"asks another host: {request.url}")

    def _console(self, message):
        if message.type == "error":
            self.wrong.append(f"console: {message.text}")

    def open(self, page, query=""):
        self.page.goto(page.as_uri() + query)
        self.page.evaluate(READY)


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_read_well(pages, site, browser, width):
    problems, plates = [], []
    for page in pages:
        reader = Reader(browser, width)
        reader.open(page)
        if width == WIDTHS[0]:
            high = reader.page.evaluate("(document.querySelector('main') || document.body).scrollHeight")
            problems += [f"{page.relative_to(site)} is {high} px high"] if high > HIGHEST else []
            reader.page.add_style_tag(content=STILL)
            reader.page.evaluate(AXE)
            reader.page.evaluate(LEAN)
            problems += [f"{page.relative_to(site)} {found}" for found in reader.page.evaluate(ACCESSIBLE, False)]
        for scheme in SCHEMES:
            reader.page.emulate_media(color_scheme=scheme)
            reader.page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
            where = f"{page.relative_to(site)} {scheme}"
            problems += [f"{where} {kind}: {what}" for kind, what in reader.page.evaluate(JUDGE).items()]
            if width == WIDTHS[0]:
                reader.page.evaluate(ALIKE)
                problems += [f"{where} {found}" for found in reader.page.evaluate(ACCESSIBLE, True)]
            (ground,) = reader.page.evaluate(LIGHTNESS, "body")
            if (ground < 0.5) != (scheme == "dark"):
                problems.append(f"{where} has a background of lightness {ground:.2f}")
        plates += reader.page.evaluate(LIGHTNESS, ".bd-article .cell_output img")  # in the dark
        problems += [f"{page.relative_to(site)} {wrong}" for wrong in reader.wrong]
        reader.context.close()
    assert not problems, "\n".join(problems)
    assert plates and min(plates) > 0.9  # figures keep a white plate


@pytest.mark.browser
def test_the_judge_sees_what_is_wrong(tmp_path, browser):
    page = tmp_path / "bad.html"
    page.write_text(
        "<main><p>raw $x^2$ here</p><span class='math'>\\(y\\)</span><img src='absent.png'>"
        "<div style='width: 3000px'>wide</div><script src='https://example.org/x.js'></script>"
        "<div style='width: 200px; float: left'><span class='eqno' style='float: right'>(1)</span>"
        "<mjx-container display='true' style='display: block; overflow: hidden'><p style='width: 300px'>x</p>"
        "</mjx-container></div></main>",
        encoding="utf-8",
    )
    reader = Reader(browser, 400)
    reader.open(page)
    assert set(reader.page.evaluate(JUDGE)) == {
        "raw markup",
        "formula not set",
        "formula cut",
        "number at the cut",
        "page scrolls",
        "wider than the screen",
        "image without alternative text",
        "missing image",
    }
    assert any("asks another host" in line for line in reader.wrong)


@pytest.mark.browser
def test_what_looks_alike_is_judged_once_and_what_is_pale_wherever_it_stands(tmp_path, browser):
    """Pale is a colour by itself, or on another ground, also one far above; what nobody sees stands for nothing."""
    page, word = tmp_path / "code.html", "<pre><span>if</span></pre>"
    page.write_text(
        "<!doctype html><html lang='en'><title>Code</title><style>span {color: #333} .out {background: #222}</style>"
        f"<main><h1>Code</h1><details><summary>closed</summary><div class='out'>{word}</div></details>{word * 3}"
        f"<div class='out'><div>{word * 2}</div></div><pre><span style='color: #ddd'>else</span></pre>"
        "<img src='data:,'></main></html>",
        encoding="utf-8",
    )
    reader = Reader(browser, 1400)
    reader.open(page)
    reader.page.evaluate(AXE)
    reader.page.evaluate(LEAN)
    assert reader.page.locator("pre").count() == 7 and reader.page.locator("pre span").count() == 6
    before = reader.page.evaluate(ACCESSIBLE, True)
    reader.page.evaluate(ALIKE)
    after = reader.page.evaluate(ACCESSIBLE, True)
    assert [line.count(";") for line in (*before, *after)] == [2, 1]  # three places, then two
    assert all(line.startswith("color-contrast: ") for line in (*before, *after))
    assert reader.page.locator("[data-alike]").count() == 3
    assert [line.partition(":")[0] for line in reader.page.evaluate(ACCESSIBLE, False)] == ["image-alt"]
    reader.context.close()


@pytest.mark.browser
def test_search_finds_a_page(site, browser):
    reader = Reader(browser, 1400)
    reader.open(site / "search.html", "?q=signature")
    reader.page.wait_for_selector("#search-results li a")
    targets = reader.page.eval_on_selector_all("#search-results li a", "links => links.map(a => a.href)")
    assert any("/notebooks/" in target or "/book/" in target for target in targets)
    assert reader.wrong == []
    reader.context.close()


def test_a_page_that_becomes_stale_fails_the_strict_build_and_says_so(built, tmp_path):
    """A sentence is added to a book that was built before; another build reads what has changed."""
    copy = staleness.Book(built / "copy")
    name = copy.names()[0]
    shutil.copytree(built / "_build", tmp_path / "out" / "_build")
    before = copy.text(name).read_bytes()
    copy.text(name).write_bytes(before + b"\nOne more sentence.\n")
    try:
        made = build(copy.root, tmp_path / "out")
    finally:
        copy.text(name).write_bytes(before)
    assert made.returncode != 0
    assert "This page is stale: the text changed." in made.stderr
    html_folder = tmp_path / "out" / "_build" / "html"
    marked = [page for page in html_folder.rglob("*.html") if "This page is stale: the text" in page.read_text("utf-8")]
    assert marked == [html_folder / "notebooks" / f"{name}.html"]


def test_a_rerun_is_a_page_that_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROBSIG_RUNS", str(tmp_path))
    name = "theory/signatures"
    assert rerun.main([name, "seed=4321"]) == 0
    page = Path(capsys.readouterr().out.splitlines()[-1].removeprefix("Open "))
    assert page == tmp_path / "rerun-theory-signatures-seed-4321" / "html" / "notebooks" / "theory" / "signatures.html"
    text = page.read_text(encoding="utf-8")
    assert "This page is a rerun with seed = 4321" in text and "This page is stale" not in text


def reference():
    """The text of the reference's pages."""
    folder = BOOK.root / "book"
    return "\n".join(page.read_text(encoding="utf-8") for page in [folder / "api.md", *folder.glob("api/*.md")])


def test_every_module_is_in_the_reference():
    listed = re.findall(r"\{api-module\} (\S+)", reference())
    package = BOOK.root / "probsig"
    modules = {".".join(("probsig", *p.relative_to(package).with_suffix("").parts)) for p in package.rglob("*.py")}
    assert sorted(listed) == sorted(
        {name.removesuffix(".__init__") for name in modules} - {"probsig", "probsig.text.sources"}
    )


def test_every_name_of_the_front_is_in_the_reference():
    listed = " ".join(re.findall(r"\{api-names\} (.+)", reference())).split()
    assert sorted(listed) == sorted(probsig.__all__)


@pytest.mark.browser
def test_a_link_to_a_name_of_the_reference_opens_its_line(site, browser):
    reader, name = Reader(browser, WIDTHS[0]), "probsig.laws.distribution.Distribution.sample"
    reader.open(site / "book" / "api" / "laws.html", f"#{name}")
    reader.page.wait_for_function("document.querySelectorAll('main details[open]').length === 1")
    assert reader.page.is_visible(f"[id='{name}']")
    assert reader.wrong == []


@pytest.mark.browser
def test_a_link_previews_what_it_leads_to(site, browser):
    reader = Reader(browser, WIDTHS[0])
    reader.open(site / "notebooks" / "theory" / "feedforward.html")
    reader.page.focus(".bd-article .admonition a.internal[href*='#prop-embedding-flow']")
    reader.page.wait_for_selector(".tippy-box")
    assert "For every differentiable" in reader.page.inner_text(".tippy-box")
    assert reader.wrong == []


def test_the_first_use_of_a_word_leads_to_the_glossary(site):
    text = (site / "notebooks" / "theory" / "idea.html").read_text(encoding="utf-8")
    assert len(re.findall(r'href="[./]*book/glossary.html#term-label-signature"', text)) == 1


def test_names_in_code_lead_to_the_reference(site):
    text = (site / "notebooks" / "theory" / "signatures.html").read_text(encoding="utf-8")
    links = re.findall(r'<a class="sphinx-codeautolink-a" href="([^"#]*)#([^"]*)"[^>]*>(.*?)</a>', text, re.DOTALL)
    found = {re.sub(r"<[^>]+>", "", name): (place, anchor) for place, anchor, name in links}
    assert found["signatures.label"] == ("../../book/api/signatures.html", "probsig.signatures.laws.label")
    assert found["Distribution"] == ("../../book/api/laws.html", "probsig.laws.distribution.Distribution")


def test_under_each_figure_are_its_numbers_and_the_command_that_makes_it_again(site):
    page = site / "notebooks" / "theory" / "idea.html"
    text = page.read_text(encoding="utf-8")
    (target,) = re.findall(r'href="([^"]*/fig-idea\.csv)"[^>]*>Data', text)
    with (page.parent / unquote(target)).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"11", "15", "20"} <= {row["series"] for row in rows} and all(row["y"] for row in rows)
    assert "make execute-one NB=theory/idea" in html.unescape(re.sub(r"<[^>]+>", "", text))


@pytest.mark.browser
def test_a_figure_opens_large_by_keyboard(site, browser):
    reader = Reader(browser, WIDTHS[1])
    reader.open(site / "notebooks" / "theory" / "idea.html")
    reader.page.focus("figure img")
    reader.page.keyboard.press("Enter")
    reader.page.wait_for_selector(".medium-zoom-image--opened")
    reader.page.wait_for_timeout(600)  # it takes 0.3 s to open, and closes only then
    reader.page.keyboard.press("Escape")
    reader.page.wait_for_selector(".medium-zoom--opened", state="detached")
    assert reader.wrong == []


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_two_tokens_say_their_cosines(site, browser, width):
    reader = Reader(browser, width)
    reader.open(site / "book" / "play.html")
    task, model, first, second = reader.page.query_selector_all("[data-piece=two-tokens] select")
    task.select_option("mod")
    model.select_option("ffn")
    first.select_option("12")
    second.focus()
    reader.page.keyboard.press("End")  # 20
    found = play.two_tokens()["tasks"]["mod"]
    said = reader.page.inner_text("[data-piece=two-tokens] output")
    assert said.startswith("12 and 20: the cosine of their label signatures is 1.00")
    numbers = [float(number) for number in re.findall(r"-?\d\.\d\d", said)]
    cosines = [found["cosine"][kind][1][9] for kind in ("label", "companion", "joint")]
    assert np.allclose(numbers, [*cosines, found["models"]["ffn"]["cosine"][1][9]], atol=0.0051)
    assert reader.page.locator("[data-piece=two-tokens] circle").count() == 10
    assert reader.wrong == []


@pytest.mark.browser
def test_trajectories_follow_their_sliders(site, browser):
    reader = Reader(browser, WIDTHS[1])
    reader.open(site / "book" / "play.html")
    time, scale, size = reader.page.query_selector_all("[data-piece=trajectories] input")
    time.focus()
    for _ in range(3):
        reader.page.keyboard.press("ArrowRight")
    size.focus()
    for _ in range(8):
        reader.page.keyboard.press("ArrowRight")
    expected = gram(LinearPopulation.of(tasks.addition(vocab_size=1000)).centred_joint(), 43.0)[11:21, 11:21]
    norm = np.sqrt(np.diag(expected))
    cosines = expected / np.outer(norm, norm)
    said = reader.page.inner_text("[data-piece=trajectories] output")
    assert said.startswith("At time 43")
    near, far = map(float, re.search(r"a cosine of (\S+) and those of 11 and 20 one of (\S+)\. ", said).groups())
    assert abs(near - cosines[0, 1]) < 0.0051 and abs(far - cosines[0, 9]) < 0.0051
    holds = [float(re.search(r"time (\d+)\.", said)[1])]
    scale.focus()
    reader.page.keyboard.press("Home")
    said = reader.page.inner_text("[data-piece=trajectories] output")
    holds.append(float(re.search(r"time (\d+)\.", said)[1]))
    assert holds[1] > holds[0]  # a smaller start, a longer time
    assert reader.wrong == []


@pytest.mark.browser
def test_verdicts_are_filtered(site, browser):
    reader = Reader(browser, WIDTHS[1])
    reader.open(site / "book" / "reproduction.html")
    reader.page.select_option(".claims-filter select >> nth=1", label="fails")
    shown = reader.page.locator("tr.claim:visible")
    said = reader.page.inner_text(".claims-filter output")
    assert said.split()[0] == str(shown.count()) != "0"
    assert all("fails" in row for row in shown.all_inner_texts())
    assert reader.wrong == []
