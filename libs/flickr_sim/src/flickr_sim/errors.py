"""Every way the simulator refuses a call, in Flickr's own words where they are known."""

from urllib.parse import quote

SORRY = "Sorry, the Flickr API service is not currently available."
POST_REQUIRED = "The POST method is now required for all setters"

# What a fault without a message of its own says, by code (shared by all methods).
COMMON_MESSAGES = {
    0: SORRY,
    10: "Sorry, the Flickr search API is not currently available.",
    95: "SSL is required",
    96: "Invalid signature",
    97: "Missing signature",
    98: "Invalid auth token",
    99: "User not logged in / Insufficient permissions",
    100: "Invalid API Key (Key has expired)",
    105: "Service currently unavailable",
    106: "Write operation failed",
    108: "Invalid frob",
    114: "Invalid SOAP envelope",
    115: "Invalid XML-RPC Method Call",
    116: "Bad URL found",
    201: SORRY,
}


UPLOAD_MESSAGES = {
    0: "Video uploads are temporarily disabled",
    1: "Not a pro account",  # of replace; upload has no error 1
    2: "No photo specified",
    3: "General upload failure",
    4: "Filesize was zero",
    5: "Filetype was not recognised",
    6: "User exceeded upload limit",
    7: "User exceeded video upload limit",
    8: "Filesize was too large",
    9: "Duplicate photo/video detected",
    10: "Not a valid url to upload from",
    11: "Fetch from external image failed",
    12: "Not a valid photo id to clone meta data from",
    13: "The clone photo does not belong to the uploader",
    14: "Auto Upload disabled for Non pro User / server at capacity",
    15: "Non-safe content not allowed",
}


class ApiError(Exception):
    """An error of Flickr's API, answered with HTTP 200 in the requested format.

    `details` are what Flickr says besides; they become elements behind `err`.
    """

    def __init__(self, code: int, message: str, details: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}


class OAuthProblem(Exception):
    """An OAuth failure, answered as form-like plain text whatever the format.

    `body` is sent byte for byte: the debug base string of `signature_invalid` is raw, with unescaped ampersands.
    """

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body.partition("&")[0])
        self.status = status
        self.body = body

    @classmethod
    def named(cls, problem: str, status: int = 401) -> "OAuthProblem":
        """Build a problem that says nothing but its name."""
        return cls(status, f"oauth_problem={problem}")

    @classmethod
    def absent(cls, names: list[str]) -> "OAuthProblem":
        """Build the answer to a call that lacks the parameters `names`."""
        return cls(400, f"oauth_problem=parameter_absent&oauth_parameters_absent={quote('&'.join(names), safe='')}")

    @classmethod
    def bad_signature(cls, base_string: str) -> "OAuthProblem":
        """Build the answer to a wrong signature, with the server's own base string appended raw as Flickr does."""
        return cls(401, f"oauth_problem=signature_invalid&debug_sbs={base_string}")


class NotSimulated(Exception):
    """A real Flickr method this simulator doesn't play; answered 501 so nobody takes it for Flickr's word."""

    def __init__(self, what: str) -> None:
        super().__init__(f"flickr_sim does not simulate {what}.")


class Unreadable(Exception):
    """A request that can't be read as HTTP parameters; answered in plain text."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class ConnectionCut(Exception):
    """A fault wants the connection closed without an answer."""


def permission_missing(needed: str, granted: str) -> ApiError:
    """Build error 99; `granted` is "none" for a call without a token."""
    return ApiError(99, f"Insufficient permissions. Method requires {needed} privileges; {granted} granted.")


def photo_not_found(photo_id: str, reason: str = "invalid ID") -> ApiError:
    """Build error 1 of the methods that name the photo in it."""
    return ApiError(1, f'Photo "{photo_id}" not found ({reason})')


def upload_error(code: int, **details: str) -> ApiError:
    """Build an error of uploads and replacements."""
    return ApiError(code, UPLOAD_MESSAGES[code], details)
