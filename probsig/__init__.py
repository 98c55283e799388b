"""probsig."""
