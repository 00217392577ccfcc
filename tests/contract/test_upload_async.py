"""Asynchronous uploads and replacements: Flickr gives a ticket, the job ends with the photo.

In one file, as the simulator's orders for tickets are for whoever comes next.
"""

import pytest

from tests.support.callback_receiver import CallbackReceiver
from tests.support.hub_account import Account, photo_id_of
from tests.support.photographs import jpeg
from tests.support.simulator import Simulator

TICKETS = "flickr.photos.upload.checkTickets"


async def test_an_asynchronous_upload_ends_with_the_photos_id(
    account: Account, sim: Simulator, receiver: CallbackReceiver
) -> None:
    photo = jpeg()
    await sim.order_tickets(seconds=2.5)
    params = {"photo_ref": await account.hand_over(photo), "async": 1, "title": "later"}
    job_id = await account.enqueue_upload(params, callback_url=receiver.url("/later"))
    ended = await account.ended(job_id)
    (stored,) = await sim.uploaded(photo)
    assert (photo_id_of(ended), stored["title"]) == (stored["id"], "later")
    ticket = ended["returnvalue"]["flickr"]["ticketid"]["_content"]
    assert isinstance(ticket, str)
    assert "-" in ticket
    assert ended["returnvalue"]["observability"]["attempt"] == 1  # to ask is no attempt
    (call,) = await receiver.received(1, "/later")
    assert (call.json()["result"], call.json()["attempts_made"]) == (ended["returnvalue"]["flickr"], 1)
    assert len(await sim.calls(account.app, kind="upload")) == 1
    assert [asked["params"]["tickets"] for asked in await sim.calls(account.app, TICKETS)][-1] == ticket


async def test_an_asynchronous_replacement_ends_with_the_photos_id(account: Account, sim: Simulator) -> None:
    old, new = jpeg(), jpeg()
    photo_id = photo_id_of(await account.run_upload({"photo_ref": await account.hand_over(old)}))
    params = {"photo_ref": await account.hand_over(new), "photo_id": photo_id, "async": "1"}
    ended = await account.run_upload(params, target="replace")
    assert photo_id_of(ended) == photo_id
    assert isinstance(ended["returnvalue"]["flickr"]["ticketid"]["_content"], str)
    (stored,) = await sim.uploaded(old, new)
    assert (stored["sha256"], stored["replaced"]) == (new.sha256, 1)


@pytest.mark.parametrize("target", ["upload", "replace"])
async def test_what_flickr_fails_to_process_is_a_failed_job(
    account: Account, sim: Simulator, receiver: CallbackReceiver, target: str
) -> None:
    photo, more = jpeg(), {}
    if target == "replace":
        more["photo_id"] = photo_id_of(await account.run_upload({"photo_ref": await account.hand_over(jpeg())}))
    await sim.order_tickets(complete=2)
    ref = await account.hand_over(photo)
    params = {"photo_ref": ref, "async": 1, **more}
    ended = await account.run_upload(params, target=target, callback_url=receiver.url("/no"))
    assert ended["state"] == "failed"
    assert ended["failedReason"]
    (call,) = await receiver.received(1, "/no")
    assert call.json()["error"]["code"] == "ERR_UPLOAD_NOT_PROCESSED"
    assert await sim.uploaded(photo) == []
    again = await account.run_upload({**params, "async": 0}, target=target)
    assert [stored["id"] for stored in await sim.uploaded(photo)] == [photo_id_of(again)]
