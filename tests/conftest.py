"""Fixtures that several files of tests use."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Write text to a file of a given name and return its path."""

    def write(name, text, encoding="utf-8"):
        file = tmp_path / name
        file.write_text(text, encoding=encoding)
        return file

    return write
