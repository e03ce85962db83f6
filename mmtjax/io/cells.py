"""Split the lines of a text table into cells: separator and decimal sign are decided once for a whole file."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from mmtjax.errors import InputError

#: What programs write for a number that is missing, in lower case.
_MISSING = {"", "na", "n/a", "#n/a", "null", "none", "-nan", "nan(ind)", "-nan(ind)", "1.#qnan", "-1.#ind"}

#: Lines that begin with # or % are comments, unless # begins one of the errors of spreadsheets.
_COMMENT = re.compile(r"\s*(%|#(?!N/A|NUM!|DIV/0!|VALUE!|REF!|NAME\?|NULL!))")

#: The line by which a file tells spreadsheets the separator of its cells.
_SEPARATOR_LINE = re.compile(r'\s*"?sep=.?"?\s*', re.IGNORECASE)

#: A number whose comma may be a decimal sign or a separator of thousands.
_UNDECIDED_COMMA = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")

#: A number that is not in the notation of programs: in quotation marks, or with separators of thousands.
_FOREIGN_NUMBER = re.compile(r"[\"']?[+\-−]?[.,]?\d[\d.,'’_]*([eEdD][+\-−]?\d+)?[\"']?")

#: The remedy for numbers in the notation of a language.
_PLAIN_NUMBERS = "save the file with decimal points and without separators of thousands"


class Line(NamedTuple):
    """A line of a file, and its number, counted from 1."""

    number: int
    text: str


class CellLayout(NamedTuple):
    """How the cells of a file are separated, by None for blanks, and whether their decimal sign is a comma."""

    separator: str | None
    decimal_comma: bool = False

    def split(self, text: str) -> list[str]:
        """Split a line into cells; two separators in a row have an empty cell between them.

        Examples
        --------
        >>> CellLayout(";").split("1.5; 2;;3"), CellLayout(None).split("1.5   2")
        (['1.5', '2', '', '3'], ['1.5', '2'])
        """
        if self.separator is None:
            # A blank that is not ASCII separates thousands.
            return text.split() if text.isascii() else re.findall(r"[^ \t\f\v]+", text)
        return [cell.strip(" \t\f\v") for cell in text.split(self.separator)]

    def numbers(self, line: Line, cells: Sequence[str], *, file: str) -> list[float]:
        """Return the numbers in the cells of a line; missing ones are NaN.

        Raises
        ------
        ValueError
            For a cell that is not a number; the message quotes it and names the line.

        Examples
        --------
        >>> CellLayout(";", decimal_comma=True).numbers(Line(1, ""), ["1,5", "", "2e-3"], file="a.csv")
        [1.5, nan, 0.002]
        """
        if line.text.isascii() and "_" not in line.text and not (self.decimal_comma and "." in line.text):
            plain = [cell.replace(",", ".") for cell in cells] if self.decimal_comma else cells
            try:
                return [float(cell) for cell in plain]
            except ValueError:
                pass
        return [self._number(cell, where=f"{file}, line {line.number}") for cell in cells]

    def _number(self, cell: str, *, where: str) -> float:
        if cell.lower() in _MISSING:
            return float("nan")
        if self.decimal_comma and is_number(cell) and "." in cell:
            what = f"{cell!r} has a decimal point, other numbers have commas"
            raise InputError(what, where=where, remedy=_PLAIN_NUMBERS)
        plain = cell.replace(",", ".") if self.decimal_comma and "." not in cell else cell
        if is_number(plain):
            return float(plain)
        what = f"{cell!r} is not a number"
        if cell[:1] in "\"'":
            raise InputError(what, where=where, remedy="save the file without quotation marks")
        if _FOREIGN_NUMBER.fullmatch(re.sub(r"\s", "", cell)):
            raise InputError(what, where=where, remedy=_PLAIN_NUMBERS)
        raise InputError(what, where=where)


class TextTable(NamedTuple):
    """Rows of cells, the lines that they are in, their layout, and the cells of the last line of headings above."""

    layout: CellLayout
    lines: list[Line]
    rows: list[list[str]]
    headings: list[str]


def is_number(cell: str) -> bool:
    """Whether `cell` reads as a number, in the notation of programs: 1_000 and ٣ are none.

    Examples
    --------
    >>> is_number("1e-6"), is_number("x"), is_number("1_000")
    (True, False, False)
    """
    if not cell.isascii() or "_" in cell:
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def content_lines(text: str) -> list[Line]:
    r"""Return the lines that are not blank, not comments, and not the separator that a spreadsheet is told on top.

    Examples
    --------
    >>> content_lines("sep=;\n# made by hand\n1;2\n\n;\n")
    [Line(number=3, text='1;2'), Line(number=5, text=';')]
    """
    lines = [Line(number, line) for number, line in enumerate(split_lines(text), start=1)]
    # Tabs may be the separators of a row without values.
    kept = [line for line in lines if line.text.strip(" \f\v") and not is_comment(line.text)]
    return kept[1:] if kept and _SEPARATOR_LINE.fullmatch(kept[0].text) else kept


def split_lines(text: str) -> list[str]:
    r"""Split text at the ends of its lines only: ``str.splitlines`` also splits at U+0085 of a wrong decoding.

    Examples
    --------
    >>> split_lines("1\r\n2\r3\n")
    ['1', '2', '3', '']
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def is_comment(text: str) -> bool:
    """Whether a line is a comment: it begins with # or %.

    Examples
    --------
    >>> is_comment("# made by hand"), is_comment("#N/A;1;2")
    (True, False)
    """
    return _COMMENT.match(text) is not None


def text_table(lines: Sequence[Line], *, file: str) -> TextTable | None:
    """Split lines into the cells of a table of numbers; None where no line holds a number.

    Lines without a number above the first that holds one are headings. Separators at the end of all lines are no cells.

    Parameters
    ----------
    lines
        As `content_lines` returns them.
    file
        The file, for the errors.

    Raises
    ------
    ValueError
        Where the separator is not clear, and where the commas may be decimal signs of numbers or something else.
    """
    first = next((index for index, line in enumerate(lines) if _holds_number(line.text)), None)
    if first is None:
        return None
    # A row whose numbers are all missing may be the first.
    while first > 0 and not lines[first - 1].text.strip(",; \t"):
        first -= 1
    data = list(lines[first:])
    layout = _layout(data, file=file)
    if layout.separator != "\t":
        data = [line for line in data if line.text.strip(" \t\f\v")]
    rows = [layout.split(line.text) for line in data]
    while all(len(row) > 1 and not row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    if layout.separator == "\t":
        _refuse_empty_columns(rows, file=file)
    if layout.decimal_comma:
        with_comma = (cell for row in rows for cell in row if "," in cell)
        if all(_UNDECIDED_COMMA.fullmatch(cell) for cell in with_comma):
            cell = next(cell for row in rows for cell in row if "," in cell)
            msg = (
                f"the comma of {cell!r}, and of all numbers that have one, may be a decimal sign or separate thousands"
            )
            raise InputError(msg, where=file, remedy=_PLAIN_NUMBERS)
    headings = layout.split(lines[first - 1].text) if first > 0 else []
    return TextTable(layout, data, rows, headings)


def _holds_number(text: str) -> bool:
    """Whether a line holds a number, in whatever notation, or the word for a missing one; headings hold none."""
    cells = re.findall(r"[^,;\s]+", text)
    return any(is_number(cell) or cell.lower() in _MISSING or _FOREIGN_NUMBER.fullmatch(cell) for cell in cells)


def _layout(lines: Sequence[Line], *, file: str) -> CellLayout:
    """Decide how cells are separated, from lines that hold numbers."""
    text = "\n".join(line.text.strip(" \t\f\v") for line in lines)
    if ";" in text and "," in text:
        return CellLayout(";", decimal_comma=True)
    if ";" in text:
        _refuse_split_numbers(lines, text, separator=";", file=file)
        return CellLayout(";")
    blanks = re.search(r"[^\s,][ \t]+[^\s,]", text)
    if "," in text and blanks is None:
        _refuse_split_numbers(lines, text, separator=",", file=file)
        return CellLayout(",")
    if "," in text and re.search(r",\s|\s,|^,|,$", text):
        line = next(line for line in lines if re.search(r"[^\s,][ \t]+[^\s,]", line.text))
        msg = "cells are separated by blanks here, and by commas elsewhere"
        raise InputError(msg, where=f"{file}, line {line.number}", remedy="save the file with one separator")
    # Words between tabs, such as "1 234", are one cell of a spreadsheet only where every line has them.
    tabs = "\t" in text and not re.search(r"[^\s] +[^\s]", text)
    if tabs and "," not in text:
        _refuse_split_numbers(lines, text, separator="\t", file=file)
    return CellLayout("\t" if tabs else None, decimal_comma="," in text)


def _refuse_empty_columns(rows: Sequence[Sequence[str]], *, file: str) -> None:
    """Raise ValueError if tabs enclose nothing in every line: they may align columns, or hold a place."""
    for column in range(min(map(len, rows))):
        if not any(row[column] for row in rows):
            msg = f"column {column + 1} is empty in every line, between tabs"
            raise InputError(msg, where=file, remedy="remove it, or write nan into it")


def _refuse_split_numbers(lines: Sequence[Line], text: str, *, separator: str, file: str) -> None:
    """Raise ValueError if whole numbers are those before and after decimal signs, which the separator replaces."""
    if "." in text:
        return
    # Whole numbers do not begin with zeros, fractions do.
    fraction = re.compile(rf"(?:^|{separator})[ \t]*[+-]?0\d+[ \t]*(?:{separator}|$)")
    alternate = re.compile(r"\s*[+-]?\d+,\d+(?:,[ \t]+[+-]?\d+,\d+)+\s*")
    wrong = next((line for line in lines if fraction.search(line.text)), None)
    if wrong is None and all(alternate.fullmatch(line.text) for line in lines):
        wrong = lines[0]
    if wrong is not None:
        msg = f"{separator!r} is the decimal sign of numbers, it seems, and separates the numbers too"
        raise InputError(msg, where=f"{file}, line {wrong.number}", remedy=_PLAIN_NUMBERS)
