"""The one exception type for input that the user can correct."""


class InputError(ValueError):
    """Bad input, described in one line which names the thing and its value."""
