"""What goes wrong with a test host itself, as opposed to what a test does to it."""


class HostError(RuntimeError):
    """A host could not be made, or did not do in time what it was asked; the text carries its log's end."""

    def __init__(self, host: str, problem: str, log: str = "") -> None:
        super().__init__(f"test host {host}: {problem}" + (f"\n{log[-2000:]}" if log else ""))
        self.host = host
        self.problem = problem
        self.log = log
