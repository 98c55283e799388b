"""The corollaries as expansions in the init scale, printed and corrected."""
