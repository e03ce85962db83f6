"""The commands ``mmtjax export``: results in the formats of other programs."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from mmtjax.cli.page import refuse_existing
from mmtjax.cli.screen import after_results, screen
from mmtjax.io.vtu import write_vtu
from mmtjax.report.plain_text import plain

export = App(name="export", help="Write results in the formats of other programs.")


@export.command
def vtk(directory: Path, *, out: Path, overwrite: Annotated[bool, Parameter(show_default=False)] = False) -> None:
    """Write the grains with their results as a file of VTK, for ParaView.

        mmtjax export vtk results --out sample.vtu

    Grains are made of hexahedra, in µm, z up. Each has the id, the magnetization (A/m), the radius of its confidence
    sphere, the uncertainty ratio, the signal strength ratio, and whether it is trusted, of its grain.

    Parameters
    ----------
    directory
        Results of `mmtjax invert`.
    out
        File to write, `.vtu`.
    overwrite
        Replace an existing file.
    """
    refuse_existing(out, overwrite=overwrite)
    cells = write_vtu(out, directory)
    with after_results(str(out)):
        screen().print(plain(f"{cells} hexahedra are in {out}."), soft_wrap=True)
