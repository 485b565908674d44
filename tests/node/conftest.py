"""Where the dialogues about stored nodes find what several of them share."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for store_kit
