"""What a finished run can be asked: lineage, traces, differences, the old database again."""
