"""Time what proving adds to a migration: the archive, the verification, and ``--prove``.

    python -m bench.proving 100000 300000      these sizes, in persons (the default)

Each size is migrated once with ``--prove``, in a process of its own, so that all figures of a size
were taken under the same load.  Prints what it measures and writes it to
``bench/results/proving-<date>-<machine>.json``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from bench.migrate import ROOT, Measured, keep, measure

SIZES = (100_000, 300_000)
PROOFS = ("archive", "verify", "prove")


@dataclass(frozen=True, slots=True)
class Proved:
    """Wall-clock seconds of one size, and what each proof adds.

    seconds: the whole process.  bare: without archive, verification and proof.  load: rows and
    indexes of the target, and the ledger but for the archive.  archive_to_load: seconds of archive
    writing per second of loading.  added: seconds of each proof per second of the bare run.
    """

    persons: int
    source_rows: int
    seconds: float
    bare: float
    load: float
    archive: float
    verify: float
    prove: float
    archive_to_load: float
    added: dict[str, float]
    peak_rss_bytes: int


def main() -> int:
    """Measure every size that was asked for, and keep the figures."""
    parser = argparse.ArgumentParser(description="Time what proving adds to a migration.")
    parser.add_argument("persons", nargs="*", type=int, help="sizes (default: 100k, 300k)")
    sizes = parser.parse_args().persons or SIZES
    runs = []
    for persons in sizes:
        runs.append(proved(measure(persons, "--prove")))
        show(runs[-1])
    path = keep(runs, "proving-")
    print(f"kept in {path.relative_to(ROOT)}")
    return 0


def proved(run: Measured) -> Proved:
    """What a run with ``--prove`` says."""
    phases = run.phases
    bare = run.seconds - sum(phases[proof] for proof in PROOFS)
    return Proved(
        persons=run.persons,
        source_rows=run.source_rows,
        seconds=run.seconds,
        bare=round(bare, 3),
        load=phases["load"],
        archive=phases["archive"],
        verify=phases["verify"],
        prove=phases["prove"],
        archive_to_load=round(phases["archive"] / phases["load"], 3),
        added={proof: round(phases[proof] / bare, 3) for proof in PROOFS},
        peak_rss_bytes=run.peak_rss_bytes,
    )


def show(run: Proved) -> None:
    """One size as a few lines."""
    print(
        f"{run.persons:>9,} persons  {run.source_rows:>11,} rows  {run.seconds:>8.1f} s, of which "
        f"archive {run.archive:.1f} s, verify {run.verify:.1f} s, prove {run.prove:.1f} s"
    )
    added = ", ".join(f"{proof} +{share:.0%}" for proof, share in run.added.items())
    print(f"           on top of {run.bare:.1f} s without any of them: {added}")
    print(
        f"           load {run.load:.1f} s; the archive costs {run.archive_to_load:.0%} of it",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
