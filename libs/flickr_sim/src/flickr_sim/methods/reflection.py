"""flickr.reflection: the API about itself."""

from flickr_sim.catalogue import permissions
from flickr_sim.errors import ApiError
from flickr_sim.methods.call import Method, MethodCall, Payload

_LEVELS = {"none": 0, "signed": 0, "read": 1, "write": 2, "delete": 3}


def get_methods(_call: MethodCall) -> Payload:
    """flickr.reflection.getMethods: every method Flickr has, simulated or not."""
    return {"methods": {"method": [{"_content": name} for name in permissions()]}}


def get_method_info(call: MethodCall) -> Payload:
    """flickr.reflection.getMethodInfo: name and needs (arguments and errors are in Flickr's own documentation)."""
    name = call.text("method_name")
    permission = permissions().get(name)
    if permission is None:
        raise ApiError(1, "Method not found")
    level = _LEVELS[permission]
    return {
        "method": {
            "name": name,
            "needslogin": int(level > 0),
            "needssigning": int(permission != "none"),
            "requiredperms": level,
        }
    }


METHODS: dict[str, Method] = {
    "flickr.reflection.getMethods": get_methods,
    "flickr.reflection.getMethodInfo": get_method_info,
}
