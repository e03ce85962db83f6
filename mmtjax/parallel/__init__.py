"""Computations by several processes, which are local or belong to a Dask cluster."""
