"""The one hierarchy of errors that a user of Certibit may see.

Every error says three things in one line: what is wrong, where, and what to do about it. The
command line prints that line on standard error and ends with exit code 2; a traceback is for
defects of Certibit itself.
"""

from __future__ import annotations


class CertibitError(Exception):
    """An error of the user's input, tools or evidence, told in one line.

    Parameters
    ----------
    what : str
        What is wrong, as a statement.
    where : str
        File, layer, argument or command in which it was found.
    what_to_do : str
        The mend, as an instruction.
    """

    def __init__(self, what: str, where: str, what_to_do: str) -> None:
        self.what = what
        self.where = where
        self.what_to_do = what_to_do
        super().__init__(f"{what} ({where}): {what_to_do}")


class InputError(CertibitError, ValueError):
    """Weights, features, options or arguments outside their legal range."""


class ManifestError(CertibitError):
    """A manifest, or a file that it names, is damaged, edited or of another version."""


class ToolError(CertibitError):
    """A simulator or another outside tool is missing, too old, or failed."""


class BenchFailure(CertibitError):
    """A bench ran and at least one of its tests failed, or no test ran at all."""


class SignoffError(CertibitError):
    """The evidence does not belong to the manifest, or is incomplete."""


class DesignFailure(SignoffError):
    """The design hung, or gave unknown values or misaligned packets: a FAIL without counts."""
