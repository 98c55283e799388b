"""Language models, trained on text or found open, and what drives them."""
