"""Looking for photos: who sees what, filters, order, pages and the cap of 4,000."""

from typing import Any

import pytest

from flickr_sim.world.generate import generate
from flickr_sim.world.models import Contact
from tests.unit.flickr_sim.caller import Caller

ARCHIVE = "northern_archive"


def ids(answer: dict[str, Any]) -> list[str]:
    return [photo["id"] for photo in answer["photos"]["photo"]]


def archive_of(sim: Caller) -> str:
    person = sim.simulator.world.person(ARCHIVE)
    assert person is not None
    return person.nsid


def test_the_same_seed_makes_the_same_world_and_another_seed_another() -> None:
    first, again, other = generate(7), generate(7), generate(8)
    assert first.photos == again.photos
    assert first.photosets == again.photosets
    assert first.contacts == again.contacts
    assert list(first.people.values()) == list(again.people.values())
    assert list(first.photos) != list(other.photos)


def test_ids_have_flickrs_forms() -> None:
    world = generate(1)
    assert all(
        len(photo.id) == 11 and photo.id.isdigit() and len(photo.secret) == 10 for photo in world.photos.values()
    )
    assert all(len(photoset_id) == 17 and photoset_id.isdigit() for photoset_id in world.photosets)
    assert all(person.nsid.partition("@N0")[0].isdigit() for person in world.people.values())
    assert 15 <= len(world.people) <= 30


async def test_an_entry_of_a_list_has_flickrs_members_in_order(world_sim: Caller) -> None:
    answer = await world_sim.ok("flickr.photos.search", tags="landscape", per_page="1")
    assert list(answer["photos"]) == ["page", "pages", "perpage", "total", "photo"]
    photo = answer["photos"]["photo"][0]
    basics = ["id", "owner", "secret", "server", "farm", "title", "ispublic", "isfriend", "isfamily"]
    assert list(photo) == basics
    assert isinstance(photo["farm"], int)
    assert isinstance(answer["photos"]["total"], int)


async def test_search_shows_no_more_than_4000_and_repeats_the_last_page(world_sim: Caller) -> None:
    nsid = archive_of(world_sim)
    first = await world_sim.ok("flickr.photos.search", user_id=nsid, per_page="500")
    assert first["photos"]["total"] > 4000
    assert first["photos"]["pages"] > 8
    pages = [
        ids(await world_sim.ok("flickr.photos.search", user_id=nsid, per_page="500", page=str(page)))
        for page in range(1, 11)
    ]
    assert len({photo_id for page in pages for photo_id in page}) == 4000
    assert pages[7] == pages[8] == pages[9]


async def test_people_get_photos_has_no_cap(world_sim: Caller) -> None:
    nsid = archive_of(world_sim)
    first = await world_sim.ok("flickr.people.getPhotos", user_id=nsid, per_page="500")
    last = str(first["photos"]["pages"])
    rest = first["photos"]["total"] % 500 or 500
    assert first["photos"]["total"] > 4000
    assert len(ids(await world_sim.ok("flickr.people.getPhotos", user_id=nsid, per_page="500", page=last))) == rest
    assert ids(await world_sim.ok("flickr.people.getPhotos", user_id=nsid, per_page="500", page="99")) == []


@pytest.mark.parametrize(
    ("asked", "given"), [("", 100), ("7", 7), ("500", 500), ("501", 500), ("0", 100), ("-3", 100), ("many", 100)]
)
async def test_per_page_is_held_within_flickrs_bounds(world_sim: Caller, asked: str, given: int) -> None:
    answer = await world_sim.ok("flickr.photos.search", tags="landscape", per_page=asked, page="x")
    assert (answer["photos"]["perpage"], len(ids(answer)), answer["photos"]["page"]) == (given, given, 1)


async def test_a_search_by_place_gives_at_most_250_a_page(world_sim: Caller) -> None:
    answer = await world_sim.ok("flickr.photos.search", bbox="-180,-90,180,90", per_page="500", extras="geo")
    assert answer["photos"]["perpage"] == 250
    assert all(photo["accuracy"] != 0 for photo in answer["photos"]["photo"])
    none = await world_sim.ok("flickr.photos.search", bbox="0,89,1,90")
    assert none["photos"] == {"page": 1, "pages": 0, "perpage": 250, "total": 0, "photo": []}


async def test_me_is_who_signed_and_nobody_without_a_signature(world_sim: Caller) -> None:
    mine = await world_sim.ok("flickr.photos.search", world_sim.grant(), user_id="me", per_page="500")
    assert {photo["owner"] for photo in mine["photos"]["photo"]} == {"101234567@N02"}
    assert any(photo["ispublic"] == 0 for photo in mine["photos"]["photo"])
    public = await world_sim.ok("flickr.photos.search", user_id="101234567@N02", per_page="500")
    assert 0 < public["photos"]["total"] < mine["photos"]["total"]
    assert all(photo["ispublic"] == 1 for photo in public["photos"]["photo"])
    assert await world_sim.error("flickr.photos.search", user_id="me") == (2, "Unknown user")
    assert await world_sim.error("flickr.photos.search", user_id="1@N00") == (2, "Unknown user")


async def test_friends_and_family_see_what_is_meant_for_them(sim: Caller) -> None:
    world = sim.simulator.world
    owner, friend, stranger = list(world.people)[:3]
    world.contacts[owner] = {friend: Contact(friend=True)}
    photo = next(photo for photo in world.photos.values() if photo.owner == owner and photo.is_friend)
    assert (await sim.ok("flickr.photos.getInfo", sim.grant(account=friend), photo_id=photo.id))["photo"]
    message = f'Photo "{photo.id}" not found (invalid ID)'
    assert await sim.error("flickr.photos.getInfo", sim.grant(account=stranger), photo_id=photo.id) == (1, message)
    assert await sim.error("flickr.photos.getInfo", photo_id=photo.id) == (1, message)


@pytest.mark.parametrize("fields", [{}, {"per_page": "5", "sort": "relevance"}, {"text": ""}])
async def test_a_search_for_nothing_is_disabled(world_sim: Caller, fields: dict[str, str]) -> None:
    code, message = await world_sim.error("flickr.photos.search", **fields)
    assert code == 3
    assert message.startswith("Parameterless searches have been disabled.")


async def test_tags_are_any_or_all_and_may_be_unwanted(world_sim: Caller) -> None:
    async def found(tags: str, mode: str = "any") -> dict[str, set[str]]:
        answer = await world_sim.ok(
            "flickr.photos.search", tags=tags, tag_mode=mode, per_page="500", extras="tags", user_id="101234567@N02"
        )
        return {photo["id"]: set(photo["tags"].split()) for photo in answer["photos"]["photo"]}

    both = await found("Sea, City Life", "all")
    either = await found("sea,citylife")
    without = await found("sea,-citylife")
    assert both
    assert all({"sea", "citylife"} <= tags for tags in both.values())
    assert len(either) > len(both)
    assert all(tags & {"sea", "citylife"} for tags in either.values())
    assert set(without) == {photo_id for photo_id, tags in either.items() if "sea" in tags} - set(both)
    many = ",".join(f"tag{number}" for number in range(21))
    assert await world_sim.error("flickr.photos.search", tags=many, tag_mode="all") == (
        1,
        "Too many tags in ALL query",
    )


@pytest.mark.parametrize(
    ("term", "start"),
    [
        ("sim:number=25", "sim:number=25"),
        ('SIM:number="25"', "sim:number=25"),
        ("sim:", "sim:"),
        ("sim:number=", "sim:number="),
        ("*:model=FM2", "camera:model=fm2"),
        ("camera:*=X-T3", "camera:model=xt3"),
    ],
)
async def test_machine_tags_are_found_by_their_parts(world_sim: Caller, term: str, start: str) -> None:
    fields = {"machine_tags": term, "extras": "machine_tags", "per_page": "500"}
    answer = await world_sim.ok("flickr.photos.search", world_sim.grant(), **fields)
    assert answer["photos"]["total"] > 0
    for photo in answer["photos"]["photo"]:
        assert any(tag.startswith(start) for tag in photo["machine_tags"].split())


async def test_machine_tags_that_are_none_are_refused(world_sim: Caller) -> None:
    assert await world_sim.error("flickr.photos.search", machine_tags="landscape") == (11, "No valid machine tags")
    many = ",".join(f"sim:number={number}" for number in range(17))
    code, _ = await world_sim.error("flickr.photos.search", machine_tags=many)
    assert code == 12


async def test_dates_cut_windows_that_together_are_everything(world_sim: Caller) -> None:
    nsid = archive_of(world_sim)
    middle = 1_650_000_000

    async def total(**fields: str) -> int:
        answer = await world_sim.ok("flickr.photos.search", user_id=nsid, per_page="1", **fields)
        assert isinstance(answer["photos"]["total"], int)
        return answer["photos"]["total"]

    early = await total(max_upload_date=str(middle))
    late = await total(min_upload_date=str(middle + 1))
    assert early > 0
    assert late > 0
    assert early + late == await total()
    assert await total(min_upload_date="2022-04-15 05:20:01") == late


async def test_text_reads_titles_descriptions_and_tags(world_sim: Caller) -> None:
    answer = await world_sim.ok("flickr.photos.search", text="HARBOUR golden -rain", per_page="500")
    titles = [photo["title"].lower() for photo in answer["photos"]["photo"]]
    assert titles
    assert all("harbour" in title and "golden" in title and "rain" not in title for title in titles)


@pytest.mark.parametrize(
    ("sort", "member", "descending"),
    [
        ("", "dateupload", True),
        ("date-posted-asc", "dateupload", False),
        ("date-taken-desc", "datetaken", True),
        ("date-taken-asc", "datetaken", False),
        ("nonsense", "dateupload", True),
    ],
)
async def test_results_come_in_the_order_asked_for(world_sim: Caller, sort: str, member: str, descending: bool) -> None:
    fields = {"tags": "sea", "sort": sort, "extras": "date_upload,date_taken"}
    answer = await world_sim.ok("flickr.photos.search", **fields)
    dates = [photo[member] for photo in answer["photos"]["photo"]]
    assert dates == sorted(dates, reverse=descending)


async def test_extras_add_what_they_name_and_unknown_ones_nothing(world_sim: Caller) -> None:
    extras = (
        "description,license,date_upload,date_taken,owner_name,icon_server,original_format,last_update,geo,tags,"
        "machine_tags,o_dims,views,media,path_alias,url_sq,url_t,url_m,url_o,nonsense"
    )
    answer = await world_sim.ok("flickr.photos.search", world_sim.grant(), user_id="me", per_page="1", extras=extras)
    photo = answer["photos"]["photo"][0]
    assert isinstance(photo["description"]["_content"], str)
    strings = ("license", "dateupload", "datetaken", "ownername", "lastupdate", "tags", "views", "o_width", "url_o")
    assert all(isinstance(photo[name], str) for name in strings)
    assert (photo["width_sq"], photo["height_sq"]) == (75, 75)
    assert photo["url_m"] == f"https://live.staticflickr.com/65535/{photo['id']}_{photo['secret']}.jpg"
    assert photo["originalsecret"] in photo["url_o"]
    assert "nonsense" not in photo


async def test_recently_updated_sees_a_write_first(sim: Caller) -> None:
    token = sim.grant()
    now = int(sim.clock())
    assert await sim.error("flickr.photos.recentlyUpdated", token) == (1, "Required argument missing")
    assert await sim.error("flickr.photos.recentlyUpdated", token, min_date="soon") == (2, "Not a valid date")
    assert ids(await sim.ok("flickr.photos.recentlyUpdated", token, min_date=str(now))) == []
    some = ids(await sim.ok("flickr.photos.search", token, user_id="me", sort="date-posted-asc"))[0]
    await sim.ok("flickr.photos.setMeta", token, photo_id=some, title="Changed")
    answer = await sim.ok("flickr.photos.recentlyUpdated", token, min_date=str(now))
    assert ids(answer) == [some]
    assert int(answer["photos"]["photo"][0]["lastupdate"]) >= now


async def test_the_latest_photos_of_everybody_are_public(world_sim: Caller) -> None:
    answer = await world_sim.ok("flickr.photos.getRecent", world_sim.grant(), extras="date_upload")
    assert len({photo["owner"] for photo in answer["photos"]["photo"]}) > 3
    assert answer["photos"]["total"] == 1000
    assert all(photo["ispublic"] for photo in answer["photos"]["photo"])


@pytest.mark.parametrize("method", ["getUntagged", "getNotInSet", "getWithGeoData", "getWithoutGeoData"])
async def test_own_photos_can_be_listed_by_what_they_lack(world_sim: Caller, method: str) -> None:
    fields = {"per_page": "500", "extras": "tags,machine_tags,geo"}
    answer = await world_sim.ok(f"flickr.photos.{method}", world_sim.grant(), **fields)
    in_sets = {one for kept in world_sim.simulator.world.photosets.values() for one in kept.photo_ids}
    assert answer["photos"]["photo"]
    for photo in answer["photos"]["photo"]:
        assert photo["owner"] == "101234567@N02"
        lacks = {
            "getUntagged": photo["tags"] == photo["machine_tags"] == "",
            "getNotInSet": photo["id"] not in in_sets,
            "getWithGeoData": photo["accuracy"] != 0,
            "getWithoutGeoData": photo["accuracy"] == 0,
        }
        assert lacks[method]
