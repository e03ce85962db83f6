"""Read the ids of selected grains: a column of a table, such as a page of results saves it, or a bare list."""

import numpy as np
from jaxtyping import Int

from mmtjax.errors import InputError, located
from mmtjax.io.cells import content_lines, text_table
from mmtjax.io.text import AnyPath, read_text
from mmtjax.sources.ids import exact_ids


def read_selected_ids(file: AnyPath) -> Int[np.ndarray, " grain"]:
    r"""Return the ids of selected grains, each once, in the order of the file.

    The file is a CSV table with a column ``id``, such as a page of results saves it or ``grains.csv`` without the rows
    that are not wanted; or it has one id in each line and no heading.

    Parameters
    ----------
    file
        The file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file has no column ``id``, no ids, or ids that are no integers.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "selected-grains.csv"
    ...     _ = path.write_text("id\n7\n3\n")
    ...     read_selected_ids(path)
    array([7, 3])
    """
    table = text_table(content_lines(read_text(file)), file=str(file))
    if table is None:
        msg = "there are no ids in it"
        raise InputError(msg, where=str(file), remedy="select at least one grain")
    names = [name.strip("\"' ").lower() for name in table.headings]
    if "id" not in names and (names or len(table.rows[0]) > 1):
        msg = f"there is no column id; the headings are {', '.join(table.headings) or 'missing'}"
        raise InputError(msg, where=str(file), remedy="give the column of the ids the heading id")
    column = names.index("id") if names else 0
    ids = []
    for line, row in zip(table.lines, table.rows, strict=True):
        cells = row[column : column + 1]
        number = table.layout.numbers(line, cells, file=str(file))
        if not number or not number[0].is_integer():
            msg = f"{''.join(cells)!r} is not the id of a grain"
            raise InputError(msg, where=f"{file}, line {line.number}", remedy="ids are whole numbers")
        ids += number
    with located(str(file)):
        found = exact_ids(np.array(ids), owner="row")
    _, first = np.unique(found, return_index=True)
    return found[np.sort(first)]
