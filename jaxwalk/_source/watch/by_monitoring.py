"""Told by `sys.monitoring` (Python 3.12 and later, PEP 669): of the functions of interest alone; JAX's run as ever."""

from __future__ import annotations

import sys
import threading
from types import CodeType
from typing import Any

from ..._jax import origin
from .told import Told

_monitoring: Any = getattr(sys, "monitoring", None)
_NAME = "jaxwalk"
_TOOLS = (4, 3)  # the numbers for which Python names no use

_lock = threading.Lock()  # what is told is told of all threads
_told: dict[int, Told] = {}  # by thread
_codes: dict[int, CodeType] = {}  # whose events are told, by id
_tool: int | None = None  # while any is told


class ByMonitoring:
    """Tells what runs, beside a debugger or a measure of coverage, if Python has a number left for a tool."""

    def __init__(self, told: Told):
        self._told, self._thread = told, threading.get_ident()

    def begin(self) -> bool:
        if _monitoring is None:
            return False
        takes_tracebacks = origin.takes_tracebacks()
        with _lock:
            if not _has_tool():
                return False
            _told[self._thread] = self._told
            _tell(takes_tracebacks, _monitoring.events.PY_RETURN)
        return True

    def tell_lines(self, code: CodeType) -> None:
        if id(code) not in _codes:
            events = _monitoring.events
            with _lock:
                _tell(code, events.LINE | events.JUMP | events.PY_RETURN | events.PY_YIELD)

    def end(self) -> None:
        with _lock:
            if _told.get(self._thread) is self._told:
                del _told[self._thread]
            if not _told:
                _give_back()


def is_free() -> bool:
    """Tell whether there is a number for a tool."""
    return _monitoring is not None and any(_monitoring.get_tool(tool) in (None, _NAME) for tool in _TOOLS)


def _has_tool() -> bool:
    """Tell whether there is a tool, made now if there was none."""
    global _tool
    if _tool is None:
        _tool = next((tool for tool in _TOOLS if _monitoring.get_tool(tool) is None), None)
        if _tool is None:
            return False
        _monitoring.use_tool_id(_tool, _NAME)
        for event, handler in _handlers().items():
            _monitoring.register_callback(_tool, event, handler)
    return True


def _tell(code: CodeType, events: int) -> None:
    _codes[id(code)] = code
    _monitoring.set_local_events(_tool, code, events)


def _give_back() -> None:
    global _tool
    if _tool is None:
        return
    tool, _tool = _tool, None
    try:
        for code in _codes.values():
            _monitoring.set_local_events(tool, code, 0)
        for event in _handlers():
            _monitoring.register_callback(tool, event, None)
    finally:
        _codes.clear()
        _monitoring.free_tool_id(tool)


def _handlers() -> dict[int, Any]:
    events = _monitoring.events
    return {
        events.LINE: _on_line,
        events.JUMP: _on_jump,
        events.PY_RETURN: _on_return,
        events.PY_YIELD: _on_yield,
    }


def _on_line(code: CodeType, number: int) -> None:
    if (told := _told.get(threading.get_ident())) is not None:
        frame = sys._getframe(1)
        told.comes_to(frame, frame.f_lasti, number)


def _on_jump(code: CodeType, offset: int, target: int) -> Any:
    if target >= offset:
        return _monitoring.DISABLE
    if (told := _told.get(threading.get_ident())) is not None:
        told.jumps_back(sys._getframe(1), offset, target)
    return None


def _on_return(code: CodeType, offset: int, value: Any) -> None:
    if (told := _told.get(threading.get_ident())) is None:
        return
    if code is origin.takes_tracebacks():
        told.takes(sys._getframe(1), origin.traceback_in(value))
    else:
        told.gives(sys._getframe(1), value, goes_on=False)


def _on_yield(code: CodeType, offset: int, value: Any) -> None:
    if (told := _told.get(threading.get_ident())) is not None:
        told.gives(sys._getframe(1), value, goes_on=True)
