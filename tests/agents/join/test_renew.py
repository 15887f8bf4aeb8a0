"""When certificates are renewed."""

from __future__ import annotations

import datetime

from panal.agents.join.renew import due
from panal.pki import Authority

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def test_a_certificate_is_renewed_when_a_fifth_of_its_life_is_left():
    made = Authority.create("kubernetes", NOW).client("system:node:a", ["system:nodes"], NOW).certificate
    year = 365 * 86400
    assert abs(due(made, NOW) - 0.8 * year) < 3600
    assert due(made, NOW + datetime.timedelta(days=300)) < 0
