"""The stages of a run, in order: snapshot, extract, resolve, transform, load, verify, publish."""
