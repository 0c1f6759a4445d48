"""The terms on which data sets are given out; they hold for what is trained on them."""

_SIGNED = "non-commercial research, under the agreement that was signed for the data set"

LICENCES = {
    "casme": _SIGNED,
    "casme2": _SIGNED,
    "cas_me2": _SIGNED,
    "samm": _SIGNED,
    "smic": _SIGNED,
    "casme3": _SIGNED,
    "mmew": _SIGNED,
    "dfme": _SIGNED,
    "fourdme": _SIGNED,
    "semi-synthetic": "made by originet synth from pictures that scikit-image ships",
}


def licences_of(name: str) -> dict[str, str]:
    """Returns the terms of data sets.

    Args:
        name: A data set's name; several are joined by "+".

    Returns:
        A line for each. A model that was trained on a data set is subject to its terms as well.
    """
    unknown = "unknown: ask who recorded the clips"
    return {each: LICENCES.get(each, unknown) for each in name.split("+")}
