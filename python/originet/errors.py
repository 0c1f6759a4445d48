"""The one exception type for input that the user can correct, and what exceptions say."""

# The characters of a message: what it begins with, often a path, and what it ends with.
_START, _END = 1200, 300


class InputError(ValueError):
    """Bad input, described in one line which names the thing and its value.

    Args:
        text: The description. What it quotes may come from anywhere: line breaks become blanks, and
            of one with more than 1,500 characters the middle is left out.
    """

    def __init__(self, text: str) -> None:
        line = " ".join(text.split("\n")).strip()
        if len(line) > _START + _END:
            line = f"{line[:_START]} ... {line[-_END:]}"
        super().__init__(line)


def one_line(error: BaseException) -> str:
    """Returns what an exception says, in one line; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
