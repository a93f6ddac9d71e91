"""Microcontrollers with TensorFlow Lite Micro: does the file run, and does it fit?"""
