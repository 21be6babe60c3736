"""What every error has in common: facts, and where it happened. The tree itself is in `errors.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

# typing.Self is newer than the Python that nodes may have.
_Error = TypeVar("_Error", bound="MikoshiError")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_options: Any) -> Any:
        """For type checkers only: the facts of an error are its annotations, its constructor takes them in order."""
        return lambda kind: kind


@dataclass_transform(eq_default=False)
class MikoshiError(Exception):
    """Base of the tree. `node` and `step` say where; they are set by whoever knows (see `on`).

    A subclass lists its facts as annotations, which make its constructor. That is what a dataclass does, without the
    source that a dataclass compiles for each of some seventy classes whenever an engine starts on a node.
    """

    exit_code: ClassVar[int] = 1
    node: ClassVar[str] = ""
    step: ClassVar[str] = ""
    fact_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - older than inspect.get_annotations
        cls.fact_names = cls.fact_names + tuple(name for name, kind in own.items() if "ClassVar" not in str(kind))

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()
        given = dict(zip(self.fact_names, values), **named)
        if len(values) > len(self.fact_names) or set(given) != set(self.fact_names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.fact_names)}; got {given!r}")
        self.__dict__.update(given)

    def on(self: _Error, node: str = "", step: str = "") -> _Error:  # noqa: PYI019 - as above
        """The same error with its place filled in where it was still unknown."""
        for name, value in (("node", node), ("step", step)):
            if value and not getattr(self, name):
                self.__dict__[name] = value
        return self

    def facts(self) -> dict[str, Any]:
        """The error's facts by name, JSON-able."""
        return {name: getattr(self, name) for name in self.fact_names}

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.facts().items())
        return f"{type(self).__name__}({facts})"
