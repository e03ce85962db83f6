"""Files with changed bytes, of every format that the package reads."""
