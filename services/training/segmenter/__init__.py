"""The bundled segmenter: generated scenes, losses, the training loop, and its measures."""
