"""Text that cannot steer what shows it: terminal, page, Markdown and Mermaid.

Names, ids and messages come from databases, files and people.  What cannot be seen in them is
spelled out: control characters, those that turn the direction of writing, and those without width.
"""

from __future__ import annotations

import re

# Invisible, and yet str.isprintable() takes them for printable: joiners, fillers, selectors, blanks
# of Braille.  https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)
# Between letters of Arabic, Indic and neighbouring scripts a joiner is part of the spelling.
# https://www.unicode.org/reports/tr31/#Layout_and_Format_Control_Characters
_SPELLED = re.compile("(?<=[\u0600-\u0dff])[\u200c\u200d]")


def printable(text: str) -> str:
    r"""A text that stays on its line and cannot steer a terminal, whatever a file is called.

    >>> printable("old\x1b[2J\n.db"), printable("evil\u202e\u200b")
    ('old\\x1b[2J\\n.db', 'evil\\u202e\\u200b')
    """
    if text.isascii() and text.isprintable():
        return text
    kept = {found.start() for found in _SPELLED.finditer(text)}
    return "".join(
        character
        if position in kept or (character.isprintable() and not _INVISIBLE.match(character))
        else character.encode("unicode_escape").decode("ascii")
        for position, character in enumerate(text)
    )


def on_page(value: object) -> object:
    """What a template is about to print; escaping as HTML comes after it.

    Markup is ours, and everything that is no text cannot hold a character that is not to be seen.
    """
    return printable(value) if type(value) is str else value


def in_markdown(text: str) -> str:
    r"""A text in a paragraph or the cell of a table, taken literally.

    >>> in_markdown("patient_to_person, <b> | [x](y) *")
    'patient_to_person, \\<b\\> \\| \\[x\\](y) \\*'
    """
    return re.sub(r"[\\`*<>\[\]|&~]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", printable(text))


def as_code(text: str) -> str:
    r"""A name as code in Markdown, also in a heading or the cell of a table.

    >>> as_code("users"), as_code("a`b|c\n")
    ('`users`', '``a`b\\|c\\n``')
    """
    shown = printable(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    edge = " " if shown.startswith("`") or shown.endswith("`") or not shown.strip() else ""
    return f"{fence}{edge}{shown.replace('|', chr(92) + '|')}{edge}{fence}"


def in_mermaid(text: str) -> str:
    """A name inside a quoted label: quotes and the like as Mermaid's entities.

    >>> in_mermaid('say "x"')
    'say #34;x#34;'
    """
    return "".join(c if c.isalnum() or c in "_- .$" else f"#{ord(c)};" for c in printable(text))
