"""`python -m deploy.local COMMAND`: what the Makefile calls."""

import sys

from deploy.local.stack.cli import main

sys.exit(main())
