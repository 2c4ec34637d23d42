"""``python -m person_unify``: the same as the ``person-unify`` command."""

from person_unify.cli import main

if __name__ == "__main__":
    main()
