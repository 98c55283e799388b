"""What a chapter shows: parameters, words, figures, claims."""
