"""The shipper inside a gateway that runs alone."""

import time

from services.ledger.places import Places
from services.ledger.shipping.thread import ShipperThread
from tests.conftest import MakeSettings
from tests.ledger.shipping.test_shipper import until
from tests.support.patience import AT_ONCE, PATIENCE


def test_the_thread_of_a_gateway_lets_a_process_be_first(make_settings: MakeSettings) -> None:
    settings = make_settings()
    thread = ShipperThread(settings, delay_seconds=2)
    thread.start()
    time.sleep(0.1)
    assert not Places(settings.data_dir).root.exists()
    until(Places(settings.data_dir).status.exists)
    assert thread.stop(PATIENCE)


def test_the_thread_of_a_gateway_ends_at_once_while_it_waits(make_settings: MakeSettings) -> None:
    thread = ShipperThread(make_settings(), delay_seconds=PATIENCE)
    thread.start()
    assert thread.stop(AT_ONCE)
