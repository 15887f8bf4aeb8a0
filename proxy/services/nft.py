"""Two ways to hand a transaction to nft: the library in this process, or the program.

The library (libnftables, which the program itself is a thin cover of) takes a fifth of a millisecond where starting
the program takes ten; the program is there for machines that have only that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Protocol

from panal import tools

from .dataplane import DataplaneError

LIBRARY = "libnftables.so.1"
_TIMEOUT = 60.0
"""Seconds for one transaction of the program; thousands of Services take a fraction of one."""
_COMPLAINT = 600
"""Characters of nft's words that are passed on."""


class TooLong(DataplaneError):
    """The transaction does not fit the kernel's socket buffer, which only the machine's root may enlarge."""


class Nft(Protocol):
    """Runs transactions in the network namespace that it was made in."""

    async def run(self, transaction: str) -> None:
        """Put all of it in force, or nothing: raises DataplaneError then, and TooLong when parts of it might do."""


def find(environ: Mapping[str, str]) -> Nft | None:
    """The program $PANAL_NFT, else the library, else the program in PATH, where Debian has it for root only, or among
    the unpacked ones."""
    if given := environ.get("PANAL_NFT"):
        return NftProgram(given)
    try:
        return NftLibrary(environ)
    except OSError:
        program = tools.which("nft", environ, path=environ.get("PATH", os.defpath))
        return NftProgram(program) if program else None


class NftProgram:
    """`nft -f -`, a process a transaction."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def run(self, transaction: str) -> None:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                self._path, "-f", "-", stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe
            )
        except OSError as error:
            raise DataplaneError(f"{self._path}: {error.strerror}") from error
        try:
            async with asyncio.timeout(_TIMEOUT):
                _, complaint = await process.communicate(transaction.encode())
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        if process.returncode != 0:
            raise _refusal(complaint)


class NftLibrary:
    """libnftables by ctypes. Calls leave the event loop free: they run on a thread, one at a time."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raises OSError when the library is not there."""
        import ctypes

        library: Any = tools.shared_library(LIBRARY, environ)
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self._library = library
        self._context = ctypes.c_void_p(library.nft_ctx_new(0))
        library.nft_ctx_buffer_error(self._context)
        library.nft_ctx_buffer_output(self._context)

    async def run(self, transaction: str) -> None:
        await asyncio.to_thread(self._run, transaction.encode())

    def _run(self, transaction: bytes) -> None:
        failed = self._library.nft_run_cmd_from_buffer(self._context, transaction)
        complaint: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise _refusal(complaint)


def _refusal(complaint: bytes) -> DataplaneError:
    text = complaint[:_COMPLAINT].decode(errors="replace").strip()
    return (TooLong if "Message too long" in text else DataplaneError)(f"nft: {text}")
