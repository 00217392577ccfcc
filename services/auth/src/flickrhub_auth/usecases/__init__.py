"""What auth does, one module each."""

from dataclasses import dataclass

from flickrhub_auth.usecases.complete_connection import CompleteConnection
from flickrhub_auth.usecases.find_connection import FindConnection
from flickrhub_auth.usecases.lend_token import LendToken
from flickrhub_auth.usecases.revoke_connection import RevokeConnection
from flickrhub_auth.usecases.start_connection import StartConnection

__all__ = ["CompleteConnection", "FindConnection", "LendToken", "RevokeConnection", "StartConnection", "UseCases"]


@dataclass(frozen=True)
class UseCases:
    """All of them, ready to be called."""

    start: StartConnection
    complete: CompleteConnection
    find: FindConnection
    lend: LendToken
    revoke: RevokeConnection
