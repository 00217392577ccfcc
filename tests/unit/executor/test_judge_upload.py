"""What each of Flickr's answers to an upload or a replacement means (facts 1.4, 2.5, 3.3, 3.4, 3.6)."""

import time
from dataclasses import dataclass

import pytest

from flickrhub_executor.errors import CallFailed, PermanentFailure, TokenDead, TransientFailure
from flickrhub_executor.methods import REPLACE, UPLOAD
from flickrhub_executor.models import FlickrReply
from flickrhub_executor.usecases.judge_upload import MOST_BYTES, Duplicate, Ticketed, Uploaded, judge_upload
from tests.unit.executor.test_judge_reply import CLOUDFRONT_504, HAPROXY_429, KEY, SORRY, TOKEN, xml_fail
from tests.unit.executor.upload_fakes import xml

PHOTO = "10100736393"


def reply(body: bytes, status: int = 200, retry_after: float | None = None) -> FlickrReply:
    return FlickrReply(status, body, retry_after, 1)


SUCCESSES = {
    "a photo": (xml(f"<photoid>{PHOTO}</photoid>"), Uploaded(f'{{"stat":"ok","photoid":{{"_content":"{PHOTO}"}}}}')),
    "a photo with its secrets": (
        xml('<photoid secret="0a549fce84" originalsecret="2b88ce0d06">43123716831</photoid>'),
        Uploaded(
            '{"stat":"ok","photoid":{"secret":"0a549fce84","originalsecret":"2b88ce0d06","_content":"43123716831"}}'
        ),
    ),
    "attributes are unescaped": (
        xml('<photoid note="a &amp; &quot;b&quot; &lt;c&gt; &#233;">1</photoid>'),
        Uploaded('{"stat":"ok","photoid":{"note":"a & \\"b\\" <c> é","_content":"1"}}'),
    ),
    "an id beyond 64 bits stays as it is": (
        xml(f"<photoid>{'9' * 30}</photoid>"),
        Uploaded(f'{{"stat":"ok","photoid":{{"_content":"{"9" * 30}"}}}}'),
    ),
    "an id with leading zeros": (
        xml("<photoid>007</photoid>"),
        Uploaded('{"stat":"ok","photoid":{"_content":"007"}}'),
    ),
    "white space around it": (
        b"\r\n " + xml(f"<photoid>\n {PHOTO} \n</photoid>") + b" \n",
        Uploaded(f'{{"stat":"ok","photoid":{{"_content":"{PHOTO}"}}}}'),
    ),
    "without a declaration": (
        f"<rsp stat='ok'><photoid>{PHOTO}</photoid></rsp>".encode(),
        Uploaded(f'{{"stat":"ok","photoid":{{"_content":"{PHOTO}"}}}}'),
    ),
    "a mark of byte order": (
        b"\xef\xbb\xbf" + f'<rsp stat="ok"><photoid>{PHOTO}</photoid></rsp>'.encode(),
        Uploaded(f'{{"stat":"ok","photoid":{{"_content":"{PHOTO}"}}}}'),
    ),
    "a ticket": (
        xml("<ticketid>78701040-72157636215117185</ticketid>"),
        Ticketed("78701040-72157636215117185"),
    ),
    "a ticket of digits": (xml("<ticketid>0128</ticketid>"), Ticketed("0128")),
}


@pytest.mark.parametrize("method", [UPLOAD, REPLACE])
@pytest.mark.parametrize(("body", "verdict"), SUCCESSES.values(), ids=SUCCESSES)
def test_a_success_names_the_photo_or_the_ticket(body: bytes, verdict: object, method: str) -> None:
    assert judge_upload(reply(body), method=method) == verdict


DUPLICATES = {
    "a child of the answer": xml('<err code="9" msg="Duplicate" /><duplicate_photo_id>12</duplicate_photo_id>', "fail"),
    "a child of the error": xml(
        '<err code="9" msg="Duplicate"><duplicate_photo_id>12</duplicate_photo_id></err>', "fail"
    ),
    "an attribute of the error": xml('<err code="9" msg="Duplicate" duplicate_photo_id="12" />', "fail"),
    "an attribute before the code": xml('<err duplicate_photo_id="12" code="9" msg="Duplicate" />', "fail"),
    "an attribute of the answer": b'<rsp stat="fail" duplicate_photo_id="12"><err code="9" msg="Duplicate"/></rsp>',
    "with a status": xml(
        '<err code="9" msg="D" /><duplicate_photo_id>12</duplicate_photo_id>'
        "<duplicate_photo_status>ACTIVE</duplicate_photo_status>",
        "fail",
    ),
}


@pytest.mark.parametrize("body", DUPLICATES.values(), ids=DUPLICATES)
def test_a_duplicate_names_the_photo_that_is_there(body: bytes) -> None:
    assert judge_upload(reply(body), method=UPLOAD) == Duplicate("12", deleted=False)


@pytest.mark.parametrize(
    "body",
    [
        xml(
            '<err code="9" msg="D"/><duplicate_photo_id>12</duplicate_photo_id>'
            "<duplicate_photo_status>DELETED</duplicate_photo_status>",
            "fail",
        ),
        xml('<err code="9" msg="D" duplicate_photo_id="12" duplicate_photo_status="deleted"/>', "fail"),
    ],
)
def test_a_duplicate_may_have_been_deleted(body: bytes) -> None:
    assert judge_upload(reply(body), method=UPLOAD) == Duplicate("12", deleted=True)


@dataclass(frozen=True)
class Case:
    body: bytes
    kind: type[CallFailed]
    code: str
    status: int = 200
    doubtful: bool = False
    method: str = UPLOAD


def json_fail(code: int, message: str = "Something") -> bytes:
    return f'{{"stat":"fail","code":{code},"message":"{message}"}}'.encode()


BAD, AWAY = "ERR_FLICKR_BAD_REPLY", "ERR_FLICKR_UNAVAILABLE"
FAILURES = {
    # 3.4: for good
    **{
        f"upload error {code}": Case(xml_fail(code, "No"), PermanentFailure, f"FLICKR_{code}")
        for code in (2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 95, 96, 97, 99, 100, 116)
    },
    **{
        f"replace error {code}": Case(xml_fail(code, "No"), PermanentFailure, f"FLICKR_{code}", method=REPLACE)
        for code in (1, 2, 4, 5, 6, 9, 14, 15, 99, 116)
    },
    "upload error 98": Case(xml_fail(98, "Invalid auth token"), TokenDead, "FLICKR_98"),
    "a duplicate without its id": Case(xml_fail(9, "Duplicate"), PermanentFailure, "FLICKR_9"),
    "a duplicate with an odd id": Case(
        xml('<err code="9" msg="D" duplicate_photo_id="-1"/>', "fail"), PermanentFailure, "FLICKR_9"
    ),
    "a duplicate where none is asked for": Case(
        xml('<err code="9" msg="D" duplicate_photo_id="12"/>', "fail"), PermanentFailure, "FLICKR_9", method=REPLACE
    ),
    "an error in JSON": Case(json_fail(5), PermanentFailure, "FLICKR_5"),
    # 3.4: for the moment, and whether the photo may be there
    **{
        f"upload error {code}": Case(xml_fail(code, "Later"), TransientFailure, f"FLICKR_{code}", doubtful=True)
        for code in (0, 3, 105, 106, 201)
    },
    **{
        f"replace error {code}": Case(
            xml_fail(code, "Later"), TransientFailure, f"FLICKR_{code}", doubtful=True, method=REPLACE
        )
        for code in (0, 3, 105, 106, 201)
    },
    "upload error 14": Case(xml_fail(14, "At capacity"), TransientFailure, "FLICKR_14"),
    "upload error 14 with 500": Case(xml_fail(14, "X"), TransientFailure, "FLICKR_14", 500, doubtful=True),
    "sorry in JSON, with its comma": Case(
        f'{{"stat":"fail","message":"{SORRY}","code":201}},'.encode(), TransientFailure, "FLICKR_201", doubtful=True
    ),
    "sorry in HTML": Case(f"<html>{SORRY}</html>".encode(), TransientFailure, AWAY, 400, doubtful=True),
    # 1.4: refused before anything is stored
    "token rejected": Case(b"oauth_problem=token_rejected", TokenDead, "ERR_FLICKR_OAUTH", 401),
    "timestamp refused": Case(b"oauth_problem=timestamp_refused", TransientFailure, "ERR_FLICKR_OAUTH", 401),
    "nonce used": Case(b"oauth_problem=nonce_used", TransientFailure, "ERR_FLICKR_OAUTH", 401),
    "signature invalid": Case(
        f"oauth_problem=signature_invalid&debug_sbs=POST&x%26{KEY}%26{TOKEN}".encode(),
        PermanentFailure,
        "ERR_FLICKR_OAUTH",
        401,
    ),
    # 2.5
    "over the rate": Case(HAPROXY_429, TransientFailure, "ERR_FLICKR_RATE_LIMITED", 429),
    "over the rate, in XML": Case(xml_fail(1, "Slow down"), TransientFailure, "FLICKR_1", 429),
    "500": Case(b"", TransientFailure, AWAY, 500, doubtful=True),
    "502": Case(b"<html></html>", TransientFailure, AWAY, 502, doubtful=True),
    "503": Case(b"<html></html>", TransientFailure, AWAY, 503, doubtful=True),
    "504": Case(CLOUDFRONT_504, TransientFailure, AWAY, 504, doubtful=True),
    "an error with 500": Case(xml_fail(5, "No"), TransientFailure, "FLICKR_5", 500, doubtful=True),
    "success with 500": Case(xml("<photoid>1</photoid>"), TransientFailure, AWAY, 500, doubtful=True),
    "408": Case(b"", TransientFailure, AWAY, 408, doubtful=True),
    "411": Case(b"<html>Length Required</html>", PermanentFailure, BAD, 411),
    "413": Case(b"<html></html>", PermanentFailure, BAD, 413),
    "a redirect": Case(b"", PermanentFailure, BAD, 302),
    # nonsense with 200: the photo may be there
    **{
        name: Case(body, TransientFailure, BAD, doubtful=True)
        for name, body in {
            "nothing": b"",
            "HTML": b"<html><body>Welcome</body></html>",
            "cut short": b'<?xml version="1.0" encoding="utf-8" ?>\n<rsp stat="ok">\n<photoid>101007',
            "neither photo nor ticket": xml(""),
            "an empty id": xml("<photoid></photoid>"),
            "an id that is no number": xml("<photoid>1;2</photoid>"),
            "an id of other digits": xml("<photoid>٩٨</photoid>"),
            "an id of 5000 digits": xml(f"<photoid>{'9' * 5000}</photoid>"),
            "an empty ticket": xml("<ticketid> </ticketid>"),
            "a ticket of 5000 signs": xml(f"<ticketid>{'9' * 5000}</ticketid>"),
            "success in JSON": b'{"photoid":{"_content":"1"},"stat":"ok"}',
            "an odd stat": xml("<photoid>1</photoid>", "maybe"),
            "a failure without an error": xml("", "fail"),
            "a failure without a code": xml('<err msg="x"/>', "fail"),
            "a code that is no number": xml('<err code="many" msg="x"/>', "fail"),
            "another root": b'<answer stat="ok"><photoid>1</photoid></answer>',
            "two roots": xml("<photoid>1</photoid>") + b"<rsp/>",
            "broken UTF-8": b'<rsp stat="ok"><photoid>\xff1</photoid></rsp>',
            "a foreign encoding": b'<?xml version="1.0" encoding="ebcdic-x"?><rsp stat="ok"/>',
            "too long": xml(f"<photoid>1</photoid><!--{'x' * MOST_BYTES}-->"),
            "depth": b'<rsp stat="ok">' + b"<a>" * 20_000,
        }.items()
    },
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES)
def test_a_failure_is_what_the_facts_say_and_in_doubt_unless_nothing_was_stored(case: Case) -> None:
    with pytest.raises(CallFailed) as raised:
        judge_upload(reply(case.body, case.status), method=case.method)
    failure = raised.value
    assert (type(failure), failure.code, failure.doubtful) == (case.kind, case.code, case.doubtful)
    assert not {KEY, TOKEN} & set(str(failure).split())


def bomb(entities: str, photo: str) -> bytes:
    return f'<!DOCTYPE rsp [{entities}]><rsp stat="ok"><photoid>{photo}</photoid></rsp>'.encode()


@pytest.mark.parametrize(
    "body",
    [
        bomb('<!ENTITY a "12">', "&a;"),
        bomb('<!ENTITY a SYSTEM "file:///etc/hostname">', "&a;"),
        bomb("", "12"),
        bomb(
            '<!ENTITY a0 "1">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)),
            "&a11;",
        ),
        b'<rsp stat="ok"><photoid>&unknown;</photoid></rsp>',
    ],
)
def test_xml_that_defines_things_is_not_read(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(TransientFailure) as raised:
        judge_upload(reply(body), method=UPLOAD)
    assert raised.value.doubtful
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("body", "retry_after", "seconds"),
    [
        (xml('<err code="14" msg="x" non_pro_desktop_upload_wait_time="90"/>', "fail"), None, 90.0),
        (
            xml(
                '<err code="14" msg="x"/><non_pro_desktop_upload_wait_time>90</non_pro_desktop_upload_wait_time>',
                "fail",
            ),
            30.0,
            90.0,
        ),
        (xml('<err code="14" msg="x" non_pro_desktop_upload_wait_time="9"/>', "fail"), 30.0, 30.0),
        (xml('<err code="14" msg="x" non_pro_desktop_upload_wait_time="soon"/>', "fail"), None, None),
        (xml_fail(105, "x"), 7.0, 7.0),
        (b"", 7.0, 7.0),
    ],
)
def test_the_wait_that_flickr_asks_for_is_the_longer_one(
    body: bytes, retry_after: float | None, seconds: float | None
) -> None:
    with pytest.raises(TransientFailure) as raised:
        judge_upload(reply(body, retry_after=retry_after), method=UPLOAD)
    assert raised.value.retry_after == seconds


def test_flickr_s_words_are_told_as_one_short_line() -> None:
    with pytest.raises(PermanentFailure) as raised:
        judge_upload(reply(xml_fail(5, "Not&#10;recognised &amp; " + "x" * 500)), method=UPLOAD)
    assert raised.value.message.startswith("Flickr answered with error 5: Not recognised & xxx")
    assert len(raised.value.message) < 250
