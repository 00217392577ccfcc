"""`python -m flickr_sim`: serve on SIM_HOST:SIM_PORT until SIGTERM."""

import sys

from pydantic import ValidationError

from flickr_sim.app import create_app
from flickr_sim.server import serve
from flickr_sim.settings import Settings


def main() -> int:
    """Read the settings and serve; return the exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "_".join(["sim", *map(str, problem["loc"])]).upper()
            sys.stderr.write(f"flickr_sim: {name}: {problem['msg']}\n")
        return 2
    serve(create_app(settings), host=settings.host, port=settings.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
