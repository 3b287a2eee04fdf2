from tests.driving import Drive, event_types

def test_x(drive: Drive) -> None:
    i = drive.ready()
    print(event_types(i), drive.now, i.phase_reason)
    assert 0
