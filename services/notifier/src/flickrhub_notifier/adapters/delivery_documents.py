"""Deliveries and attempts as MongoDB keeps them."""

from dataclasses import replace
from typing import Any

from flickrhub_common.mongo import Document
from flickrhub_notifier.models import Attempt, Delivered, Delivery, DeliveryState, GiveUp, Verdict


def delivery_document(delivery: Delivery) -> Document:
    """A new delivery."""
    waits = {} if delivery.line is None else {"line": delivery.line, "line_at": delivery.next_attempt_at}
    return {
        "_id": delivery.id,
        **waits,
        "job_id": delivery.job_id,
        "job_replay": delivery.job_replay,
        "user_id": delivery.user_id,
        "url": delivery.url,
        "sealed_secret": delivery.sealed_secret,
        "body": delivery.body,
        "trace_id": delivery.trace_id,
        "trace": dict(delivery.trace),
        "state": delivery.state.value,
        "reason": delivery.reason,
        "attempts": [],
        "next_attempt": delivery.next_attempt,
        "next_attempt_at": delivery.next_attempt_at,
        "claimed_until": delivery.claimed_until,
        "claims": delivery.claims,
        "dead_lettered_at": delivery.dead_lettered_at,
        "replays": delivery.replays,
        "earlier_attempts": delivery.earlier_attempts,
        "round_began_at": delivery.round_began_at,
        "accepted_at": delivery.accepted_at,
        "created_at": delivery.created_at,
        "updated_at": delivery.created_at,
    }


def delivery_of(document: dict[str, Any] | None) -> Delivery | None:
    """What isn't in documents of before there were replays and slots has its default."""
    if document is None:
        return None
    return Delivery(
        job_id=document.get("job_id", document["_id"]),
        user_id=document.get("user_id", ""),
        url=document["url"],
        sealed_secret=document["sealed_secret"],
        body=bytes(document["body"]),
        trace_id=document["trace_id"],
        trace=document["trace"],
        created_at=document["created_at"],
        next_attempt=document["next_attempt"],
        next_attempt_at=document["next_attempt_at"],
        claimed_until=document["claimed_until"],
        state=DeliveryState(document["state"]),
        reason=document["reason"],
        dead_lettered_at=document["dead_lettered_at"],
        job_replay=document.get("job_replay", 0),
        replays=document.get("replays", 0),
        earlier_attempts=document.get("earlier_attempts", 0),
        round_began_at=document.get("round_began_at"),
        line=document.get("line"),
        claims=document.get("claims", 0),
        accepted_at=document.get("accepted_at"),
    )


def attempt_document(attempt: Attempt) -> Document:
    """An entry of ``attempts``."""
    answer = attempt.answer
    return {
        "number": attempt.number,
        "at": attempt.at,
        "duration_ms": attempt.duration_ms,
        "status": answer.status,
        "error": answer.error,
        "response": answer.excerpt,
    }


def consequence_document(attempt: Attempt, verdict: Verdict) -> Document:
    """What an attempt changes."""
    changed: Document = {"next_attempt": attempt.number + 1, "claimed_until": None, "claims": 0}
    changed["updated_at"] = attempt.ended_at
    if isinstance(verdict, Delivered):
        return {**changed, "state": DeliveryState.DELIVERED.value, "reason": None}
    if isinstance(verdict, GiveUp):
        return {**changed, **given_up_document(verdict.state, verdict.reason)}
    return {**changed, "next_attempt_at": verdict.at, "reason": verdict.reason}


def delivered(delivery: Delivery, attempt: Attempt) -> Delivery:
    """What a delivery is after ``consequence_document`` of a success."""
    return replace(
        delivery,
        next_attempt=attempt.number + 1,
        claimed_until=None,
        claims=0,
        line=None,
        state=DeliveryState.DELIVERED,
        reason=None,
    )


def given_up_document(state: DeliveryState, reason: str) -> Document:
    """What giving up changes."""
    return {"state": state.value, "reason": reason, "given_up": True}
