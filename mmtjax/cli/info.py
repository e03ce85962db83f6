"""The command ``mmtjax info``."""

from pathlib import Path

from mmtjax.cli.screen import screen
from mmtjax.io.description import describe
from mmtjax.report.summary import listing


def info(file: Path) -> None:
    """Describe a file or a directory of results: its kind, contents, units, common mistakes, and how to read it.

        mmtjax info cuboids.txt

    Parameters
    ----------
    file
        The file.
    """
    screen().print(listing(describe(file)))
