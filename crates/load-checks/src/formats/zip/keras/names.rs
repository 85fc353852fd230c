//! The classes and functions of Keras that a model's configuration may name.
//!
//! Facts about Keras 3 only, taken from its public modules; how they are used is decided elsewhere.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Layers. Not among them: `Lambda`, which carries code, and the layers that wrap models of other
/// libraries (`TorchModuleWrapper`, `TFSMLayer`, `JaxLayer`, `FlaxLayer`), which load those.
const LAYERS: &str = "\
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D \
    AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add \
    AdditiveAttention AlphaDropout Attention AugMix AutoContrast Average AveragePooling1D \
    AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization \
    Bidirectional CategoryEncoding CenterCrop Concatenate \
    ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DTranspose \
    Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D Convolution1DTranspose \
    Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D \
    Cropping2D Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot \
    Dropout ELU EinsumDense Embedding Equalization Flatten GRU GRUCell GaussianDropout \
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D \
    GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D \
    GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization \
    GroupQueryAttention HashedCrossing Hashing Identity InputLayer InputSpec IntegerLookup LSTM \
    LSTMCell Layer LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D \
    MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp \
    MultiHeadAttention Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN \
    RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast \
    RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur \
    RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation \
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom ReLU RepeatVector \
    Rescaling Reshape Resizing ReversibleEmbedding STFTSpectrogram SeparableConv1D \
    SeparableConv2D SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell \
    Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D \
    SpectralNormalization StackedRNNCells StringLookup Subtract TextVectorization \
    TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D Wrapper \
    ZeroPadding1D ZeroPadding2D ZeroPadding3D";

/// Models, and what layers and training are made of.
const PARTS: &str = "\
    AUC AWQConfig AWQDTypePolicy AbsMaxQuantizer Accuracy Adadelta Adafactor Adagrad Adam AdamW \
    Adamax BinaryAccuracy BinaryCrossentropy BinaryFocalCrossentropy BinaryIoU CTC \
    CategoricalAccuracy CategoricalCrossentropy CategoricalFocalCrossentropy \
    CategoricalGeneralizedCrossEntropy CategoricalHinge Circle ConcordanceCorrelation Constant \
    Constraint CosineDecay CosineDecayRestarts CosineSimilarity DTypePolicy DTypePolicyMap Dice \
    ExponentialDecay F1Score FBetaScore FalseNegatives FalsePositives FeatureSpace \
    Float8QuantizationConfig FloatDTypePolicy Ftrl Functional GPTQConfig GPTQDTypePolicy \
    GlorotNormal GlorotUniform HeNormal HeUniform Hinge Huber Identity IdentityInitializer \
    Initializer InputSpec Int4DTypePolicy Int4QuantizationConfig Int8QuantizationConfig \
    InverseTimeDecay IoU KLDivergence L1 L1L2 L2 Lamb Layer LearningRateSchedule LecunNormal \
    LecunUniform Lion LogCosh LogCoshError Loss LossScaleOptimizer MaxNorm Mean \
    MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanMetricWrapper MeanSquaredError \
    MeanSquaredLogarithmicError Metric MinMaxNorm Model MultiOptimizer Muon Nadam NonNeg \
    OneHotIoU OneHotMeanIoU Ones Optimizer OptimizerMap Orthogonal OrthogonalInitializer \
    OrthogonalRegularizer PearsonCorrelation PiecewiseConstantDecay Poisson PolynomialDecay \
    Precision PrecisionAtRecall QuantizationConfig QuantizedDTypePolicy \
    QuantizedFloat8DTypePolicy Quantizer R2Score RMSprop RandomNormal RandomUniform Recall \
    RecallAtPrecision Regularizer RootMeanSquaredError SGD STFT STFTInitializer \
    ScheduleFreeAdamW SeedGenerator SensitivityAtSpecificity Sequential \
    SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy \
    SpecificityAtSensitivity SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives \
    TruePositives TruncatedNormal Tversky UnitNorm VarianceScaling Zeros constant glorot_normal \
    glorot_uniform he_normal he_uniform identity l1 l1_l2 l2 lecun_normal lecun_uniform max_norm \
    min_max_norm non_neg ones orthogonal orthogonal_regularizer random_normal random_uniform \
    stft truncated_normal unit_norm variance_scaling zeros";

/// Operations that a functional model can hold as a step. Not among them: those that take a
/// function.
const OPERATIONS: &str = "\
    Abs Absolute AdaptiveAveragePool AdaptiveMaxPool Add AffineTransform All AllClose Amax Amin \
    Angle Any Append Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Argmax Argmin \
    Argpartition Argsort Array ArraySplit Average AveragePool BatchNorm BinaryCrossentropy \
    Bincount BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr BitwiseRightShift \
    BitwiseXor BroadcastTo CDist CTCDecode CTCLoss Cast CategoricalCrossentropy Cbrt Ceil Celu \
    Cholesky CholeskyInverse Clip Concatenate Conj Conjugate Conv ConvTranspose ConvertToTensor \
    Copy Corrcoef Correlate Cos Cosh CountNonzero CropImages Cross Cumprod Cumsum Deg2rad \
    DepthToSpace DepthwiseConv Det Diag Diagflat Diagonal Diff Digitize Divide DivideNoNan Dot \
    DotProductAttention Dsplit Dstack Eig Eigh Einsum ElasticTransform Elu EmptyLike Equal Erf \
    Erfc Erfinv Exp Exp2 ExpandDims Expm1 ExtractPatches ExtractSequences FFT FFT2 Fabs Flip \
    Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod Fold Full FullLike GaussianBlur Gcd Gelu \
    Geomspace GetItem Glu Greater GreaterEqual HSVToRGB HardShrink HardSigmoid HardSilu HardTanh \
    Heaviside Histogram Hsplit Hstack Hypot I0 IFFT2 IRFFT ISTFT Imag InTopK Inner Inv IsIn \
    Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal Kron LayerNorm Lcm Ldexp LeakyRelu \
    LeftShift Less LessEqual Linspace Log Log10 Log1p Log2 LogSigmoid LogSoftmax Logaddexp \
    Logaddexp2 Logdet LogicalAnd LogicalNot LogicalOr LogicalXor Logspace Logsumexp Lstsq \
    LuFactor MapCoordinates Matmul MatrixRank Max MaxPool Maximum Mean Median Meshgrid Min \
    Minimum Mod Moments Moveaxis MultiHot Multiply NanToNum Nanargmax Nanargmin Nancumprod \
    Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod Nanquantile Nanstd Nansum \
    Nanvar Ndim Negative Nextafter Nonzero Norm Normalize NotEqual OneHot OnesLike Outer PSNR \
    Pad PadImages Percentile PerspectiveTransform Pinv Polar Power Prod Ptp Qr Quantile RFFT \
    RGBToGrayscale RGBToHSV RMSNorm Rad2deg Ravel Real Rearrange Reciprocal Relu Relu6 Repeat \
    Reshape Resize RightShift Roll Rot90 Round Rsqrt SSIM STFT SVD SaturateCast \
    ScaleAndTranslate Scatter ScatterUpdate SearchSorted SegmentMax SegmentMin SegmentProd \
    SegmentReduction SegmentSum Select Selu SeparableConv Sigmoid Sign Signbit Silu Sin Sinc \
    Sinh Size Slice SliceUpdate Slogdet SobelEdges SoftShrink Softmax Softplus Softsign Solve \
    SolveTriangular Sort SpaceToDepth SparseCategoricalCrossentropy SparsePlus SparseSigmoid \
    Sparsemax Split Sqrt Square Squareplus Squeeze Stack Std StopGradient Subtract Sum Swapaxes \
    Take TakeAlongAxis Tan Tanh TanhShrink Tensordot Threshold Tile TopK Trace Transpose \
    Trapezoid Tril Triu TrueDivide Trunc Unfold Unique UnravelIndex Unstack Vander Var Vdot View \
    ViewAsComplex ViewAsReal Vsplit Vstack Where ZerosLike";

/// Activations, losses and metrics that are functions.
const FUNCTIONS: &str = "\
    binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy \
    categorical_crossentropy categorical_focal_crossentropy \
    categorical_generalized_cross_entropy categorical_hinge celu circle concordance_correlation \
    cosine_similarity ctc dice elu exponential gelu glu hard_shrink hard_sigmoid hard_silu \
    hard_swish hard_tanh hinge huber kl_divergence leaky_relu linear log_cosh log_sigmoid \
    log_softmax mean_absolute_error mean_absolute_percentage_error mean_squared_error \
    mean_squared_logarithmic_error mish pearson_correlation poisson relu relu6 selu sigmoid silu \
    soft_shrink softmax softplus softsign sparse_categorical_accuracy \
    sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparse_top_k_categorical_accuracy \
    sparsemax squared_hinge squareplus swish tanh tanh_shrink threshold \
    top_k_categorical_accuracy tversky";

static CLASSES: LazyLock<HashSet<&str>> =
    LazyLock::new(|| [LAYERS, PARTS, OPERATIONS].iter().flat_map(|list| list.split(' ')).collect());

/// Whether a class may be made from its configuration.
pub(super) fn is_class(name: &str) -> bool {
    CLASSES.contains(name)
}

/// Whether a function may be named.
pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.split(' ').any(|function| function == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_or_reaches_code_is_not_in_the_list() {
        for name in [
            "Lambda",
            "layers.Lambda",
            "TorchModuleWrapper",
            "TFSMLayer",
            "JaxLayer",
            "FlaxLayer",
            "Function",
            "Map",
            "Cond",
            "",
            "function",
            "__lambda__",
            "__typespec__",
        ] {
            assert!(!is_class(name), "{name}");
        }
        for name in ["get", "deserialize", "get_file", "eval", "system", ""] {
            assert!(!is_function(name), "{name}");
        }
        assert!(is_class("Dense") && is_class("Functional") && is_class("Add") && is_class("Adam"));
        assert!(is_class("Activation") && is_class("ZerosLike") && is_class("zeros"));
        assert!(is_function("relu") && is_function("mean_squared_error"));
    }
}
