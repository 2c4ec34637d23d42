"""What the evidence commands print: lineage, trace and diff, as text and as data."""
