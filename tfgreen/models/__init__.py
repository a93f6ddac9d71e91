"""Keras models of both flavours, SavedModels and float .tflite files: judged, loaded, rewritten.

`loading` is what callers use and imports no TensorFlow; `graph` is the conversion worker's side.
"""
