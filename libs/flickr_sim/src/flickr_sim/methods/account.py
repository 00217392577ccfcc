"""flickr.auth.oauth.checkToken and flickr.prefs: the caller's token and settings."""

from typing import Any

from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Payload


def check_token(call: MethodCall) -> Payload:
    """flickr.auth.oauth.checkToken."""
    if call.token is None:
        raise ApiError(98, "Invalid auth token")
    me = call.me
    return {
        "oauth": {
            "token": {"_content": call.token.token},
            "perms": {"_content": call.token.perms},
            "user": {"nsid": me.nsid, "username": me.username, "fullname": me.realname},
        }
    }


def _preference(**members: Any) -> Method:
    def get(call: MethodCall) -> Payload:
        return {"person": {"nsid": call.me.nsid, **members}}

    return get


METHODS: dict[str, Method] = {
    "flickr.auth.oauth.checkToken": check_token,
    "flickr.prefs.getContentType": _preference(content_type=1),
    "flickr.prefs.getGeoPerms": _preference(geoperms=0, importgeoexif=0),
    "flickr.prefs.getHidden": _preference(hidden=0),
    "flickr.prefs.getPrivacy": _preference(privacy=1),
    "flickr.prefs.getSafetyLevel": _preference(safety_level=1),
}
