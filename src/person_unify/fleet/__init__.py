"""A fleet: one migration for each line of a list, carried out as tasks of Dask distributed."""
