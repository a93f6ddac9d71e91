"""Names that a model file may hold without bringing code of its own.

Keras's own classes (both flavours) and TensorFlow Model Optimization's. They are written out, so
that a file can be judged where neither is installed; a test compares them with the packages.
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables that read like text.

    >>> sorted(words("one two"))
    ['one', 'two']
    """
    return frozenset(text.split())


LAYERS = words(
    """
    AbstractRNNCell Activation ActivityRegularization AdaptiveAveragePooling1D
    AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D
    AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average
    AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D
    BatchNormalization BatchNormalizationV1 BatchNormalizationV2 Bidirectional CategoryEncoding
    CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose
    Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D
    Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
    Convolution3DTranspose Cropping1D Cropping2D Cropping3D CuDNNGRU CuDNNLSTM CutMix Dense
    DenseFeatures DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense
    Embedding Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D
    GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization
    GroupQueryAttention HashedCrossing Hashing Identity InputLayer InputSpec IntegerLookup LSTM
    LSTMCell Layer LayerNormalization LeakyReLU LocallyConnected1D LocallyConnected2D Masking
    MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D
    Maximum MelSpectrogram Minimum MixUp MultiHeadAttention Multiply Normalization PReLU Permute
    Pipeline RMSNormalization RNN RandAugment RandomBrightness RandomColorDegeneration
    RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
    RandomFourierFeatures RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape
    Resizing ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D
    SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization
    SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells
    StringLookup Subtract SyncBatchNormalization TextVectorization ThresholdedReLU
    TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D Wrapper
    ZeroPadding1D ZeroPadding2D ZeroPadding3D
    """
)

MODELS = words("Functional Model Sequential")

# Ops of tf_keras's functional graphs; the symbol that they name is judged on its own.
SYMBOL_OPS = words("TFOpLambda SlicingOpLambda")

PARTS = words(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer
    Initializer LecunNormal LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal
    RandomUniform STFT STFTInitializer TruncatedNormal VarianceScaling Zeros
    L1 L1L2 L2 OrthogonalRegularizer Regularizer
    Constraint MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm
    AWQDTypePolicy DTypePolicy DTypePolicyMap FloatDTypePolicy GPTQDTypePolicy Int4DTypePolicy
    Policy QuantizedDTypePolicy QuantizedFloat8DTypePolicy
    AWQConfig AbsMaxQuantizer Float8QuantizationConfig GPTQConfig Int4QuantizationConfig
    Int8QuantizationConfig QuantizationConfig Quantizer SeedGenerator
    """
)

# How both flavours write plain values.
VALUES = words(
    """
    __keras_tensor__ __tensor__ __numpy__ __bytes__ __ellipsis__ __slice__ __tuple__
    TypeSpec TensorShape TensorSpec CompositeTensor
    """
)

MODEL_OPTIMIZATION = words(
    """
    AllValuesQuantizer ClusterPreserveDefault8BitConvWeightsQuantizer
    ClusterPreserveDefault8BitWeightsQuantizer ClusterPreserveDefaultWeightsQuantizer
    ClusterWeights ClusterWeightsMHA ClusterWeightsRNN ConstantSparsity
    Default8BitActivationQuantizeConfig Default8BitClusterPreserveQuantizeScheme
    Default8BitConvQuantizeConfig Default8BitConvTransposeQuantizeConfig
    Default8BitConvTransposeWeightsQuantizer Default8BitConvWeightsQuantizer
    Default8BitOutputQuantizeConfig Default8BitPrunePreserveQuantizeScheme
    Default8BitQuantizeConfig FixedQuantizeConfig FixedQuantizer LastValueQuantizer
    MovingAverageQuantizer NoOpActivation NoOpQuantizeConfig NoQuantizer OutputOnlyConfig
    PolynomialDecay PruneLowMagnitude PrunePreserveDefault8BitConvWeightsQuantizer
    PrunePreserveDefault8BitWeightsQuantizer PrunePreserveDefaultWeightsQuantizer
    QuantizeAnnotate QuantizeAwareActivation QuantizeLayer QuantizeWrapper QuantizeWrapperV2
    """
)

# tfgreen's own layers of quantization-aware training, as they are registered with tf_keras.
QUANTIZATION_AWARE = words(
    """
    tfgreen>BatchMatMul tfgreen>CausalMask tfgreen>ChannelWeightsQuantizer
    tfgreen>FixedRangeQuantizer tfgreen>Keras3Activation tfgreen>RoundedActivation
    tfgreen>RoundedWeights tfgreen>WeightsConfig
    """
)
OWN_PACKAGE, QUANTIZATION_AWARE_MODULE = "tfgreen", "tfgreen.models.qat_layers"

CLASSES = LAYERS | MODELS | PARTS | VALUES | MODEL_OPTIMIZATION | QUANTIZATION_AWARE

ACTIVATIONS = words(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh
    leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu swish soft_shrink
    softmax softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink
    threshold
    """
)

LOSSES_AND_METRICS = words(
    """
    KLD MAE MAPE MSE MSLE binary_accuracy binary_crossentropy binary_focal_crossentropy
    categorical_accuracy categorical_crossentropy categorical_focal_crossentropy
    categorical_generalized_cross_entropy categorical_hinge circle concordance_correlation
    cosine_similarity ctc dice hinge huber kl_divergence kld kullback_leibler_divergence log_cosh
    logcosh mae mape mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error mse msle pearson_correlation poisson
    sparse_categorical_accuracy sparse_categorical_crossentropy sparse_top_k_categorical_accuracy
    squared_hinge top_k_categorical_accuracy tversky
    """
)

# Keras's own layers that run what lies outside the config: code, another model, another framework.
CODE_RUNNING_LAYERS = words("Lambda TFSMLayer TorchModuleWrapper JaxLayer FlaxLayer")

# Modules whose classes, and only those, may be new in a later Keras than this list knows.
KERAS_MODULES = (
    "keras.layers",
    "keras.initializers",
    "keras.regularizers",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.quantizers",
    "keras.losses",
    "keras.metrics",
    "keras.optimizers",
    "keras.src.layers",
    "keras.src.ops",
)
