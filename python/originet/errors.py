"""The one exception type for input that the user can correct, and what exceptions say."""


class InputError(ValueError):
    """Bad input, described in one line which names the thing and its value."""


def one_line(error: BaseException) -> str:
    """Returns what an exception says, in one line; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
