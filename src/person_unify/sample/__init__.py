"""Synthetic old databases of any size, clean or with the faults of real ones.

:func:`write_sample` is the only entry point; the same seed and options give the same content.
"""

from person_unify.sample.options import SampleOptions
from person_unify.sample.writer import write_sample

__all__ = ["SampleOptions", "write_sample"]
