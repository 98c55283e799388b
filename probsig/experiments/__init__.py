"""What the book has run, a file for each kind of run; only chapters import it."""
