"""The Open Inference Protocol, version 2, over HTTP: what its bodies say, and how to answer."""
