"""How many examples a property is tried on, and how: few and the same in ``make test``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings


def examples(usual: int) -> int:
    """``PERSON_UNIFY_EXAMPLES``, for hours at will, or the usual number."""
    return int(os.environ.get("PERSON_UNIFY_EXAMPLES", usual))


def drawn(usual: int, most: int | None = None, *, shrink: bool = False) -> settings:
    """Settings of a test that migrates what is drawn: the usual examples are always the same.

    most: the number to try, where it is not that of :func:`examples`.  shrink: look for a smaller
    failure, which takes minutes where one example takes seconds.
    """
    return settings(
        max_examples=most or examples(usual),
        deadline=None,
        database=None,
        derandomize=examples(usual) == usual,
        phases=list(Phase) if shrink else [Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
