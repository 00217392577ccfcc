"""The headers every reply has, unless it says otherwise: what a browser must not do with it."""

from starlette.datastructures import MutableHeaders

EVERY_REPLY = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""No HSTS: the hub speaks plain HTTP, and whoever ends TLS before it knows whether all of the host does."""


def complete(headers: MutableHeaders) -> None:
    """Add what is missing."""
    for name, value in EVERY_REPLY.items():
        headers.setdefault(name, value)
