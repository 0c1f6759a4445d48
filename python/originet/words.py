"""Counts as people write them."""


def counted(number: int, thing: str) -> str:
    """Returns a number and what there is so many of.

    Args:
        number: How many.
        thing: The word for one, whose plural is regular.

    Returns:
        As "1 frame", "2 frames" or "0 classes".
    """
    if number == 1:
        return f"1 {thing}"
    return f"{number} {thing}{'es' if thing.endswith('s') else 's'}"
