"""Where the tests of what travels find what several of them share."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for codec_kit, ed25519_reference
