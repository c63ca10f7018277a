"""The parsed project, kept from one process to the next as Python keeps its own code in `.pyc`
files: dbt reads what it keeps of a parse file by file, which takes as long as a build.

    target/manifest.bin    32 bytes that say of which project and by which versions, a checksum
                           (32 bytes), then the manifest's own fields, pickled

Written by this process alone, into a folder that nobody else may write to, like the code in
`templates.bin` beside it. A file of another project or other versions, or one that was damaged, is
not read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cdesk.core.home import replacing
from cdesk_app.worker.dbt.economy import versions

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

FILE: Final = "manifest.bin"
_DIGEST: Final = 32
_PROTOCOL: Final = 5
_OTHERWISE: Final = (pickle.UnpicklingError, AttributeError, ImportError, LookupError, TypeError)
"""What is raised where dbt's classes are no longer those that were kept."""


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


class KeptManifest:
    """The manifest that `file` keeps of the project with this fingerprint. Needs dbt."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        self._file = file
        self._head = _digest(f"{fingerprint} {versions()} python={sys.version}".encode())

    def load(self) -> Manifest | None:
        """As it was parsed; None where nothing that fits is kept."""
        try:
            data = self._file.read_bytes()
        except OSError:
            return None
        head, checksum, fields = data[:_DIGEST], data[_DIGEST : 2 * _DIGEST], data[2 * _DIGEST :]
        if head != self._head or checksum != _digest(fields):
            return None
        from dbt.contracts.graph.manifest import Manifest

        with contextlib.suppress(*_OTHERWISE):  # dbt was changed in place: it is parsed again
            return Manifest(**pickle.loads(fields))
        return None

    def keep(self, manifest: Manifest) -> None:
        """Keep it for the processes that come. Where the file can't be written nothing is kept."""
        # Not the whole object: dbt's own way of pickling it puts fields into each other's places.
        # What begins with an underscore is made of the rest when it is asked for.
        names = [field.name for field in dataclasses.fields(manifest)]
        kept = {name: getattr(manifest, name) for name in names if not name.startswith("_")}
        fields = pickle.dumps(kept, _PROTOCOL)
        with contextlib.suppress(OSError), replacing(self._file, sync=False) as file:
            file.writelines((self._head, _digest(fields), fields))
