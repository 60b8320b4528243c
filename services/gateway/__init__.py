"""The HTTP door: an application that translates protocols and leaves the work to the engine."""
