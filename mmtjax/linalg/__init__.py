"""Linear algebra on the rows of a least-squares problem; the only package that chooses between NumPy and JAX."""
