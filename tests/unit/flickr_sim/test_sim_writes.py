"""Methods that change the world, seen through those that look."""

from typing import Any

import pytest

from flickr_sim.credentials import AccessToken
from tests.unit.flickr_sim.caller import Caller


@pytest.fixture
def token(sim: Caller) -> AccessToken:
    return sim.grant()


@pytest.fixture
def photo(sim: Caller) -> str:
    """A public photo of the first person's."""
    world = sim.simulator.world
    mine = (one for one in world.photos.values() if one.owner == world.first_person.nsid and one.is_public)
    return next(mine).id


@pytest.fixture
def foreign(sim: Caller) -> str:
    """A public photo of somebody else's that nobody favours."""
    world = sim.simulator.world
    others = (one for one in world.photos.values() if one.owner != world.first_person.nsid and one.is_public)
    return next(one for one in others if not one.favorites and not one.comments).id


async def info(sim: Caller, token: AccessToken, photo: str) -> Any:
    return (await sim.ok("flickr.photos.getInfo", token, photo_id=photo))["photo"]


async def test_title_and_description_change_one_at_a_time(sim: Caller, token: AccessToken, photo: str) -> None:
    answer = await sim.ok("flickr.photos.setMeta", token, photo_id=photo, title="Ünïcode & co", description="")
    assert answer["photo"] == {"title": {"_content": "Ünïcode & co"}, "description": {"_content": ""}}
    await sim.ok("flickr.photos.setMeta", token, photo_id=photo, description="new")
    seen = await info(sim, token, photo)
    assert (seen["title"]["_content"], seen["description"]["_content"]) == ("Ünïcode & co", "new")
    found = await sim.ok("flickr.photos.search", token, text="ünïcode")
    assert [one["id"] for one in found["photos"]["photo"]] == [photo]
    message = "At least one of title or description must be set"
    assert await sim.error("flickr.photos.setMeta", token, photo_id=photo) == (2, message)


WRITES = [
    "flickr.photos.setMeta",
    "flickr.photos.addTags",
    "flickr.photos.setTags",
    "flickr.photos.setPerms",
    "flickr.photos.setDates",
    "flickr.photos.setSafetyLevel",
    "flickr.photos.setContentType",
    "flickr.photos.licenses.setLicense",
    "flickr.photos.geo.setLocation",
    "flickr.photos.geo.removeLocation",
    "flickr.photos.delete",
]


@pytest.mark.parametrize("method", WRITES)
async def test_only_the_owner_writes(sim: Caller, token: AccessToken, foreign: str, method: str) -> None:
    not_yours = f'Photo "{foreign}" not found (not your photo)'
    assert await sim.error(method, token, photo_id=foreign, title="x", tags="x") == (1, not_yours)
    assert await sim.error(method, token, photo_id="5", title="x") == (1, 'Photo "5" not found (invalid ID)')


async def test_tags_are_added_once_found_and_removed(sim: Caller, token: AccessToken, photo: str) -> None:
    await sim.ok("flickr.photos.setTags", token, photo_id=photo, tags="")
    added = await sim.ok("flickr.photos.addTags", token, photo_id=photo, tags='Red "Two Words" red hub:job=A-1')
    tags = added["tags"]["tag"]
    assert [(tag["raw"], tag["_content"], tag["machine_tag"]) for tag in tags] == [
        ("Red", "red", 0),
        ("Two Words", "twowords", 0),
        ("hub:job=A-1", "hub:job=a1", 1),
    ]
    again = await sim.ok("flickr.photos.addTags", token, photo_id=photo, tags="RED")
    assert again["tags"] == {"tag": []}
    found = await sim.ok("flickr.photos.search", token, user_id="me", machine_tags="hub:job=A-1")
    assert [one["id"] for one in found["photos"]["photo"]] == [photo]
    full_id = tags[0]["full_tag_id"]
    await sim.ok("flickr.photos.removeTag", token, tag_id=full_id)
    assert await sim.error("flickr.photos.removeTag", token, tag_id=full_id) == (1, "Tag not found")
    assert [tag["_content"] for tag in (await info(sim, token, photo))["tags"]["tag"]] == ["twowords", "hub:job=a1"]


async def test_setting_tags_replaces_all_and_keeps_the_ids_of_those_that_stay(
    sim: Caller, token: AccessToken, photo: str
) -> None:
    await sim.ok("flickr.photos.setTags", token, photo_id=photo, tags="one two")
    before = {tag["_content"]: tag["id"] for tag in (await info(sim, token, photo))["tags"]["tag"]}
    await sim.ok("flickr.photos.setTags", token, photo_id=photo, tags="two three")
    after = {tag["_content"]: tag["id"] for tag in (await info(sim, token, photo))["tags"]["tag"]}
    assert list(after) == ["two", "three"]
    assert after["two"] == before["two"]
    many = " ".join(f"t{number}" for number in range(76))
    assert await sim.error("flickr.photos.setTags", token, photo_id=photo, tags=many) == (
        2,
        "Maximum number of tags reached",
    )


async def test_permissions_hide_a_photo_from_others(sim: Caller, token: AccessToken, photo: str) -> None:
    fields = {"is_public": "0", "is_friend": "0", "is_family": "1", "perm_comment": "0"}
    answer = await sim.ok("flickr.photos.setPerms", token, photo_id=photo, **fields)
    assert answer["photoid"]["_content"] == photo
    assert set(answer["photoid"]) == {"_content", "secret", "originalsecret"}
    perms = (await sim.ok("flickr.photos.getPerms", token, photo_id=photo))["perms"]
    assert perms == {
        "id": photo,
        "ispublic": 0,
        "isfriend": 0,
        "isfamily": 1,
        "permcomment": 0,
        "permaddmeta": 2,
        "permprint": 0,
    }
    assert (await sim.error("flickr.photos.getInfo", photo_id=photo))[0] == 1
    code, message = await sim.error("flickr.photos.setPerms", token, photo_id=photo, is_public="1")
    assert (code, message) == (2, "Required arguments missing")


async def test_dates_are_checked_before_any_is_used(sim: Caller, token: AccessToken, photo: str) -> None:
    method = "flickr.photos.setDates"
    before = (await info(sim, token, photo))["dates"]
    wrong = [
        ({}, 2, "Not enough arguments"),
        ({"date_taken_granularity": "5"}, 3, "Invalid granularity"),
        ({"date_posted": "yesterday"}, 4, "Invalid date_posted"),
        ({"date_posted": "99999999999"}, 4, "Invalid date_posted"),
        ({"date_posted": "1600000000", "date_taken": "1/2/2020"}, 5, "Invalid Date Taken Format"),
        ({"date_posted": "1600000000", "date_taken": "2020-02-31 00:00:00"}, 6, "Invalid Date Taken"),
    ]
    for fields, code, message in wrong:
        assert await sim.error(method, token, photo_id=photo, **fields) == (code, message)
    assert (await info(sim, token, photo))["dates"] == before
    fields = {"date_posted": "1600000000", "date_taken": "2020-02-29 10:11:12", "date_taken_granularity": "4"}
    assert await sim.ok(method, token, photo_id=photo, **fields) == {"stat": "ok"}
    dates = (await info(sim, token, photo))["dates"]
    assert (dates["posted"], dates["taken"], dates["takengranularity"]) == ("1600000000", "2020-02-29 10:11:12", 4)


@pytest.mark.parametrize(
    ("method", "good", "bad", "error", "member", "value"),
    [
        ("setSafetyLevel", {"safety_level": "3"}, {"safety_level": "4"}, 2, "safety_level", "2"),
        ("licenses.setLicense", {"license_id": "4"}, {"license_id": "99"}, 2, "license", "4"),
    ],
)
async def test_levels_and_licences_are_set(
    sim: Caller,
    token: AccessToken,
    photo: str,
    method: str,
    good: dict[str, str],
    bad: dict[str, str],
    error: int,
    member: str,
    value: str,
) -> None:
    assert (await sim.error(f"flickr.photos.{method}", token, photo_id=photo, **bad))[0] == error
    assert await sim.ok(f"flickr.photos.{method}", token, photo_id=photo, **good) == {"stat": "ok"}
    assert (await info(sim, token, photo))[member] == value


async def test_a_place_is_set_and_removed(sim: Caller, token: AccessToken, photo: str) -> None:
    where = {"lat": "41.15", "lon": "-8.61"}
    wrong = [
        ({"lat": "1"}, 2),
        ({"lat": "91", "lon": "0"}, 3),
        ({"lat": "0", "lon": "nan"}, 4),
        ({**where, "accuracy": "17"}, 5),
    ]
    for fields, code in wrong:
        assert (await sim.error("flickr.photos.geo.setLocation", token, photo_id=photo, **fields))[0] == code
    await sim.ok("flickr.photos.geo.setLocation", token, photo_id=photo, **where)
    location = (await sim.ok("flickr.photos.geo.getLocation", token, photo_id=photo))["photo"]["location"]
    assert (location["latitude"], location["longitude"], location["accuracy"]) == ("41.15", "-8.61", "16")
    await sim.ok("flickr.photos.geo.removeLocation", token, photo_id=photo)
    gone = (2, "Photo has no location information")
    assert await sim.error("flickr.photos.geo.removeLocation", token, photo_id=photo) == gone
    assert await sim.error("flickr.photos.geo.getLocation", token, photo_id=photo) == gone


async def test_a_deleted_photo_is_gone_everywhere(sim: Caller, token: AccessToken, photo: str) -> None:
    title = {"title": "Mine", "primary_photo_id": photo}
    photoset = (await sim.ok("flickr.photosets.create", token, **title))["photoset"]["id"]
    assert await sim.ok("flickr.photos.delete", token, photo_id=photo) == {"stat": "ok"}
    gone = (1, f'Photo "{photo}" not found (invalid ID)')
    assert await sim.error("flickr.photos.delete", token, photo_id=photo) == gone
    assert await sim.error("flickr.photos.getInfo", token, photo_id=photo) == gone
    assert await sim.error("flickr.photosets.getPhotos", token, photoset_id=photoset) == (1, "Photoset not found")
    assert photo not in {one["id"] for one in (await sim.http.get("/_sim/photos")).json()}


async def test_a_set_lives_from_create_to_delete(sim: Caller, token: AccessToken, photo: str, foreign: str) -> None:
    mine = [one.id for one in sim.simulator.world.photos.values() if one.owner == token.account and one.id != photo]
    second = mine[0]

    async def photos(photoset: str) -> list[str]:
        answer = await sim.ok("flickr.photosets.getPhotos", token, photoset_id=photoset)
        return [one["id"] for one in answer["photoset"]["photo"]]

    assert await sim.error("flickr.photosets.create", token, primary_photo_id=photo) == (1, "No title specified")
    assert await sim.error("flickr.photosets.create", token, title="x", primary_photo_id=foreign) == (
        2,
        "Photo not found",
    )
    made = (await sim.ok("flickr.photosets.create", token, title="Trip", primary_photo_id=photo))["photoset"]
    kept = {"photoset_id": made["id"]}
    assert made["url"] == f"https://www.flickr.com/photos/ada-harbour/sets/{made['id']}/"
    assert await sim.ok("flickr.photosets.addPhoto", token, **kept, photo_id=second) == {"stat": "ok"}
    assert await sim.error("flickr.photosets.addPhoto", token, **kept, photo_id=second) == (3, "Photo already in set")
    assert await photos(made["id"]) == [photo, second]
    await sim.ok("flickr.photosets.editPhotos", token, **kept, primary_photo_id=second, photo_ids=f"{second},{photo}")
    assert await photos(made["id"]) == [second, photo]
    await sim.ok("flickr.photosets.removePhoto", token, **kept, photo_id=second)
    assert await sim.error("flickr.photosets.removePhoto", token, **kept, photo_id=second) == (3, "Photo not in set")
    await sim.ok("flickr.photosets.editMeta", token, **kept, title="Longer trip", description="d")
    entry = (await sim.ok("flickr.photosets.getInfo", token, **kept))["photoset"]
    assert (entry["title"]["_content"], entry["primary"], entry["photos"]) == ("Longer trip", photo, 1)
    assert (await sim.error("flickr.photosets.delete", sim.grant(account="lamplighter"), **kept))[0] == 1
    assert await sim.ok("flickr.photosets.delete", token, **kept) == {"stat": "ok"}
    assert await sim.error("flickr.photosets.delete", token, **kept) == (1, "Photoset not found")


async def test_the_same_comment_twice_is_one(sim: Caller, token: AccessToken, foreign: str) -> None:
    method = "flickr.photos.comments.addComment"
    first = (await sim.ok(method, token, photo_id=foreign, comment_text="Nice!"))["comment"]
    again = (await sim.ok(method, token, photo_id=foreign, comment_text="Nice!"))["comment"]
    other = (await sim.ok(method, token, photo_id=foreign, comment_text="Nice?"))["comment"]
    assert first["id"] == again["id"] != other["id"]
    assert first["id"].split("-")[1] == foreign
    listed = (await sim.ok("flickr.photos.comments.getList", photo_id=foreign))["comments"]
    assert [one["_content"] for one in listed["comment"]] == ["Nice!", "Nice?"]
    assert await sim.error(method, token, photo_id=foreign, comment_text=" ") == (8, "Blank comment")
    edit = {"comment_id": first["id"], "comment_text": "Very nice!"}
    await sim.ok("flickr.photos.comments.editComment", token, **edit)
    delete = "flickr.photos.comments.deleteComment"
    stranger = sim.grant(account="lamplighter")
    assert (await sim.error(delete, stranger, comment_id=first["id"]))[0] == 99
    await sim.ok(delete, token, comment_id=first["id"])
    assert await sim.error(delete, token, comment_id=first["id"]) == (2, "Comment not found")


async def test_who_may_not_comment_is_told_so(sim: Caller, token: AccessToken, foreign: str) -> None:
    sim.simulator.world.photos[foreign].perm_comment = 0
    answer = await sim.error("flickr.photos.comments.addComment", token, photo_id=foreign, comment_text="x")
    assert answer == (99, "Insufficient permission to comment")


async def test_favourites_come_and_go(sim: Caller, token: AccessToken, photo: str, foreign: str) -> None:
    await sim.ok("flickr.favorites.add", token, photo_id=foreign)
    assert await sim.error("flickr.favorites.add", token, photo_id=foreign) == (3, "Photo is already in favorites")
    assert await sim.error("flickr.favorites.add", token, photo_id=photo) == (2, "Photo is owned by you")
    listed = (await sim.ok("flickr.favorites.getList", token))["photos"]["photo"]
    assert (listed[0]["id"], "date_faved" in listed[0]) == (foreign, True)
    faved = (await sim.ok("flickr.photos.getFavorites", photo_id=foreign))["photo"]
    assert [person["nsid"] for person in faved["person"]] == [token.account]
    await sim.ok("flickr.favorites.remove", token, photo_id=foreign)
    assert await sim.error("flickr.favorites.remove", token, photo_id=foreign) == (1, "Photo not in favorites")
    left = (await sim.ok("flickr.favorites.getList", token))["photos"]["photo"]
    assert foreign not in {one["id"] for one in left}
