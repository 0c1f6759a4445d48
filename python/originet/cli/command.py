"""What all commands have in common: the types in their help."""

import re
from typing import Any

from typer.core import TyperCommand


class Command(TyperCommand):
    """A command of `originet`."""

    def get_help(self, ctx: Any) -> str:
        """Returns the help, in which the type of what may be repeated is that of one value.

        That is <int>, not Python's <list[int]>. Columns stay aligned.
        """

        def one(found: re.Match[str]) -> str:
            return f"<{found[1].lower()}>".ljust(len(found[0]))

        return re.sub(r"<list\[(\w+)\]>", one, super().get_help(ctx))
