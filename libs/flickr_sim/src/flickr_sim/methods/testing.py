"""flickr.test: echo, login, null."""

from flickr_sim.methods.call import Method, MethodCall, Payload


def echo(call: MethodCall) -> Payload:
    """Answer every parameter sent, then what the server made of the signature."""
    payload: Payload = {name: {"_content": value} for name, value in call.incoming.params}
    if call.token is not None:
        payload["api_auth_is_oauth"] = {"_content": "1"}
        payload["api_sig"] = {"_content": call.incoming.oauth["oauth_signature"]}
        payload["auth_token"] = {"_content": call.token.token}
    payload.pop("stat", None)  # a parameter of that name must not hide the answer's own
    return payload


def login(call: MethodCall) -> Payload:
    """Say who calls."""
    me = call.me
    return {"user": {"id": me.nsid, "username": {"_content": me.username}, "path_alias": me.path_alias}}


def null(_call: MethodCall) -> Payload:
    """Do nothing, with read permission."""
    return {}


METHODS: dict[str, Method] = {
    "flickr.test.echo": echo,
    "flickr.test.login": login,
    "flickr.test.null": null,
}
