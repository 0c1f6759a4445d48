"""The terms on which data sets are given out; they hold for what is trained on them."""

_SIGNED = "non-commercial research, under the agreement that was signed for the data set"
# What these allow is not known here.
_AGREED = "as the agreement that was signed for the data set says"

LICENCES = {
    "casme": _SIGNED,
    "casme2": _SIGNED,
    "cas_me2": _SIGNED,
    "samm": _SIGNED,
    "smic": _AGREED,
    "casme3": _AGREED,
    "mmew": _AGREED,
    "dfme": _AGREED,
    "fourdme": _AGREED,
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
