"""Text to documents to token ids to training sets, each made once and kept."""
