"""Work that is done by several processes: local ones, or those of a Dask cluster."""
