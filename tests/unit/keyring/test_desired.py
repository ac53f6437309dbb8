"""What hosts let in, and how they log in to each other: the settings that keep both narrow."""

from dataclasses import replace

import pytest
from tests.unit.keyring.build import NEW, OLD, desired


@pytest.mark.finding("S8")
def test_the_key_opens_a_shell_and_nothing_else_and_only_from_where_the_spec_says() -> None:
    found = desired(OLD, NEW.public)
    assert [line.split()[0] for line in found.authorized_lines] == ["restrict", "restrict"]
    narrow = replace(found, sources=("192.0.2.0/24", "2001:db8::/32"))
    assert {line.split()[0] for line in narrow.authorized_lines} == {
        'restrict,from="192.0.2.0/24,2001:db8::/32"'
    }


@pytest.mark.finding("S8")
def test_hosts_log_in_with_this_key_alone_to_pinned_hosts_alone() -> None:
    settings = {line.strip() for line in desired().client_config("a" * 12).split("\n")}
    assert settings >= {
        "IdentitiesOnly yes",
        "IdentityAgent none",
        "StrictHostKeyChecking yes",
        "UserKnownHostsFile /dev/null",
        "UpdateHostKeys no",
        "ForwardAgent no",
        "BatchMode yes",
        "ControlPath none",
    }
