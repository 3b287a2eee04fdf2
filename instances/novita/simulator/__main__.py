"""`python -m instances.novita.simulator`."""

import sys

from instances.novita.simulator.command_line import main

sys.exit(main())
