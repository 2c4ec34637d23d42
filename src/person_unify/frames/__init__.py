"""Frames of source rows, what their cells are, and the frames of the ledger."""
