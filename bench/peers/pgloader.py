"""The same rows by pgloader 3.6, in parts that its memory takes; it compares nothing.

python -m bench.peers.pgloader NEW_DB SOCKET_DIRECTORY DATABASE

By itself it cannot read the type INT4 and loses Prisma's milliseconds: hence a copy of the file and
a function of our own (pgloader.lisp).  With one worker it waits for itself for ever.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

_LOAD = """\
LOAD DATABASE FROM sqlite://{file} INTO postgresql://postgres@unix:{directory}:5432/{database}
WITH data only, disable triggers, workers = 4, concurrency = 1,
     prefetch rows = 10000, batch rows = 1000
SET session_replication_role TO 'replica'
CAST type datetime to timestamp using milliseconds-to-timestamp;
"""
_HOUR = 3_600


def main() -> None:
    """Load every table; raises where pgloader tells of an error, for its exit code does not."""
    path, directory, database = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        file, commands = Path(folder) / "new.db", Path(folder) / "commands"
        function = Path(shutil.copy(Path(__file__).with_suffix(".lisp"), folder))
        shutil.copy(path, file)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET sql = replace(sql, ' INT4', ' INTEGER')")
            connection.commit()
        commands.write_text(_LOAD.format(file=file, directory=directory, database=database))
        words = ["pgloader", "--root-dir", folder, "--load-lisp-file", str(function), str(commands)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=_HOUR)
    if " ERROR " in done.stdout or " FATAL " in done.stdout + done.stderr:
        raise SystemExit(done.stdout + done.stderr)


if __name__ == "__main__":
    main()
