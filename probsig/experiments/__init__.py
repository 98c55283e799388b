"""What the book has run, a file for each kind of run; no other folder imports it."""

from __future__ import annotations

KINDS: dict[str, tuple[str, ...]] = {
    "addition": ("probsig.experiments.addition:piece",),
    "longer": ("probsig.experiments.addition:accuracies",),
    "sweep": ("probsig.experiments.sweeps:piece",),
    "variant": ("probsig.experiments.sweeps:piece",),
    "causes": ("probsig.experiments.causes:follow",),
    "rivals": ("probsig.experiments.rivals:piece",),
    "language-model": ("probsig.experiments.makers:language_model",),
    "language-velocity": ("probsig.experiments.makers:velocity",),
    "language-shuffles": ("probsig.experiments.velocity_shuffles:made",),
    "language-heads": ("probsig.experiments.makers:heads",),
    "language-edit": ("probsig.experiments.makers:edit", "probsig.experiments.makers:edited_model"),
    "language-dealt": ("probsig.experiments.makers:dealt_texts", "probsig.experiments.makers:dealt_model"),
    "language-added": ("probsig.experiments.new_token_makers:added",),
    "language-start": ("probsig.experiments.start_makers:network", "probsig.experiments.start_makers:cost"),
    "language-rows": ("probsig.experiments.new_token_makers:shipped",),
    "language-left-out": ("probsig.experiments.left_out_makers:model", "probsig.experiments.left_out_makers:text"),
    "across-texts": (
        "probsig.experiments.across_texts:shared_tokens",
        "probsig.experiments.across_texts:shared_signatures",
    ),
    "language-yardsticks": ("probsig.experiments.language_readers:yardsticks_of",),
    "language-equal-pairs": ("probsig.experiments.equal_pairs:made",),
    "language-survey": ("probsig.experiments.surveys:surveyed", "probsig.experiments.surveys:estimated"),
    "language-shared": ("probsig.experiments.surveys:compared",),
    "language-pretrained": ("probsig.experiments.pretrained:surveyed",),
    "language-windows": ("probsig.experiments.windows:of_text",),
    "language-follows": ("probsig.experiments.windows:of_pretrained",),
    "language-shape": ("probsig.experiments.shape:made",),
    "language-unembedding": ("probsig.experiments.unembedding:held",),
    "language-cost": ("probsig.experiments.costs:measured",),
}
"""What makes each kind of run, as "module:function"."""
