"""What a text says of an embedding, in one call: a sentence, a table, a picture."""
