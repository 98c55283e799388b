r"""Errata: what the paper prints, what holds, and how much the difference is, as values that a notebook's cell shows.

Three tiers say what an erratum is worth: it changes a conclusion of the paper, a formula, or it is a slip of the pen.
`printed` is what the paper prints, with its qualifiers; what is a matter of choice or of taste is no erratum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from probsig import errors
from probsig.pages import boxes

MIME = "application/vnd.probsig.erratum+json"
TIERS = {
    "conclusion": "changes a conclusion",
    "formula": "changes a formula",
    "slip": "slip of the pen",
}


@dataclass(frozen=True)
class Erratum:
    """A formula or statement as printed, the corrected one, and how much the difference is; made by `erratum`."""

    key: str
    tier: str
    where: str
    printed: str
    corrected: str
    why: str
    size: str
    proof: str
    changes: str

    def record(self) -> dict[str, Any]:
        """What the notebook stores: the fields as they are."""
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"{self.key}: erratum to {self.where}, {TIERS[self.tier]}; {self.size}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = [
            f"**Erratum, {TIERS[self.tier]}** ({self.where}): {boxes.sentence(self.why)}",
            *([f"*What changes* {boxes.sentence(self.changes)}"] if self.changes else []),
            "*Printed*",
            f"$${self.printed}$$",
            f"*Corrected* ({{prf:ref}}`{self.proof}`)",
            f"$${self.corrected}$$",
            f"*Size* {self.size}",
        ]
        return boxes.bundle(self, MIME, self.record(), rows, between="\n>\n")


def erratum(
    key: str,
    tier: str,
    *,
    where: str,
    printed: str,
    corrected: str,
    why: str,
    size: str,
    proof: str,
    changes: str = "",
) -> Erratum:
    r"""An erratum, to be the last expression of its cell.

    `tier` is one of `TIERS`; `changes` says which conclusion of the paper changes and is needed in that tier alone.
    `where` begins with the version of the paper; `printed` and `corrected` are TeX without dollars; `why`, `changes`
    and `size` are one line each (`size` from measured numbers); `proof` is the label of the block that proves it.
    Raises ValueError for a key that is not lower-case words joined by hyphens, an unknown tier, a place without a
    version, an empty field, `changes` where it does not belong, or a dollar in the TeX.

    >>> erratum("mean", "formula", where="v2 D.5", printed=r"W^E\mathbf 1", corrected="W^En", why="n is dropped.",
    ...         size="factor 5", proof="cor-unembedding-linear")
    mean: erratum to v2 D.5, changes a formula; factor 5
    """
    boxes.check_key(key)
    errors.one_of(f"tier of erratum {key!r}", tier, TIERS)
    boxes.check_words(key, where=where, printed=printed, corrected=corrected, why=why, size=size, proof=proof)
    boxes.check_place(key, where)
    if bool(changes.strip()) != (tier == "conclusion"):
        raise ValueError(f"erratum {key!r} is of tier {tier!r}: give `changes` if, and only if, a conclusion changes")
    for name, formula in (("printed", printed), ("corrected", corrected)):
        if "$" in formula:
            raise ValueError(f"erratum {key!r} has a dollar sign in `{name}`: pass the bare TeX")
    return Erratum(key, tier, where, printed, corrected, why, size, proof, changes)
