"""Time what proving adds to a migration: the archive, the verification, and ``--prove``.

    python -m bench.proving 100000 300000      these sizes, in persons (the default)

Each size is migrated twice, without and with ``--prove``, each run in a process of its own.  Prints
what it measures and writes it to ``bench/results/proving-<date>-<machine>.json``.
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
    """Wall-clock seconds of one size: the load without archive, and what each proof adds.

    plain, proved: the whole run without and with ``--prove``.  archive_to_load: seconds of archive
    writing per second of loading.  shares: seconds of each proof per second of the run without any.
    """

    persons: int
    source_rows: int
    plain_seconds: float
    proved_seconds: float
    load: float
    archive: float
    verify: float
    prove: float
    archive_to_load: float
    shares: dict[str, float]
    peak_rss_bytes: int


def main() -> int:
    """Measure every size that was asked for, and keep the figures."""
    parser = argparse.ArgumentParser(description="Time what proving adds to a migration.")
    parser.add_argument("persons", nargs="*", type=int, help="sizes (default: 100k, 300k)")
    sizes = parser.parse_args().persons or SIZES
    runs = []
    for persons in sizes:
        runs.append(proved(measure(persons), measure(persons, "--prove")))
        show(runs[-1])
    path = keep(runs, "proving-")
    print(f"kept in {path.relative_to(ROOT)}")
    return 0


def proved(plain: Measured, full: Measured) -> Proved:
    """What two runs over the same database say together; phases count as the second took them."""
    phases = full.phases
    moving = full.seconds - sum(phases[proof] for proof in PROOFS)
    return Proved(
        persons=full.persons,
        source_rows=full.source_rows,
        plain_seconds=plain.seconds,
        proved_seconds=full.seconds,
        load=phases["load"],
        archive=phases["archive"],
        verify=phases["verify"],
        prove=phases["prove"],
        archive_to_load=round(phases["archive"] / phases["load"], 3),
        shares={proof: round(phases[proof] / moving, 3) for proof in PROOFS},
        peak_rss_bytes=full.peak_rss_bytes,
    )


def show(run: Proved) -> None:
    """One size as a few lines."""
    print(
        f"{run.persons:>9,} persons  {run.source_rows:>11,} rows  "
        f"{run.plain_seconds:>8.1f} s, with --prove {run.proved_seconds:.1f} s"
    )
    part = f"{run.archive_to_load:.0%} of it"
    print(f"           load {run.load:.1f} s, archive {run.archive:.1f} s = {part}")
    added = ", ".join(f"{proof} {share:.0%}" for proof, share in run.shares.items())
    print(f"           on top of moving the rows: {added}")


if __name__ == "__main__":
    sys.exit(main())
