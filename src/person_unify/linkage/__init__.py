"""Suspected duplicates beyond equal names: pairs that may be one human, with score and reasons.

An optional extra (``pip install '.[linkage]'``).  Nothing is ever merged by it: it names
pairs for a person to judge.  Equal names with the same day of birth are not repeated here, the run
logs them itself as ``suspected_duplicate`` (contract section 8).
"""

from person_unify.linkage.people import PEOPLE, read_people
from person_unify.linkage.suspects import PAIRS, Suspects, find_suspects

__all__ = ["PAIRS", "PEOPLE", "Suspects", "find_suspects", "read_people"]
