"""The command ``mmtjax page``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mmtjax.cli.screen import after_results, screen
from mmtjax.errors import ExistingFileError
from mmtjax.page import write_page
from mmtjax.report.plain_text import plain


def page(directory: Path, *, out: Path, overwrite: Annotated[bool, Parameter(show_default=False)] = False) -> None:
    """Write results as one HTML file with linked views: maps, plots, directions, grains in space, a table.

    Open the file in a browser; it needs no network, and can be sent as it is. Thresholds of signal strength ratio and
    uncertainty ratio select grains, whose ids it saves for `mmtjax invert --select`.

        mmtjax page results --out sample.html

    Parameters
    ----------
    directory
        Results of `mmtjax invert`.
    out
        HTML file to write.
    overwrite
        Replace an existing file.
    """
    refuse_existing(out, overwrite=overwrite)
    write_page(out, directory)
    with after_results(str(out)):
        screen().print(plain(f"The page is {out}; open it in a browser."), soft_wrap=True)


def refuse_existing(file: Path, *, overwrite: bool) -> None:
    """Raise FileExistsError if a file to write exists, unless it may be replaced, and always for a directory.

    Parameters
    ----------
    file
        The file to write.
    overwrite
        Whether an existing file may be replaced.
    """
    if file.is_dir():
        msg = f"{file} is a directory; give the name of a file"
        raise ExistingFileError(msg)
    if file.exists() and not overwrite:
        msg = f"{file} exists already; pass --overwrite to replace it, or another name"
        raise ExistingFileError(msg)
