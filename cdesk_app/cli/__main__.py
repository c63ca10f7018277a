"""`python -m cdesk_app.cli` is `cdesk`."""

import sys

from cdesk_app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
