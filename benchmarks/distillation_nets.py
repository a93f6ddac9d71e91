"""Keyword networks of any width, ending in logits: teachers and students of the tables."""

from __future__ import annotations

from typing import Any


def keyword_net(width: int, class_count: int = 12) -> Any:
    """An untrained DS-CNN: (49, 10, 1) float32 MFCCs in, logits of the classes out.

    It is that of `tfgreen demo`, whose width is 64, without the softmax at its end.
    """
    from keras import Model, layers

    def activated(convolution: Any, tensor: Any, name: str) -> Any:
        normal = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(convolution(tensor))
        return layers.ReLU(name=name)(normal)

    inputs = layers.Input((49, 10, 1), name="mfcc")
    stem = layers.Conv2D(width, (10, 4), strides=2, padding="same", use_bias=False)
    features = activated(stem, inputs, "stem")
    for block in range(1, 5):
        depthwise = layers.DepthwiseConv2D(3, padding="same", use_bias=False)
        features = activated(depthwise, features, f"depthwise_{block}")
        pointwise = layers.Conv2D(width, 1, use_bias=False)
        features = activated(pointwise, features, f"block_{block}")
    pooled = layers.GlobalAveragePooling2D(name="pooled")(features)
    outputs = layers.Dense(class_count, name="word")(layers.Dropout(0.2)(pooled))
    return Model(inputs, outputs, name=f"keyword_net_{width}")


def plain_net(width: int, class_count: int = 12) -> Any:
    """An untrained network of 3 x 3 convolutions with the same input and output.

    Its time goes into multiplications, where that of a DS-CNN goes into moving memory as well.
    """
    from keras import Model, layers

    inputs = layers.Input((49, 10, 1), name="mfcc")
    features = layers.Conv2D(width, (10, 4), strides=2, padding="same", activation="relu")(inputs)
    for _ in range(4):
        features = layers.Conv2D(width, 3, padding="same", activation="relu")(features)
    pooled = layers.GlobalAveragePooling2D()(features)
    return Model(inputs, layers.Dense(class_count, name="word")(pooled), name=f"plain_{width}")
