"""Write all figures of a solution as files."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mmtjax.inversion.solution import Solution
from mmtjax.plot.maps import plot_maps
from mmtjax.plot.moments import plot_moment_volume
from mmtjax.plot.ratio_strength import plot_ratio_ssr
from mmtjax.plot.stereonet import plot_stereonet
from mmtjax.progress import StageProgress

#: Names of the files, and the functions that draw them.
FIGURES: dict[str, Callable[..., Figure]] = {
    "maps": plot_maps,
    "ratio_ssr": plot_ratio_ssr,
    "moment_volume": plot_moment_volume,
    "stereonet": plot_stereonet,
}

_DOTS_PER_INCH = 160


def save_figures(
    solution: Solution,
    directory: str | os.PathLike[str],
    formats: Sequence[str] = ("png", "pdf"),
    *,
    limit: float = 0.10,
    progress: StageProgress | None = None,
) -> list[Path]:
    """Draw the figures of `FIGURES`, and write each in every format.

    Parameters
    ----------
    solution
        Result of `mmtjax.invert`.
    directory
        Where to write; made if it does not exist. Files of the same names are replaced.
    formats
        Endings that matplotlib writes, without the dot.
    limit
        Uncertainty ratio up to which a grain may be trusted.
    progress
        Called as ``progress("figures", done, total)``.

    Returns
    -------
    list of pathlib.Path
        The files, ``<name>.<format>``.

    Raises
    ------
    ValueError
        For a format that matplotlib does not write.
    """
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for number, (name, draw) in enumerate(FIGURES.items(), start=1):
        figure = draw(solution, limit=limit)
        for ending in formats:
            written.append(place / f"{name}.{ending}")
            figure.savefig(written[-1], dpi=_DOTS_PER_INCH)
        figure.clear()
        if progress is not None:
            progress("figures", number, len(FIGURES))
    return written
