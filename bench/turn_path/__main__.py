"""`python -m bench.turn_path`"""

import sys

from bench.turn_path.main import main

sys.exit(main())
