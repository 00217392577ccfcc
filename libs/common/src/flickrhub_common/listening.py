"""A place to listen at, or one line that says which setting names none."""

import errno
import socket

_OF_THE_HOST = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def bound(host: str, port: int, *, variable: str) -> socket.socket:
    """A socket at this address that doesn't listen yet; it can't be had where somebody else listens.

    Ends the process with a line that names ``variable``, the port's setting, or HOST.
    """
    try:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise SystemExit(f"HOST: can't be listened on ({error.strerror})") from None
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except (socket.gaierror, UnicodeError):
        made.close()
        raise SystemExit("HOST: can't be listened on (it is no address, nor a name of one)") from None
    except OSError as error:
        made.close()
        name = "HOST:" if error.errno in _OF_THE_HOST else f"{variable}: port {port}"
        raise SystemExit(f"{name} can't be listened on ({error.strerror})") from None
    return made
