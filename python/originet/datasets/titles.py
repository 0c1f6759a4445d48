"""Names of the data sets as their publications write them."""

TITLES = {
    "casme": "CASME",
    "casme2": "CASME II",
    "cas_me2": "CAS(ME)²",
    "samm": "SAMM",
    "smic": "SMIC",
    "casme3": "CAS(ME)³",
    "mmew": "MMEW",
    "dfme": "DFME",
    "fourdme": "4DME",
    "folder": "a folder of clips",
    "semi-synthetic": "semi-synthetic clips",
}


def dataset_title(name: str) -> str:
    """Returns a data set's own name.

    Args:
        name: A name of the package's; several are joined by "+".

    Returns:
        As "CASME II" or "CASME II + SAMM"; a name without a title stays as it is.
    """
    return " + ".join(TITLES.get(each, each) for each in name.split("+"))
