"""One run in one directory: before, while and after rows move, and the way back."""
