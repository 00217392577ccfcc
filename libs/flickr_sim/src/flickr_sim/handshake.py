"""The two signed steps of the OAuth walk: a request token, and an access token for it."""

from urllib.parse import quote, urlsplit

from flickr_sim.answers import OAUTH_TEXT, Answer, text
from flickr_sim.credentials import App, RequestToken
from flickr_sim.errors import OAuthProblem
from flickr_sim.incoming import Incoming
from flickr_sim.simulator import Simulator


def request_token(simulator: Simulator, incoming: Incoming) -> Answer:
    """Answer /services/oauth/request_token."""
    app = simulator.verifier.verify(incoming, needed=("oauth_callback",), token_secret=lambda _app: "")
    callback = incoming.oauth["oauth_callback"]
    if not _is_callback(callback):
        # OAuth Problem Reporting's word for it; Flickr is only known to refuse.
        raise OAuthProblem(400, "oauth_problem=parameter_rejected&oauth_parameters_rejected=oauth_callback")
    token = simulator.credentials.issue_request_token(app.api_key, callback)
    return _form(oauth_callback_confirmed="true", oauth_token=token.token, oauth_token_secret=token.secret)


def access_token(simulator: Simulator, incoming: Incoming) -> Answer:
    """Answer /services/oauth/access_token; a request token works once."""
    found: list[RequestToken] = []

    def secret(app: App) -> str:
        token = simulator.credentials.request_tokens.get(incoming.oauth["oauth_token"])
        if token is None or token.api_key != app.api_key or not token.verifier:
            raise OAuthProblem.named("token_rejected")
        if token.verifier != incoming.oauth["oauth_verifier"]:
            raise OAuthProblem.named("token_rejected")
        found.append(token)
        return token.secret

    simulator.verifier.verify(incoming, needed=("oauth_token", "oauth_verifier"), token_secret=secret)
    token = simulator.credentials.exchange(found[0])
    person = simulator.world.people[token.account]
    return _form(
        fullname=person.realname,
        oauth_token=token.token,
        oauth_token_secret=token.secret,
        user_nsid=person.nsid,
        username=person.username,
    )


def _is_callback(callback: str) -> bool:
    """Say whether it is "oob" or a URL (of any scheme: desktop applications have their own)."""
    try:
        return callback == "oob" or bool(urlsplit(callback).scheme and "://" in callback)
    except ValueError:
        return False


def _form(**members: str) -> Answer:
    """Write members as Flickr does: keys in alphabetical order, a space as %20, no newline at the end."""
    return text(200, "&".join(f"{name}={quote(members[name], safe='')}" for name in sorted(members)), OAUTH_TEXT)
