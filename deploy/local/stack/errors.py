"""What stops the local stack from doing what it was asked."""


class CannotStart(Exception):
    """The stack can't be brought up; the text is the one line the user reads."""


class BadSetting(CannotStart):
    """A variable in the caller's environment can't be used."""


class PortTaken(CannotStart):
    """Somebody else listens where one of our processes should."""


class RunningDifferently(CannotStart):
    """The stack runs already, with other settings than the ones asked for now."""


class NotReady(CannotStart):
    """A process died again and again, or wasn't ready in time.

    `process` names it, so that the end of its log can be shown.
    """

    def __init__(self, process: str, reason: str) -> None:
        super().__init__(f"{process} didn't get ready: {reason}")
        self.process = process
