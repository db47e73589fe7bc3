# SPDX-License-Identifier: Apache-2.0
"""What native.py is made of: the loaded library, its functions, and structs with their sizes and enumerators."""
from __future__ import annotations

import ctypes
import os
import typing


class Error(Exception):
    """A call of the library failed; the text says what was wrong, where, and what helps. Each status has a
    subclass, such as NotFoundError."""
    status: int = -1

    def __init__(self, message: str):
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class Opaque(ctypes.Structure):
    """An object that only the library sees inside of."""


class Struct(ctypes.Structure):
    """A struct of the interface. It begins as the _INIT macro of its type makes it; members may be given by name.
    Enumerators are read as members of their enumeration, and texts as str."""
    _enums_: dict[str, typing.Any] = {}
    _initial_: dict[str, typing.Any] = {}

    def __init__(self, *values: typing.Any, **members: typing.Any):
        names = [name for name, *_ in self._fields_]
        initial = {"size": ctypes.sizeof(self)} if names[0] == "size" else {}
        if values and initial:
            raise TypeError(f"members of {type(self).__name__} are given by name")
        if len(values) > len(names):
            raise TypeError(f"{type(self).__name__} takes {len(names)} values, not {len(values)}")
        positional = dict(zip(names, values, strict=False))
        for name, value in {**initial, **self._initial_, **positional, **members}.items():
            if name not in names:
                raise TypeError(f"{type(self).__name__} has no member '{name}'")
            if isinstance(value, dict):
                value = dict(self._fields_)[name](**value)
            setattr(self, name, value)

    @classmethod
    def _finish(cls) -> None:
        for name, kind, *_ in cls._fields_:
            member = cls.__dict__[name]
            if name in cls._enums_:
                setattr(cls, name, _enumerator(member, cls._enums_[name]))
            elif kind is ctypes.c_char_p or getattr(kind, "_type_", None) is ctypes.c_char:
                setattr(cls, name, _text(member))

    @classmethod
    def array(cls, count: int) -> typing.Any:
        """An array of `count` structs that are filled in as single ones are."""
        found = (cls * count)()
        for one in found:
            cls.__init__(one)
        return found

    def own_texts(self) -> None:
        """Copies texts that belong to an object of the library, which may end sooner than this struct."""
        for name, kind, *_ in self._fields_:
            if kind is ctypes.c_char_p:
                setattr(self, name, getattr(self, name))

    def to_dict(self) -> dict[str, typing.Any]:
        """The members but for the size and reserved ones; nested structs become dictionaries."""
        return {name: value.to_dict() if isinstance(value, Struct) else value for name, value in self._members()}

    def _members(self) -> list[tuple[str, typing.Any]]:
        found = [(name, getattr(self, name)) for name, *_ in self._fields_ if name not in ("size", "reserved")]
        return [(name, list(value) if isinstance(value, ctypes.Array) else value) for name, value in found]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._members())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def _enumerator(member: typing.Any, enumeration: typing.Any) -> property:
    def read(self: Struct) -> typing.Any:
        value = member.__get__(self)
        return enumeration(value) if value in enumeration._value2member_map_ else value  # of a newer library

    return property(read, member.__set__)


def _text(member: typing.Any) -> property:
    def read(self: Struct) -> str | None:
        value = member.__get__(self)
        return value if value is None else value.decode(errors="replace")

    def write(self: Struct, value: str | bytes | None) -> None:
        member.__set__(self, value.encode() if isinstance(value, str) else value)

    return property(read, write)


STATUS = ctypes.c_int
_library: typing.Any = None


def load(soname: str) -> None:
    """Loads the library that native.py was made for, or the one that QOSBATCH_LIBRARY names."""
    global _library
    name = os.environ.get("QOSBATCH_LIBRARY", soname)
    try:
        _library = ctypes.CDLL(name)
    except OSError as error:
        raise ImportError(f"cannot load the library qosbatch: {error}; install it (libqosbatch0.1), or name the file "
                          "in the environment variable QOSBATCH_LIBRARY") from None
    _library.qb_error_message.restype = ctypes.c_char_p


def _check(status: int, function: typing.Any, arguments: typing.Any) -> int:
    if status:
        message = _library.qb_error_message().decode(errors="replace")
        raise next((kind for kind in Error.__subclasses__() if kind.status == status), Error)(message)
    return status


def declare(name: str, result: typing.Any, parameters: list[typing.Any]) -> typing.Any:
    """A function of the library; one that returns a status raises Error instead."""
    function = getattr(_library, name)
    function.argtypes, function.restype = parameters, result
    if result is STATUS:
        function.errcheck = _check
    return function
