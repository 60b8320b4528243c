"""Addresses that webhooks are never sent to; signatures are those of the standard."""

import pytest

from services.core.errors import InvalidInputError
from services.jobs.webhooks import check_address, sign


def test_the_signature_of_the_specification() -> None:
    """The example that Standard Webhooks' own libraries are tested with."""
    found = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
    )
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]",
        "[fd00::1]", "[fec0::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]",
        "[::127.0.0.1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]",
        "localhost", "LOCALHOST", "localhost.", "api.localhost", "db.internal", "printer.local",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_at_the_door(host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(InvalidInputError) as caught:
            check_address(f"{scheme}://{host}:8000/hook", allow_private=False)
        assert caught.value.where == "webhook"
        check_address(f"{scheme}://{host}:8000/hook", allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook", "http://93.184.215.14:8080/", "https://[2606:4700::1111]/x?y=1",
        "https://localhost.example.org/", "https://[64:ff9b::808:808]/",
    ],
)  # fmt: skip
def test_public_addresses_are_taken(url: str) -> None:
    check_address(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org/hook", "ftp://example.org/", "file:///etc/passwd", "http://", "http:///x",
        "https://user:secret@example.org/", "https://user@example.org/", "https://[::1",
        "https://example.org:99999/", "https://example.org:port/", "https://exa mple.org/",
        "https://example.org/\r\nX-Evil: 1", "https://exämple.org/",
        "https://example.org/" + 2048 * "a",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    for allow in (True, False):
        with pytest.raises(InvalidInputError) as caught:
            check_address(url, allow_private=allow)
        assert "secret" not in str(caught.value)
