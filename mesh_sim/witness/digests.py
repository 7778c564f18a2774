"""Size and MD5 of payloads, taken as their blocks pass by; nothing of a payload is kept.

MD5 is what the catalogue compares by (witness-tests.md, case 501); it guards nothing here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from mesh_sim.gzip import Decompressor, GzipError

MOST_REASSEMBLIES: Final = 100
"""So many messages are followed from chunk to chunk at a time; the oldest gives way to a further one."""

MOST_BYTES: Final = 10_000_000_000
"""No longer body is followed: what gzip makes of 100 MB takes minutes at worst, and its sender waits."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A payload's size in bytes, and its MD5 in lower-case hex."""

    size: int
    md5: str


class RunningDigest:
    """The digest of what has come so far."""

    __slots__ = ("_md5", "follows", "size")

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self.follows: RunningDigest | None = None
        """What this one was before more came."""

    def add(self, data: bytes) -> None:
        """Go on with these bytes."""
        self._md5.update(data)
        self.size += len(data)

    def further(self) -> RunningDigest:
        """Give one that goes on from here, while this one stays as it is."""
        further = RunningDigest()
        further._md5, further.size = self._md5.copy(), self.size
        further.follows = self
        return further

    def so_far(self) -> Digest:
        """Give the digest of everything until now."""
        return Digest(self.size, self._md5.hexdigest())


class PayloadDigest:
    """The digest of one body as it travels, decompressed where it travels as gzip.

    Args:
        gzip: the body is gzip by itself, as each chunk of a compressed message is (mesh-api.md section 8).
        whole: the digest of the message that the body is part of; it goes on with the same bytes.
        most: from how many bytes on there is none.
    """

    def __init__(
        self, *, gzip: bool = False, whole: RunningDigest | None = None, most: int = MOST_BYTES
    ) -> None:
        self._most = most
        self._decompressor = Decompressor() if gzip else None
        self._body = RunningDigest()
        self._broken = False
        self.whole = whole
        self.digest: Digest | None = None
        """None until the body has ended, and where it is too long or not the gzip that it should be."""

    def feed(self, block: bytes) -> None:
        """Go on with the next block, in the order in which they travel."""
        if self._broken:
            return
        if self._decompressor is None:
            self._add(block)
            return
        try:
            for plain in self._decompressor.feed(block):
                if not self._add(plain):
                    return
        except GzipError:
            self._broken = True

    def end(self) -> None:
        """Have the digest: every block has come."""
        if self._broken:
            return
        if self._decompressor is not None:
            try:
                for plain in self._decompressor.finish():
                    if not self._add(plain):
                        return
            except GzipError:
                return
        self.digest = self._body.so_far()

    def _add(self, plain: bytes) -> bool:
        """Go on with plain bytes; tell whether more may follow."""
        self._body.add(plain)
        if self.whole is not None:
            self.whole.add(plain)
        self._broken = self._body.size > self._most
        return not self._broken


class Reassembly:
    """The digest of a message whose chunks are taken in one by one, from its first on.

    The last of them may come again and counts anew, as from a client that did not hear that it had arrived.
    """

    def __init__(self, first: RunningDigest) -> None:
        self.chunks = 1
        """How many chunks it is of."""
        self._before, self._after = RunningDigest(), first

    def begin(self, number: int) -> RunningDigest | None:
        """Give what a chunk goes on from; None where it does not follow."""
        if number == self.chunks + 1:
            return self._after.further()
        return self._before.further() if number == self.chunks else None

    def take(self, whole: RunningDigest | None) -> bool:
        """Go on with a chunk that was taken in; tell whether it followed."""
        # Chunks may overlap in time: what one began from must still be what it follows.
        if whole is None or whole.follows not in (self._before, self._after):
            return False
        if whole.follows is self._after:
            self.chunks += 1
            self._before = self._after
        whole.follows = None  # or all that ever came would be held, one by the next
        self._after = whole
        return True

    def so_far(self) -> Digest:
        """Give the digest of all its chunks."""
        return self._after.so_far()


class Reassemblies:
    """The messages that are being sent in chunks, for as long as their chunks come in order."""

    def __init__(self, most: int = MOST_REASSEMBLIES) -> None:
        self._most = most
        self._of: dict[str, Reassembly] = {}

    def __len__(self) -> int:
        return len(self._of)

    def begin(self, message_id: str, number: int) -> RunningDigest | None:
        """Give what a chunk goes on from; None where it does not follow those that were taken in."""
        reassembly = self._of.get(message_id)
        if reassembly is not None:
            return reassembly.begin(number)
        return RunningDigest() if number == 1 else None

    def take(self, message_id: str, number: int, payload: PayloadDigest) -> None:
        """Go on with a chunk that was taken in; a message whose order it breaks is not followed any more."""
        whole = payload.whole if payload.digest is not None else None
        reassembly = self._of.get(message_id)
        if reassembly is not None:
            if not reassembly.take(whole):
                del self._of[message_id]
        elif number == 1 and whole is not None:
            if len(self._of) >= self._most:
                del self._of[next(iter(self._of))]
            self._of[message_id] = Reassembly(whole)

    def complete(self, message_id: str, total: int) -> Digest | None:
        """Forget a message whose chunks are all there; give its digest, or None if they came out of order."""
        reassembly = self._of.pop(message_id, None)
        if reassembly is None or reassembly.chunks != total:
            return None
        return reassembly.so_far()
