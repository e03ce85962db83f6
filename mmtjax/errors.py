"""Errors and warnings of an inversion."""


class InversionError(RuntimeError):
    """An inversion whose uncertainties cannot be vouched for; the message names the remedy."""


class InversionWarning(UserWarning):
    """An inversion that ended, with a result that should not be taken at face value."""
