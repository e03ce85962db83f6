"""Text of users, such as names of files, as the text that a terminal shows."""

from rich.text import Text


def plain(text: str, *, style: str = "") -> Text:
    r"""Return text for tables and terminals in which nothing is markup; control characters become visible escapes.

    Parameters
    ----------
    text
        The text.
    style
        Style of rich for the whole text.

    Examples
    --------
    >>> plain("map[nrm].txt [/] :cat:").plain
    'map[nrm].txt [/] :cat:'
    >>> plain("a name with a\x1b[31m colour").plain
    'a name with a\\x1b[31m colour'
    """
    visible = (char if char in "\n\t" or char.isprintable() or char > "\x9f" else repr(char)[1:-1] for char in text)
    return Text("".join(visible), style=style)
