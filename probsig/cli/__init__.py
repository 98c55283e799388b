"""The command `probsig`: a text and a model of yours, answered in the terminal, as JSON, or as a page."""
