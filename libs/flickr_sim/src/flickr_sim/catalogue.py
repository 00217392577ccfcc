"""The 222 methods of Flickr's API and the permission each needs (`methods.tsv`).

Taken from the recorded answers of flickr.reflection.getMethodInfo (September 2020): `none`, `signed` (a signature but
no login), `read`, `write` or `delete`.
"""

from functools import cache
from importlib import resources

WRITING = ("write", "delete")


@cache
def permissions() -> dict[str, str]:
    """Return the permission of every method by its name."""
    table = resources.files("flickr_sim").joinpath("methods.tsv").read_text("utf-8")
    return dict(line.split("\t") for line in table.splitlines())
