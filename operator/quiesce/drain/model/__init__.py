"""The frozen values that the rooms of a drain hand to each other. Nothing here does I/O."""
