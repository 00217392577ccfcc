"""Whether MongoDB's driver can read a URL, before anything is opened with it."""

_FORM = "must be a URL such as mongodb://user:password@host:27017/, with %25, %40, %2F, … for %, @, / in its parts"


def check_mongo_url(url: str) -> None:
    """Raises ValueError with a fixed phrase: the driver's own may repeat the password. Nobody is asked, no DNS."""
    # Here, because who has no such setting needs no such driver.
    from pymongo.errors import PyMongoError  # noqa: PLC0415
    from pymongo.uri_parser import parse_uri  # noqa: PLC0415

    name = url.removeprefix("mongodb+srv://")
    if name != url:
        url = f"mongodb://{name.partition('?')[0]}"
    try:
        parse_uri(url, warn=True)
    except (PyMongoError, ValueError):
        raise ValueError(_FORM) from None
