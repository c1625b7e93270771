"""Told by `sys.settrace`: Python then tells every call of every function, those of JAX too, and runs all slower."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from ..._jax import origin
from .told import Told

_MAY_GO_ON = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class BySettrace:
    """Tells what runs, unless a debugger is at work."""

    def __init__(self, told: Told):
        self._told = told
        self._handlers: dict[int, Callable | None] = {}  # by the id of the code, None for what is not told
        self._held: list[CodeType] = []  # so that no other code gets its id
        self._on_call = self._handler_of_calls()

    def begin(self) -> bool:
        if sys.gettrace() is not None:
            return False
        sys.settrace(self._on_call)
        return True

    def tell_lines(self, code: CodeType) -> None:
        """Do nothing: they are told from the call on."""

    def end(self) -> None:
        if sys.gettrace() is self._on_call:
            sys.settrace(None)

    def _handler_of_calls(self) -> Callable:
        """Return what Python runs at every call: it must be quick."""
        handler_of, new = self._handlers.get, self._on_new_code

        def on_call(frame: FrameType, event: str, arg: Any) -> Callable | None:
            handler = handler_of(id(frame.f_code), new)
            return None if handler is None else handler(frame, event, arg)

        return on_call

    def _on_new_code(self, frame: FrameType, event: str, arg: Any) -> Callable | None:
        """Decide what the calls of a function are told to, and tell it this one."""
        code, handler = frame.f_code, None
        if code is origin.takes_tracebacks():
            handler = self._on_taking
        elif self._told.is_users(code):
            handler = self._on_line
        self._held.append(code)
        self._handlers[id(code)] = handler
        return None if handler is None else handler(frame, event, arg)

    def _on_taking(self, frame: FrameType, event: str, arg: Any) -> Callable:
        if event == "return":
            self._told.takes(frame, origin.traceback_in(arg))
        frame.f_trace_lines = False
        return self._on_taking

    def _on_line(self, frame: FrameType, event: str, arg: Any) -> Callable:
        if event == "line":
            self._told.comes_to(frame, frame.f_lasti, frame.f_lineno)
        elif event == "return":
            self._told.gives(frame, arg, goes_on=bool(frame.f_code.co_flags & _MAY_GO_ON))
        return self._on_line
