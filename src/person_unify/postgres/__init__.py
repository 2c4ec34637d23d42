"""PostgreSQL at both ends of the verified SQLite form: deliver, verify, roll back, read."""
