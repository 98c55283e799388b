"""What gradient flow makes of it: exact, expanded, integrated."""
