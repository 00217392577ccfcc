"""What the notifier does, one module each."""

from flickrhub_notifier.usecases.admit_attempt import AdmitAttempt
from flickrhub_notifier.usecases.continue_delivery import ContinueDelivery
from flickrhub_notifier.usecases.keep_lines import KeepLines
from flickrhub_notifier.usecases.make_attempt import MakeAttempt, Policy
from flickrhub_notifier.usecases.start_delivery import StartDelivery

__all__ = ["AdmitAttempt", "ContinueDelivery", "KeepLines", "MakeAttempt", "Policy", "StartDelivery"]
