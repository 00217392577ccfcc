"""Methods that only look: the shapes of section 5 of the facts."""

import pytest

from tests.unit.flickr_sim.caller import Caller

ME = "101234567@N02"


async def own_photo(sim: Caller, **fields: str) -> str:
    answer = await sim.ok("flickr.photos.search", sim.grant(), user_id="me", per_page="1", **fields)
    photo_id = answer["photos"]["photo"][0]["id"]
    assert isinstance(photo_id, str)
    return photo_id


async def test_login_null_and_check_token_say_who_calls(world_sim: Caller) -> None:
    token = world_sim.grant("write")
    login = await world_sim.ok("flickr.test.login", token)
    assert login == {
        "user": {"id": ME, "username": {"_content": "ada.harbour"}, "path_alias": "ada-harbour"},
        "stat": "ok",
    }
    assert await world_sim.ok("flickr.test.null", token) == {"stat": "ok"}
    assert await world_sim.ok("flickr.auth.oauth.checkToken", token, oauth_token=token.token) == {
        "oauth": {
            "token": {"_content": token.token},
            "perms": {"_content": "write"},
            "user": {"nsid": ME, "username": "ada.harbour", "fullname": "Ada Harbour"},
        },
        "stat": "ok",
    }


async def test_a_photo_tells_its_owner_more_than_others(world_sim: Caller) -> None:
    photo_id = await own_photo(world_sim, license="0", privacy_filter="1")
    mine = (await world_sim.ok("flickr.photos.getInfo", world_sim.grant(), photo_id=photo_id))["photo"]
    theirs = (await world_sim.ok("flickr.photos.getInfo", photo_id=photo_id))["photo"]
    assert set(mine) - set(theirs) == {"permissions", "originalsecret", "originalformat"}
    assert mine["owner"]["nsid"] == ME
    assert mine["owner"]["gift"]["eligible_durations"] == ["year", "month", "week"]
    assert isinstance(mine["dates"]["posted"], str)
    assert isinstance(mine["dates"]["takengranularity"], int)
    assert isinstance(mine["rotation"], int)
    assert mine["urls"]["url"][0]["_content"].endswith(f"/photos/ada-harbour/{photo_id}/")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("flickr.photos.getInfo", 'Photo "16062734376" not found (invalid ID)'),
        ("flickr.photos.getSizes", "Photo not found"),
        ("flickr.photos.comments.getList", "Photo not found"),
        ("flickr.photos.getFavorites", "Photo not found"),
        ("flickr.photos.getAllContexts", "Photo not found"),
        ("flickr.tags.getListPhoto", "Photo not found"),
    ],
)
async def test_a_photo_that_is_not_there_is_error_1(world_sim: Caller, method: str, message: str) -> None:
    assert await world_sim.error(method, photo_id="16062734376") == (1, message)


async def test_sizes_grow_and_end_with_the_original_for_its_owner(world_sim: Caller) -> None:
    photo_id = await own_photo(world_sim, license="0", privacy_filter="1")
    mine = (await world_sim.ok("flickr.photos.getSizes", world_sim.grant(), photo_id=photo_id))["sizes"]
    theirs = (await world_sim.ok("flickr.photos.getSizes", photo_id=photo_id))["sizes"]
    assert list(mine) == ["canblog", "canprint", "candownload", "size"]
    labels = [size["label"] for size in mine["size"]]
    assert labels[:4] == ["Square", "Large Square", "Thumbnail", "Small"]
    assert labels[-1] == "Original"
    assert [size["label"] for size in theirs["size"]] == labels[:-1]
    longest = [max(size["width"], size["height"]) for size in mine["size"][2:]]
    assert longest == sorted(longest)
    for size in mine["size"]:
        path = size["source"].removeprefix("https://live.staticflickr.com")
        image = await world_sim.http.get(path)
        assert (image.status_code, image.headers["content-type"], image.content[:2]) == (200, "image/jpeg", b"\xff\xd8")


@pytest.mark.parametrize(
    "path", ["/1/2_3.jpg", "/65535/52000000000_abc.jpg", "/x/y.jpg", "/65535/{id}_wrong_z.jpg", "/65535/{id}.jpg"]
)
async def test_an_image_without_the_right_secret_is_not_there(world_sim: Caller, path: str) -> None:
    photo_id = await own_photo(world_sim)
    assert (await world_sim.http.get(path.format(id=photo_id))).status_code == 404


async def test_people_are_found_by_name_and_address(world_sim: Caller) -> None:
    found = await world_sim.ok("flickr.people.findByUsername", username="ADA.Harbour")
    assert found["user"] == {"id": ME, "nsid": ME, "username": {"_content": "ada.harbour"}}
    assert await world_sim.error("flickr.people.findByUsername", username="nobody") == (1, "User not found")
    looked_up = await world_sim.ok("flickr.urls.lookupUser", url="https://www.flickr.com/photos/ada-harbour/")
    assert looked_up["user"]["id"] == ME
    assert await world_sim.error("flickr.urls.lookupUser", url="http://[bad") == (1, "User not found")
    photos = await world_sim.ok("flickr.urls.getUserPhotos", user_id=ME)
    assert photos["user"]["url"] == "https://www.flickr.com/photos/ada-harbour/"
    assert await world_sim.error("flickr.urls.getUserProfile") == (2, "No user specified")


async def test_a_person_tells_themselves_more_than_others(world_sim: Caller) -> None:
    mine = (await world_sim.ok("flickr.people.getInfo", world_sim.grant(), user_id="me"))["person"]
    theirs = (await world_sim.ok("flickr.people.getInfo", user_id=ME))["person"]
    assert set(mine) - set(theirs) >= {"upload_count", "upload_limit", "upload_limit_status"}
    assert mine["photos"]["count"]["_content"] > theirs["photos"]["count"]["_content"] > 0
    assert isinstance(theirs["photos"]["views"]["_content"], str)
    assert await world_sim.error("flickr.people.getInfo", user_id="1@N00") == (1, "User not found")


async def test_upload_status_names_the_limits_of_section_3_7(world_sim: Caller) -> None:
    user = (await world_sim.ok("flickr.people.getUploadStatus", world_sim.grant()))["user"]
    assert user["filesize"]["maxbytes"] == 209_715_200
    assert user["videosize"]["maxbytes"] == 1_073_741_824
    assert user["sets"] == {"created": None, "remaining": "lots"}


async def test_contacts_come_in_pages_and_by_name(world_sim: Caller) -> None:
    contacts = (await world_sim.ok("flickr.contacts.getList", world_sim.grant(), per_page="5"))["contacts"]
    assert list(contacts) == ["page", "pages", "per_page", "perpage", "total", "contact"]
    assert (contacts["pages"], contacts["per_page"], len(contacts["contact"])) == (4, 5, 5)
    names = [contact["username"].casefold() for contact in contacts["contact"]]
    assert names == sorted(names)
    friends = (await world_sim.ok("flickr.contacts.getList", world_sim.grant(), filter="friends"))["contacts"]
    assert all(contact["friend"] == 1 for contact in friends["contact"])
    code, message = await world_sim.error("flickr.contacts.getList", world_sim.grant(), sort="size")
    assert (code, message) == (1, "Invalid sort parameter")
    public = (await world_sim.ok("flickr.contacts.getPublicList", user_id=ME))["contacts"]
    assert (public["total"], "friend" in public["contact"][0]) == (19, False)


async def test_sets_list_their_photos_with_the_primary_marked(world_sim: Caller) -> None:
    token = world_sim.grant()
    sets = (await world_sim.ok("flickr.photosets.getList", token))["photosets"]
    assert (sets["cancreate"], sets["total"], len(sets["photoset"])) == (1, 6, 6)
    first = sets["photoset"][0]
    info = (await world_sim.ok("flickr.photosets.getInfo", token, photoset_id=first["id"], user_id=ME))["photoset"]
    assert info == first
    listed = (await world_sim.ok("flickr.photosets.getPhotos", token, photoset_id=first["id"], user_id=ME))["photoset"]
    assert listed["total"] == first["photos"] + first["videos"]
    members = ["id", "secret", "server", "farm", "title", "isprimary", "ispublic", "isfriend", "isfamily"]
    assert list(listed["photo"][0]) == members
    assert [photo["id"] for photo in listed["photo"] if photo["isprimary"] == "1"] == [first["primary"]]
    assert isinstance(listed["title"], str)
    paged = (await world_sim.ok("flickr.photosets.getList", user_id=ME, per_page="4", page="2"))["photosets"]
    assert (paged["cancreate"], len(paged["photoset"]), paged["pages"]) == (0, 2, 2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"photoset_id": "72157600000000000"}, (1, "Photoset not found")),
        ({"photoset_id": "{id}", "user_id": "1@N00"}, (2, "User not found")),
    ],
)
async def test_a_set_that_is_not_there_is_an_error(
    world_sim: Caller, fields: dict[str, str], expected: tuple[int, str]
) -> None:
    some = next(iter(world_sim.simulator.world.photosets))
    filled = {name: value.format(id=some) for name, value in fields.items()}
    assert await world_sim.error("flickr.photosets.getPhotos", **filled) == expected


async def test_tags_of_a_person_are_sorted_and_counted(world_sim: Caller) -> None:
    who = (await world_sim.ok("flickr.tags.getListUser", user_id=ME))["who"]
    names = [tag["_content"] for tag in who["tags"]["tag"]]
    assert "landscape" in names
    assert names == sorted(set(names))
    popular = (await world_sim.ok("flickr.tags.getListUserPopular", user_id=ME, count="3"))["who"]["tags"]["tag"]
    assert popular[0]["_content"] == "landscape"
    assert [tag["count"] for tag in popular] == sorted((tag["count"] for tag in popular), reverse=True)
    assert await world_sim.error("flickr.tags.getListUser") == (1, "User not found")


async def test_the_api_describes_itself(world_sim: Caller) -> None:
    methods = (await world_sim.ok("flickr.reflection.getMethods"))["methods"]["method"]
    assert len(methods) == 222
    info = await world_sim.ok("flickr.reflection.getMethodInfo", method_name="flickr.photos.delete")
    assert info["method"] == {
        "name": "flickr.photos.delete",
        "needslogin": 1,
        "needssigning": 1,
        "requiredperms": 3,
    }
    assert await world_sim.error("flickr.reflection.getMethodInfo", method_name="x") == (1, "Method not found")


async def test_preferences_licences_and_tickets_have_their_shapes(world_sim: Caller) -> None:
    token = world_sim.grant()
    for name, member in (
        ("ContentType", "content_type"),
        ("GeoPerms", "geoperms"),
        ("Hidden", "hidden"),
        ("Privacy", "privacy"),
        ("SafetyLevel", "safety_level"),
    ):
        person = (await world_sim.ok(f"flickr.prefs.get{name}", token))["person"]
        assert person["nsid"] == ME
        assert member in person
    licences = (await world_sim.ok("flickr.photos.licenses.getInfo"))["licenses"]["license"]
    assert licences[0]["name"] == "All Rights Reserved"
    tickets = await world_sim.ok("flickr.photos.upload.checkTickets", tickets="1-2,3-4")
    assert tickets["uploader"] == {"ticket": [{"id": "1-2", "invalid": 1}, {"id": "3-4", "invalid": 1}]}
    none = await world_sim.ok("flickr.photos.upload.checkTickets")
    assert none["uploader"] == {"ticket": []}
