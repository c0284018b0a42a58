"""Find a TypeScript compiler: in the checkouts of VOICERACE_CHECKOUTS, or the folder that VOICERACE_TYPESCRIPT names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def compiler() -> Path | None:
    """Return the folder of the package `typescript`, or None if the package or Node.js is missing."""
    if shutil.which("node") is None:
        return None
    named = os.environ.get("VOICERACE_TYPESCRIPT")
    checkouts = sorted(Path(os.environ.get("VOICERACE_CHECKOUTS", "/nonexistent")).glob("*/packages/voice-agent-backend"))
    found = [Path(named)] if named else [each / "node_modules" / "typescript" for each in checkouts]
    return next((each for each in found if (each / "package.json").is_file()), None)
