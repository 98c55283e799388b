"""The command `probsig`: answers as sentences, JSON and a page; what can't be done in one sentence and a code.

The text is made up and read by a tokenizer of single letters, so nothing is downloaded and no package is needed.
"""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from probsig.answers.alignment import align
from probsig.cli import main as cli
from probsig.cli import opening, report
from probsig.counts.bigrams import count
from probsig.text import corpora, tokenizers
from probsig.text.tokenizers import Tokenizer

LETTERS = [bytes([i]) for i in range(256)]
BYTES = Tokenizer("bytes", "0" * 64, LETTERS, {}, 256, lambda text: list(text.encode()))
WORDS = 'sun rain snow wind 0 1 2 3 4 5 6 7 8 9 <b>&" $x$ '.split(" ")


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """An own cache, and a tokenizer "bytes" that needs no package."""
    real = tokenizers.tokenizer
    monkeypatch.setenv("PROBSIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("PROBSIG_DATA", raising=False)
    monkeypatch.setattr(tokenizers, "tokenizer", lambda name: BYTES if name == "bytes" else real(name))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def text(tmp_path):
    rng = np.random.default_rng(0)
    lines = [json.dumps({"text": " ".join(rng.choice(WORDS, 60))}) for _ in range(40)]
    (tmp_path / "mine $x.jsonl").write_text("\n".join(lines) + "\n")
    return "mine $x.jsonl"


@pytest.fixture
def model(text, tmp_path):
    """A matrix whose rows are the counts of the text, so that its cosines are those of the signatures."""
    corpus = corpora.open_corpus(tmp_path / text, BYTES)
    np.save(tmp_path / "W.npy", count(corpus).to_scipy().toarray().astype(np.float32))
    return "W.npy"


def run(*arguments, code=0):
    found = CliRunner().invoke(cli.main, [str(one) for one in arguments], prog_name="probsig")
    assert found.exit_code == code, found.output
    return found


def test_align_says_what_the_function_says(text, model, tmp_path):
    found = run("align", text, model, "--tokenizer", "bytes", "--draws", 20)
    W, corpus = opening.both(text, model, "bytes", None, "text", False)
    assert found.stdout.rstrip("\n") == str(align(W, corpus, draws=20)) and found.stderr == ""
    assert "is 1.00 (tokens drawn anew" in found.stdout


def test_align_as_json_and_as_a_table_of_tokens(text, model, tmp_path):
    found = run("align", text, model, "--tokenizer", "bytes", "--draws", 9, "--json", "--csv", "tokens.csv")
    record = json.loads(found.stdout)
    assert record["r_cos"] == pytest.approx(1) and len(record["null"]) == 9 and record["says"].startswith("R_cos")
    rows = list(csv.reader((tmp_path / "tokens.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["token", "text", "count", "correlation"] and len(rows) == 1 + len(record["tokens"])
    assert "tokens.csv" in found.stderr


def test_word_vectors_read_a_text_by_words(text, tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{word} {' '.join(map(str, rng.standard_normal(4)))}" for word in ("sun", "rain", "snow", "7", "fog")]
    (tmp_path / "v.txt").write_text("\n".join(rows))
    record = json.loads(run("align", text, "v.txt", "--draws", 5, "--json").stdout)
    assert sorted(record["labels"]) == ["7", "rain", "snow", "sun"] and record["asked"] > 10


def test_what_is_undefined_is_null(text, tmp_path):
    np.save(tmp_path / "same.npy", np.ones((256, 2)))
    record = json.loads(run("align", text, "same.npy", "--tokenizer", "bytes", "--draws", 5, "--json").stdout)
    assert record["r_cos"] is None and any("all equal" in doubt for doubt in record["doubts"])


def test_signatures_of_tokens_by_what_they_say_and_by_id(text):
    found = run("signatures", text, "--token", "u", "--id", ord("w"), "--tokenizer", "bytes", "--number", 2)
    first, second = found.stdout.split("\n\n")
    assert first.startswith("'u', seen") and "In next of mine $x.jsonl: 'n' 1.00." in first
    assert second.startswith("'w', seen")
    records = json.loads(run("signatures", text, "--tokenizer", "bytes", "--json").stdout)
    assert len(records) == 5 and records[0]["label"] == " "
    assert [one["count"] for one in records] == sorted((one["count"] for one in records), reverse=True)


def test_a_page_is_one_file_with_everything_escaped(text, model, tmp_path):
    run("report", text, model, "-o", "page.html", "--tokenizer", "bytes", "--draws", 9, "--token", "<", "--token", "$")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    assert "<script" not in page and "<b>" not in page and "&lt;" in page
    assert set(re.findall(r'(?:src|href)="([^"]{5})', page)) == {"data:"} and "http:" not in page.replace(
        "http-equiv", ""
    )
    assert page.count("<img") == 1 + 2 * 2 + 1  # the alignment, each token's two, the digits
    assert "The digits" in page and "Left out" in page and "weekdays" in page.partition("Left out")[2]
    assert "mine $x.jsonl" in page and "R_cos of W with next of mine $x.jsonl" in page


def test_a_page_without_a_model_and_of_hardly_any_text(text, tmp_path):
    run("report", text, "-o", "page.html", "--tokenizer", "bytes")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<img") == 1 and "Does W follow" not in page
    (tmp_path / "short.txt").write_text("a b a b")
    run("report", "short.txt", "-o", "short.html", "--tokenizer", "bytes")
    short = (tmp_path / "short.html").read_text(encoding="utf-8")
    assert "Left out, of which there is too little" in short and "No two tokens were seen 50 times" in short


def test_a_page_lists_as_many_neighbours_of_a_token_as_there_are(tmp_path):
    (tmp_path / "few.txt").write_text("abcabdabc" * 60)
    np.save("W.npy", np.random.default_rng(0).standard_normal((256, 4)))
    run("report", "few.txt", "W.npy", "-o", "few.html", "--tokenizer", "bytes", "--token", "a", "--draws", 2)
    assert "of the 3 nearest in W are among" in Path("few.html").read_text("utf-8")


def test_names_that_are_no_unicode_are_read_written_and_told(text):
    name = os.fsdecode(b"\xff.html")
    assert (
        "Open \\udcff.html." in run("report", text, "-o", name, "--tokenizer", "bytes").stdout and Path(name).is_file()
    )


def test_a_page_of_correlations_that_are_none_has_no_picture_of_them(tmp_path):
    np.save("same.npy", np.eye(256))
    (tmp_path / "few.txt").write_text("abcabdabc" * 30)
    run("report", "few.txt", "same.npy", "-o", "few.html", "--tokenizer", "bytes", "--least", 1, "--draws", 2)
    assert "R_cos of W with next of few.txt over 4 tokens is undefined" in Path("few.html").read_text("utf-8")


def test_two_pages_of_the_same_are_the_same_bytes(text, model):
    W, corpus = opening.both(text, model, "bytes", None, "text", False)
    pages = [report.report(corpus, W, ["u"], report.Settings(draws=5)) for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["align", "none.txt", "none/"], "There is no model 'none/'"),
        (["align", "none.txt", "none.npy", "--tokenizer", "bytes"], "There is no file"),
        (["align", "none.txt", "W.npy", "--tokenizer", "bytes"], "There is no corpus 'none.txt'"),
        (["align", "TEXT", "W.npy"], "pass --tokenizer"),
        (["align", "TEXT", "few.npy", "--tokenizer", "bytes"], "few.npy has 3 rows, and the text has an id"),
        (["align", "TEXT", "cube.npy", "--tokenizer", "bytes"], "cube.npy holds no matrix of numbers"),
        (["align", "TEXT", "text.npy", "--tokenizer", "bytes"], "text.npy holds no array"),
        (["align", "TEXT", "W.npy", "--tokenizer", "bytes", "--signature", "nxt"], "There is no signature 'nxt'"),
        (["align", "TEXT", "W.npy", "--tokenizer", "bytes", "--kind", "rae"], "did you mean 'raw'"),
        (
            ["align", "TEXT", "W.npy", "--tokenizer", "bytes", "--least", "1000000"],
            "pass a longer text or a lower --least",
        ),
        (["signatures", "TEXT", "--tokenizer", "bytes", "--token", "sun"], "'sun' is no token of mine"),
        (["signatures", "TEXT", "--tokenizer", "bytes", "--signature", "stack 1-2"], "several laws side by side"),
        (["signatures", "cut.jsonl", "--tokenizer", "bytes"], "Line 2 of"),
        (["report", "TEXT", "-o", "nowhere/page.html", "--tokenizer", "bytes"], "There is no folder nowhere"),
        (["align", "none.txt", "none/", "--csv", "nowhere/x.csv"], "There is no folder nowhere for x.csv"),
        (["report", "TEXT", "-o", "x.html", "--tokenizer", "bytes", "--signature", "nxt"], "no signature 'nxt'"),
        (["report", "TEXT", "-o", "x.html", "--tokenizer", "bytes", "--signature", "stack 1-2"], "several laws"),
        (["report", "TEXT", "-o", "x.html", "--tokenizer", "bytes", "--signature", "window 1-99999"], "beyond every"),
        (["report", "TEXT", "-o", "x.html", "--tokenizer", "bytes", "--kind", "rw"], "did you mean 'raw'"),
        (
            ["report", "TEXT", "-o", "a" * 240 + ".html", "--tokenizer", "bytes"],
            "too long: name another place;",
        ),
        (
            ["align", "TEXT", "W.npy", "--tokenizer", "bytes", "--tensor", "x"],
            "W.npy holds one matrix, and no tensor",
        ),
        (["align", "TEXT", "a" * 300, "--tokenizer", "bytes"], "is too long for the name of a file"),
        (["align", "a" * 300, "W.npy", "--tokenizer", "bytes"], "is too long for the name of a file"),
        (["align", "TEXT", "W.npy", "--tokenizer", "a" * 300], "is too long for the name of a file"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_code_1(arguments, says, text, model, tmp_path):
    np.save(tmp_path / "few.npy", np.eye(3))
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    (tmp_path / "text.npy").write_text("no numbers")
    (tmp_path / "cut.jsonl").write_text('{"text": "a b a b a b"}\n{"text": "a')
    found = run(*[text if one == "TEXT" else one for one in arguments], code=1)
    assert found.stdout == "" and found.stderr.startswith("Error: ") and says in found.stderr
    assert found.stderr.count("\n") == 1 and not list(tmp_path.glob("*.html"))


def test_damaged_documents_are_left_out_where_that_is_asked_for_and_said(tmp_path):
    (tmp_path / "cut.jsonl").write_text(json.dumps({"text": "ab" * 300}) + '\n{"text": "a')
    asked = ["signatures", "cut.jsonl", "--tokenizer", "bytes", "--token", "a", "--skip-damaged"]
    found = run(*asked)
    assert "or pass --skip-damaged to leave it out" in run(*asked[:-1], code=1).stderr
    assert "Note: Documents of cut.jsonl that are left out: 1 damaged" in found.stderr and "'b' 1.00" in found.stdout


def test_a_column_of_a_table(tmp_path):
    (tmp_path / "mine.csv").write_text("id,body\n1," + "ab" * 300 + "\n")
    asked = ["signatures", "mine.csv", "--tokenizer", "bytes", "--token", "a"]
    assert "'b' 1.00" in run(*asked, "--column", "body").stdout
    assert "has no column 'text' but id, body: pass --column with one of them." in run(*asked, code=1).stderr


def test_a_matrix_of_a_model_by_its_name(text, tmp_path):
    names = ("a.embed_tokens.weight", "b.embed_tokens.weight")
    save_file({name: np.eye(256, dtype=np.float32) for name in names}, tmp_path / "two.safetensors")
    asked = ["align", text, "two.safetensors", "--tokenizer", "bytes", "--draws", 5]
    assert "pass --tensor with one of them." in run(*asked, code=1).stderr
    found = run(*asked, "--tensor", names[1])
    assert found.stdout.startswith("R_cos of W with next of mine $x.jsonl")
    assert "Note: two.safetensors brings no tokenizer: its rows are taken to be those of bytes's ids." in found.stderr


@pytest.mark.parametrize("arguments", [["algn"], ["align"], ["align", "a", "b", "--most", "0"], ["report", "a"]])
def test_a_wrong_option_has_code_2_and_the_usage(arguments):
    assert "Usage:" in run(*arguments, code=2).stderr


def test_a_stop_says_that_work_is_kept(monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(opening, "corpus", stopped)
    assert run("signatures", "x.txt", code=cli.INTERRUPTED).stderr.startswith("Stopped: the same command goes on")


@pytest.mark.parametrize("command", [[], ["align"], ["signatures"], ["report"]])
def test_help_has_an_example_of_its_own(command):
    assert f"probsig {command[0] if command else 'align'} my-t" in run(*command, "--help").stdout


def test_help_loads_nothing_heavy():
    code = "import sys, probsig.cli.main; print(*sorted({n.split('.')[0] for n in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "numba", "torch", "transformers", "matplotlib"} & set(loaded)
