"""Text and tables about a solution."""
