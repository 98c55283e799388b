"""`probsig align TEXT MODEL`, `probsig signatures TEXT`, `probsig report TEXT [MODEL] -o FILE.html`.

Answers go to standard output, everything else to standard error. Whatever can't be done ends in one sentence and exit
code 1, a wrong option in exit code 2, Ctrl-C in 130.
"""

from __future__ import annotations

import functools
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from probsig.answers.shown import Answer

INTERRUPTED = 130  # as a shell says it
SPELT = {
    "problem='skip'": "--skip-damaged",
    "column= with": "--column with",
    "tensor= with": "--tensor with",
    "pass a tokenizer of yours, or 'words'": "pass --tokenizer with one of yours, or with words",
    "`least`": "--least",
    "pass max_tokens": "pass --max-tokens",
    "choose another folder (PROBSIG_RUNS moves runs), then run again": "name another place",
}


def in_options(sentence: str) -> str:
    """A sentence of the package with the command's options in the place of a function's arguments.

    >>> in_options("pass a longer text or a lower `least`.")
    'pass a longer text or a lower --least.'
    """
    for argument, option in SPELT.items():
        sentence = sentence.replace(argument, option)
    return sentence


class Group(click.Group):
    """A group whose commands end in one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Called by click."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.showwarning = lambda message, *rest: click.echo(f"Note: {in_options(str(message))}", err=True)
                return super().invoke(ctx)
        except (ValueError, OSError, ImportError, IndexError, MemoryError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            why = " ".join(str(error).split()) or type(error).__name__
            raise click.ClickException(in_options(why)) from error
        except KeyboardInterrupt:
            click.echo("Stopped: the same command goes on with what was tokenised.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None


def options(*which: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Some options of click, in the order in which they are named."""
    return lambda command: functools.reduce(lambda one, option: option(one), reversed(which), command)


TOKENIZER = click.option("--tokenizer", metavar="NAME", help="Name, hub name, path, or words; a model brings its own.")
MAX_TOKENS = click.option("--max-tokens", type=click.IntRange(1), help="Read at most so many tokens of the text.")
COLUMN = click.option(
    "--column", default="text", show_default=True, help="The column or key of the text, in tables and lines."
)
TENSOR = click.option("--tensor", metavar="NAME", help="The matrix of MODEL, where its file has several or names none.")
SKIP = click.option("--skip-damaged", is_flag=True, help="Leave damaged documents out instead of stopping.")
SIGNATURE = click.option(
    "--signature", default="next", show_default=True, help="next, previous, tied, attention, 'next 3', 'window 2-4'."
)
KIND = click.option("--kind", default="raw", show_default=True, help="raw, centred, ppmi or support.")
MOST = click.option("--most", type=click.IntRange(1), default=2000, show_default=True, help="Compare so many tokens,")
LEAST = click.option("--least", type=click.IntRange(1), default=50, show_default=True, help="each seen so often.")
SEED = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of shuffles and halves.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of sentences.")
TOKENS = click.option("--token", "tokens", multiple=True, metavar="TEXT", help="What a token says, as ' the'; again.")
IDS = click.option("--id", "ids", multiple=True, type=click.IntRange(0), help="The same by the token's id.")
DRAWS = click.option("--draws", type=click.IntRange(1), default=200, show_default=True, help="Shuffles of each null.")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="probsig")
def main() -> None:
    """What do the statistics of a text's tokens say about a model's embedding?

    TEXT is a file (.txt, .jsonl, .csv, .tsv, each also .gz, .zst or .xz; .parquet), a folder of such files, a data set
    of the hub, or the name of a text that packages ship. MODEL is a folder of safetensors files, a .safetensors or
    .gguf file, a repository of the hub, word vectors (.txt, .vec, .bin of word2vec or GloVe), a .npy matrix with one
    row per id (with --tokenizer), or smollm2.

    \b
    Examples:
    probsig align my-texts/ my-model/
    probsig signatures my-table.csv --column body --token " the"
    probsig align my-texts/ glove.6B.300d.txt
    probsig report my-texts.jsonl.gz Qwen/Qwen2.5-0.5B -o report.html
    """


@main.command()
@click.argument("text")
@click.argument("model")
@options(SIGNATURE, KIND, MOST, LEAST, DRAWS, SEED, TOKENIZER, TENSOR, MAX_TOKENS, COLUMN, SKIP, JSON)
@click.option("--csv", type=click.Path(dir_okay=False, path_type=Path), help="Write each token's numbers here.")
def align(
    text: str,
    model: str,
    signature: str,
    kind: str,
    most: int,
    least: int,
    draws: int,
    seed: int,
    tokenizer: str | None,
    tensor: str | None,
    max_tokens: int | None,
    column: str,
    skip_damaged: bool,
    as_json: bool,
    csv: Path | None,
) -> None:
    """Does the embedding of MODEL follow TEXT? One correlation, with its nulls and its ceiling.

    \b
    Example:
      probsig align my-texts/ my-model/ --kind centred --csv tokens.csv
    """
    from probsig.answers.alignment import align as asked
    from probsig.cli import opening

    _can_hold(csv)
    W, corpus = opening.both(text, model, tokenizer, max_tokens, column, skip_damaged, tensor)
    found = asked(W, corpus, signature=signature, kind=kind, most=most, least=least, draws=draws, seed=seed)
    _tell([found], as_json)
    if csv is not None:
        _say(f"Each token's numbers are in {found.to_csv(csv)}.", err=True)


@main.command()
@click.argument("text")
@options(TOKENS, IDS, SIGNATURE)
@click.option("--number", type=click.IntRange(1), default=10, show_default=True, help="List so many.")
@options(MOST, LEAST, SEED, TOKENIZER, MAX_TOKENS, COLUMN, SKIP, JSON)
def signatures(
    text: str,
    tokens: tuple[str, ...],
    ids: tuple[int, ...],
    signature: str,
    number: int,
    most: int,
    least: int,
    seed: int,
    tokenizer: str | None,
    max_tokens: int | None,
    column: str,
    skip_damaged: bool,
    as_json: bool,
) -> None:
    """What stands beside tokens in TEXT, and which tokens have the same beside them; without a model.

    Without --token and --id it tells of the five most frequent tokens.

    \b
    Example:
      probsig signatures my-texts/ --token " Monday" --signature previous
    """
    from probsig.answers.beside import beside
    from probsig.answers.given import text as opened
    from probsig.cli import opening

    corpus = opening.corpus(text, tokenizer, max_tokens, column, skip_damaged)
    asked: list[str | int] = [*tokens, *ids]
    asked = asked or opened(corpus).frequent(5, 1).tolist()
    settings: dict[str, Any] = {"signature": signature, "number": number, "most": most, "least": least, "seed": seed}
    _tell([beside(one, corpus, **settings) for one in asked], as_json)


@main.command()
@click.argument("text")
@click.argument("model", required=False)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The page to write."
)
@options(TOKENS, SIGNATURE, KIND, MOST, LEAST, DRAWS, SEED, TOKENIZER, TENSOR, MAX_TOKENS, COLUMN, SKIP)
def report(
    text: str,
    model: str | None,
    output: Path,
    tokens: tuple[str, ...],
    signature: str,
    kind: str,
    most: int,
    least: int,
    draws: int,
    seed: int,
    tokenizer: str | None,
    tensor: str | None,
    max_tokens: int | None,
    column: str,
    skip_damaged: bool,
) -> None:
    """Write a page about TEXT, and about MODEL on it: one HTML file that needs nothing else.

    \b
    Example:
      probsig report my-texts/ my-model/ -o report.html --token " Monday"
    """
    from probsig.cli import opening
    from probsig.cli import report as pages
    from probsig.runs.files import write_whole

    _can_hold(output)
    if model is None:
        W, corpus = None, opening.corpus(text, tokenizer, max_tokens, column, skip_damaged)
    else:
        W, corpus = opening.both(text, model, tokenizer, max_tokens, column, skip_damaged, tensor)
    settings = pages.Settings(signature, kind, most, least, draws, seed)
    write_whole(output, pages.report(corpus, W, tokens, settings).encode())
    _say(f"Open {output}.")


def _can_hold(path: Path | None) -> None:
    """Raise ValueError, before the work, where the folder of a file to be written is not there."""
    from probsig.runs.files import place

    if path is not None and not place(path).parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} for {path.name}: make it, or name another.")


def _tell(answers: list[Answer], as_json: bool) -> None:
    """Print answers: sentences with a blank line between, or one JSON object, a list where there are several."""
    if as_json:
        records = [answer.record() for answer in answers]
        shown = json.dumps(records[0] if len(records) == 1 else records, ensure_ascii=False, allow_nan=False)
    else:
        shown = "\n\n".join(map(str, answers))
    _say(shown)


def _say(text: str, err: bool = False) -> None:
    """Print a text, whatever the names in it are and the terminal can show."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)
