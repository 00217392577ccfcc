"""The page where a person lets an application in, and what its button does."""

from html import escape
from urllib.parse import quote

from flickr_sim.answers import HTML, Answer, text
from flickr_sim.credentials import PERMS, RequestToken
from flickr_sim.incoming import Incoming
from flickr_sim.simulator import Simulator

UNKNOWN_TOKEN = 'Oops! Flickr doesn\'t recognise the "oauth_token" this application is trying to use.'  # noqa: S105
UNKNOWN_PERMS = "Oops! Flickr doesn't recognise the permission set."
UNKNOWN_KEY = "Oops! Flickr doesn't recognise the API key this application is trying to use."
UNKNOWN_ACCOUNT = "Oops! There is no such account in this simulated Flickr."

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
{content}
<p><small>This is flickr_sim, a simulator. It is not Flickr.</small></p>
</body>
</html>
"""


def authorize(simulator: Simulator, incoming: Incoming) -> Answer:
    """Answer /services/oauth/authorize: GET shows the page, POST presses its button.

    A form may name the account that authorises (`account`: NSID or username); the first person does otherwise. For a
    callback the answer is a redirect to it, for oob a page that shows the verifier.
    """
    token = simulator.credentials.request_tokens.get(incoming.oauth.get("oauth_token", ""))
    perms = incoming.fields.get("perms", "")
    if token is None:
        return _oops(UNKNOWN_TOKEN)
    if token.api_key not in simulator.credentials.apps:
        return _oops(UNKNOWN_KEY)
    if perms not in PERMS:
        return _oops(UNKNOWN_PERMS)
    if incoming.http_method == "GET":
        return _page("Authorize this application?", _form(simulator, token, perms))
    account = incoming.fields.get("account") or simulator.world.first_person.nsid
    person = simulator.world.person(account)
    if person is None:
        return _oops(UNKNOWN_ACCOUNT)
    simulator.credentials.approve(token, account=person.nsid, perms=perms)
    return _verifier_page(token) if token.callback == "oob" else _redirect(token)


def _form(simulator: Simulator, token: RequestToken, perms: str) -> str:
    options = "\n".join(
        f'<option value="{escape(person.nsid)}">{escape(person.username)} ({escape(person.nsid)})</option>'
        for person in simulator.world.people.values()
    )
    return f"""<p>The application <code>{escape(token.api_key)}</code> asks for <b>{perms}</b> permission.</p>
<form method="post" action="/services/oauth/authorize">
<input type="hidden" name="oauth_token" value="{escape(token.token)}">
<input type="hidden" name="perms" value="{perms}">
<label>Account <select name="account">
{options}
</select></label>
<button type="submit">OK, I'll authorize it</button>
</form>"""


def _verifier_page(token: RequestToken) -> Answer:
    return _page(
        "You have authorized this application",
        f'<p>Type this code into it: <code id="oauth_verifier">{token.verifier}</code></p>',
    )


def _redirect(token: RequestToken) -> Answer:
    joint = "&" if "?" in token.callback else "?"
    target = f"{token.callback}{joint}oauth_token={token.token}&oauth_verifier={token.verifier}"
    return Answer(302, b"", HTML, (("Location", quote(target, safe=":/?#[]@!$&'()*+,;=%-._~")),))


def _oops(sentence: str) -> Answer:
    return _page("Oops!", f"<p>{escape(sentence, quote=False)}</p>", status=400)


def _page(title: str, content: str, status: int = 200) -> Answer:
    return text(status, _PAGE.format(title=title, content=content), HTML)
