"""The command ``mmtjax info``."""

from pathlib import Path

from rich.console import Console

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
    Console().print(listing(describe(file)))
