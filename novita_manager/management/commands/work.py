"""The worker without a broker: the lanes go by their own clock."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from instances import tally
from novita_manager.lanes import LaneThreads
from sync.account import verify_account


class Command(BaseCommand):
    help = "Run the worker's lanes in this process, with no broker and no beat, until SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        verify_account()
        tally.keep_flushing()
        threads = LaneThreads()
        looping = threading.Thread(target=threads.loop, name="lanes")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threads.stop())
        self.stderr.write("working without a broker")
        looping.start()
        looping.join()
        threads.end(settings.STOP_GRACE)
