"""MNIST from its public mirrors, checksums verified.

Yann LeCun, Corinna Cortes and Christopher J. C. Burges, The MNIST database of handwritten digits.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from packtrain.client.errors import PacktrainError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# SHA-256 of the files as both mirrors serve them.
FILES = {
    "train-images-idx3-ubyte.gz": "db8f937d487057fb14a9f0fbe97f0bc8d311ab41b750d41e1ff37c43b9e55e19",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
_TIMEOUT_SECONDS = 30
# Twice the largest file: what a mirror sends beyond is not MNIST.
_MAX_BYTES = 20 * 2**20
_PIECE_BYTES = 2**16


class DownloadError(PacktrainError):
    """No mirror gave the file."""


def download_mnist(
    directory: Path, mirrors: Sequence[str] = MIRRORS
) -> Iterator[tuple[Path, bool]]:
    """Fetch the four IDX files: (path, whether it was fetched now) for each.

    A file appears under its name only when its checksum is right. DownloadError names what went
    wrong with each mirror.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, digest in FILES.items():
        path = directory / name
        if path.exists() and _digest(path) == digest:
            yield path, False
            continue
        _fetch(name, digest, path, mirrors)
        yield path, True


def _fetch(name: str, digest: str, path: Path, mirrors: Sequence[str]) -> None:
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        if not url.startswith(("https://", "http://")):
            raise DownloadError(f"--mirror: expected a URL of http or https, not {mirror!r}")
        try:
            _fetch_from(url, digest, path)
        except (OSError, http.client.HTTPException, DownloadError) as error:
            failures.append(f"{url}: {error}")
        else:
            return
    raise DownloadError(f"{name} could not be fetched ({'; '.join(failures)})")


def _fetch_from(url: str, digest: str, path: Path) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        seen, size = hashlib.sha256(), 0
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,  # noqa: S310  (checked above)
        ):
            while piece := response.read(_PIECE_BYTES):
                size += len(piece)
                if size > _MAX_BYTES:
                    raise DownloadError(f"expected at most {_MAX_BYTES} bytes")
                seen.update(piece)
                file.write(piece)
        if seen.hexdigest() != digest:
            raise DownloadError(f"expected the SHA-256 {digest}, not {seen.hexdigest()}")
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
