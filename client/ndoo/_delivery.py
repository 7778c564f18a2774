"""Getting a list to the service exactly once, whatever is lost on the way.

The first POST of a message is never repeated blindly: when nothing is known of it, tracking by the local id
tells whether the list has arrived, has not, or has in part (mesh-api.md sections 13 and 14).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ndoo.errors import (
    AnswerPending,
    CertificateRefused,
    CheckError,
    ConfigError,
    MeshError,
    MessageUnknown,
    NdooError,
    NotDelivered,
    RequestRefused,
    RequestTimeout,
)
from ndoo.journal import Journal, Stage, Submission
from ndoo.mailbox import Mailbox
from ndoo.output import claim
from ndoo.progress import Progress

_TRIES: Final = 2
"""How many times one run sends a list that proves not to have arrived."""

_SEVERAL: Final = 300
"""Status of tracking a local id that several messages have (mesh-api.md section 14)."""

_SLOW_GATEWAY: Final = (502, 504)
"""What a gateway answers that has lost patience; the server behind it may still be taking the list in."""

_LONGEST_INTAKE: Final = 60.0
"""Seconds after which a server of the NHS has taken in a list, or never will: after that tracking can be
believed that does not know it. At the simulator a second is enough."""

_SOON: Final = 2.0
"""Seconds that finding out may be put off while somebody waits for it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What tracking says of a list that has reached the server."""

    message_id: str
    status: str
    code: str = ""
    description: str = ""


async def find_sent(mailbox: Mailbox, local_id: str) -> Found | None:
    """Ask what this mailbox has sent with a local id; None for nothing.

    Raises:
        MeshError: this cannot be told.
    """
    try:
        tracking = await mailbox.track(local_id=local_id)
    except MessageUnknown:
        return None
    except RequestRefused as error:
        if error.status != _SEVERAL:
            raise
        # It arrived more than once, for all our care; the first answer will be the answer.
        return Found("", "accepted")
    return Found(tracking.message_id, tracking.status, tracking.status_code, tracking.status_description)


class Delivery:
    """Gets one list, which the journal keeps, to the service.

    Args:
        mailbox: the mailbox it is sent from.
        journal: the journal.
        submission: a prepared one.
        progress: told how many bytes are sent, and what was found out.
        patience: seconds after the last try from which tracking can be believed that knows nothing of it.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        journal: Journal,
        submission: Submission,
        progress: Progress,
        patience: float,
    ) -> None:
        self._mailbox = mailbox
        self._journal = journal
        self._submission = submission
        self._local_id = submission.local_id
        self._list = journal.list_of(submission.local_id)
        self._progress = progress
        self._patience = min(patience, _LONGEST_INTAKE)

    async def send(self) -> Submission:
        """Send the list for the first time.

        Returns:
            The submission as sent.

        Raises:
            CheckError: it did not arrive, twice, and is recorded as failed; or whether it arrived, or the
                rest of it, cannot be told now, and ``settle`` finds out later. The text says which.
            NotDelivered: MESH could not deliver it; recorded as failed.
            NdooError: it was refused; recorded as failed.
        """
        async with self._alone() as submission:
            if submission.stage is not Stage.PREPARED:
                return submission
            for tries_left in reversed(range(_TRIES)):
                sent = await self._try()
                if sent is not None:
                    return sent
                if tries_left:
                    await self._tell(
                        f"the connection broke while {self._local_id} was sent; by tracking it had not "
                        "arrived, and it was sent again"
                    )
            raise await self._fail(
                f"{self._local_id} did not reach the server, so nothing was sent: submit the list again"
            )

    async def settle(self) -> Submission:
        """Find out whether the list has arrived whose sending was not confirmed; send it if it has not.

        Returns:
            The submission as sent.

        Raises:
            CheckError: its list is lost, and it is recorded as failed; or it cannot be sent now, and this can
                be tried again. The text says which.
            NotDelivered: MESH could not deliver it; recorded as failed.
            NdooError: it was refused; recorded as failed.
            MeshError: the server cannot be asked; nothing is recorded.
        """
        if not await asyncio.to_thread(self._list.exists):
            return await self._settle_without_list()
        async with self._alone() as submission:
            if submission.stage is not Stage.PREPARED:
                return submission
            await self._await_intake(submission)
            tracking = await find_sent(self._mailbox, self._local_id)
            if tracking is not None:
                if tracking.status != "uploading":
                    await self._tell(
                        f"whether {self._local_id} had been sent was not known; by tracking it had arrived"
                    )
                return await self._conclude(tracking)
            await self._tell(
                f"whether {self._local_id} had been sent was not known; by tracking it had not arrived, and "
                "it is sent now"
            )
            sent = await self._try()
            if sent is None:
                raise CheckError(
                    self._local_id,
                    f"{self._local_id} did not reach the server; nothing is lost: 'ndoo collect' sends it "
                    "again",
                )
            return sent

    async def _settle_without_list(self) -> Submission:
        tracking = await find_sent(self._mailbox, self._local_id)
        if tracking is not None and tracking.status != "uploading":
            return await self._conclude(tracking)
        raise await self._fail(
            f"{self._local_id} did not reach the server, and its list is not kept here any more, so nothing "
            "was sent: submit the list again"
        )

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Submission]:
        """Keep other processes from sending the same list; gives what is recorded of it then."""
        with claim(self._list) as alone:
            if not alone:
                raise AnswerPending(
                    self._local_id,
                    f"another process is sending {self._local_id}; 'ndoo collect' fetches the answer later",
                )
            yield await asyncio.to_thread(self._journal.get, self._local_id)

    async def _await_intake(self, submission: Submission) -> None:
        """Give the server time to take in what an earlier try may have sent; tracking knows it only then."""
        if submission.tried_at is None:
            return
        since = (self._journal.now() - submission.tried_at).total_seconds()
        left = self._patience - since if since >= 0 else 0.0
        if left > _SOON:
            raise AnswerPending(
                self._local_id,
                f"{self._local_id} was sent {since:.0f} s ago and the answer lost; the server may still be "
                f"taking it in, so that whether it arrived can be told in {left:.0f} s: 'ndoo collect' finds "
                "out then, and goes on",
            )
        await asyncio.sleep(max(0.0, left))

    # -- one try ------------------------------------------------------------------------------------

    async def _try(self) -> Submission | None:
        """Send the list once; gives None where it proves not to have arrived."""
        size = await asyncio.to_thread(_size, self._list)
        await asyncio.to_thread(self._journal.tried, self._local_id)
        try:
            message_id = await self._mailbox.send(
                self._submission.service_mailbox,
                self._submission.workflow_id,
                self._list,
                local_id=self._local_id,
                subject=self._submission.subject,
                file_name=f"{self._local_id}.dat",
                compress=self._submission.compress,
                progress=lambda done: self._progress.sending(done, size),
            )
        except NdooError as error:
            if not _may_have_arrived(error):
                await asyncio.to_thread(self._journal.failed, self._local_id, f"nothing was sent: {error}")
                raise
            if isinstance(error, RequestTimeout) or _status(error) in _SLOW_GATEWAY:
                # The server may still be taking the list in, so that tracking would not find it yet.
                raise CheckError(
                    self._local_id,
                    f"no answer came in time while {self._local_id} was sent, and whether it arrived cannot "
                    "be told yet; do not submit it again: 'ndoo collect' finds out and goes on",
                ) from error
            return await self._find_out(error)
        return await self._sent(message_id)

    async def _find_out(self, error: NdooError) -> Submission | None:
        """Ask what has become of a list whose sending ended in ``error``; None if it did not arrive."""
        try:
            tracking = await find_sent(self._mailbox, self._local_id)
        except MeshError as unknown:
            raise CheckError(
                self._local_id,
                f"the connection broke while {self._local_id} was sent, and whether it arrived cannot be "
                f"told yet ({unknown}); do not submit it again: 'ndoo collect' finds out and goes on",
            ) from error
        if tracking is None:
            return None
        if tracking.status != "uploading":
            await self._tell(
                f"the answer was lost when {self._local_id} was sent; by tracking it had arrived"
            )
        return await self._conclude(tracking)

    async def _conclude(self, tracking: Found) -> Submission:
        """Go on from what tracking says of a list that has reached the server, at least in part."""
        match tracking.status:
            case "uploading":
                await self._send_rest(tracking)
                # Were the list cut otherwise than at first, there might be nothing left to send of it.
                if (await find_sent(self._mailbox, self._local_id) or tracking).status == "uploading":
                    raise await self._fail(
                        f"only a part of {self._local_id} reached the server, and the rest cannot be sent: "
                        "submit the list again"
                    )
                await self._tell(f"only a part of {self._local_id} had arrived, and the rest was sent again")
            case "undeliverable" | "error":
                reason = tracking.description or f"its status is {tracking.status}"
                text = f"{self._local_id} was not delivered: {reason}; submit the list again"
                await asyncio.to_thread(self._journal.failed, self._local_id, text)
                raise NotDelivered(self._local_id, text, tracking.code)
            case _:
                pass
        return await self._sent(tracking.message_id)

    async def _send_rest(self, uploading: Found) -> None:
        size = await asyncio.to_thread(_size, self._list)
        try:
            await self._mailbox.resume(
                uploading.message_id,
                self._list,
                chunk_size=self._submission.chunk_size or None,
                compress=self._submission.compress,
                progress=lambda done: self._progress.sending(done, size),
            )
        except RequestRefused as error:
            if (await find_sent(self._mailbox, self._local_id) or uploading).status != "uploading":
                return  # another try has completed it
            raise await self._fail(
                f"only a part of {self._local_id} reached the server, which refuses the rest ({error}), so "
                "nothing was sent: submit the list again"
            ) from error
        except MeshError as error:
            raise CheckError(
                self._local_id,
                f"only a part of {self._local_id} has reached the server ({error}); do not submit it again: "
                "'ndoo collect' sends the rest",
            ) from error

    # -- what is recorded and said ------------------------------------------------------------------

    async def _sent(self, message_id: str) -> Submission:
        try:
            submission = await asyncio.to_thread(self._journal.sent, self._local_id, message_id)
        except ConfigError as error:
            raise CheckError(
                self._local_id,
                f"{self._local_id} is sent, but that cannot be recorded ({error}); do not submit it again: "
                "when this is put right, 'ndoo collect' goes on",
            ) from error
        self._progress.step("submitted", local_id=self._local_id, message_id=message_id)
        return submission

    async def _fail(self, text: str) -> CheckError:
        await asyncio.to_thread(self._journal.failed, self._local_id, text)
        return CheckError(self._local_id, text)

    async def _tell(self, sentence: str) -> None:
        await asyncio.to_thread(self._journal.remarked, self._local_id, sentence)
        self._progress.say(sentence)


def _size(path: Path) -> int:
    return path.stat().st_size


def _status(error: NdooError) -> int | None:
    return error.status if isinstance(error, MeshError) else None


def _may_have_arrived(error: NdooError) -> bool:
    """Tell whether a send that ended in ``error`` may have delivered the list all the same."""
    if not isinstance(error, MeshError) or isinstance(error, CertificateRefused):
        return False
    return error.status is None or not 400 <= error.status < 500
