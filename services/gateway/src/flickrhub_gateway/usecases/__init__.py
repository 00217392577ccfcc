"""Where the gateway decides."""

from dataclasses import dataclass

from flickrhub_common.addresses import AddressPolicy
from flickrhub_gateway.usecases.check_connection import CheckConnection
from flickrhub_gateway.usecases.connect_account import ConnectAccount
from flickrhub_gateway.usecases.enqueue_job import EnqueueJob
from flickrhub_gateway.usecases.read_job_status import ReadJobStatus
from flickrhub_gateway.usecases.record_job_event import RecordJobEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """Everything a handler may call, and the policy by which it checks addresses."""

    connect_account: ConnectAccount
    enqueue_job: EnqueueJob
    read_job_status: ReadJobStatus
    record_job_event: RecordJobEvent
    check_connection: CheckConnection
    address_policy: AddressPolicy
