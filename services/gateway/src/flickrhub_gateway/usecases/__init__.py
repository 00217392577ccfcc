"""Where the gateway decides."""

from collections.abc import Sequence
from dataclasses import dataclass

from flickrhub_common.addresses import IpNetwork
from flickrhub_gateway.models import AddressPolicies
from flickrhub_gateway.usecases.admit_request import AdmitRequest
from flickrhub_gateway.usecases.check_connection import CheckConnection
from flickrhub_gateway.usecases.connect_account import ConnectAccount
from flickrhub_gateway.usecases.enqueue_job import EnqueueJob
from flickrhub_gateway.usecases.presign_upload import PresignUpload
from flickrhub_gateway.usecases.read_job_status import ReadJobStatus
from flickrhub_gateway.usecases.receive_upload import ReceiveUpload
from flickrhub_gateway.usecases.record_job_event import RecordJobEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """Everything a handler may call, and what it goes by: address policies, a body's least speed, known proxies."""

    admit_request: AdmitRequest
    connect_account: ConnectAccount
    enqueue_job: EnqueueJob
    receive_upload: ReceiveUpload
    presign_upload: PresignUpload
    read_job_status: ReadJobStatus
    record_job_event: RecordJobEvent
    check_connection: CheckConnection
    address_policies: AddressPolicies
    least_speed: int
    trusted_proxies: Sequence[IpNetwork]
