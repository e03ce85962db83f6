"""Linear algebra on rows that hold few unknowns each; the only place that chooses between NumPy and JAX."""
