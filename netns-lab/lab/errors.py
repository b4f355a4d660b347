"""Why a lab could not do its work, as opposed to a check that found something wrong."""

import signal


class LabError(Exception):
    """Something the lab itself needs did not happen; the text says what."""


class MissingCapability(Exception):
    """This machine cannot hold a lab; the text is one line that says why."""


class Interrupted(BaseException):
    """A signal asked the lab to end."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number
