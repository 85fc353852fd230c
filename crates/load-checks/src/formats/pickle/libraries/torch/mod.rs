//! torch: tensors, and torch's own layers, which are made without arguments and given their attributes.
//!
//! `tensors` says what the functions that rebuild tensors take, `legacy` reads the checkpoints of torch before 1.6.

pub(crate) mod legacy;
pub(crate) mod storages;
pub(crate) mod tensors;

use super::{Library, Made};
use crate::formats::pickle::rules::grants::{CALL, Entry, Grant, NAMED, PLAIN, Rule, ruled};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;
use tensors::Rebuild;

pub(crate) static LIBRARY: Library = Library {
    packages: &["torch"],
    grants: GRANTS,
    made: |_, function, _| Made { chosen_hash: function.name == "Size", ..Made::default() },
    check_state,
    ..Library::UNKNOWN
};

/// Layers of a recurrent network.
const MAX_LAYERS: i64 = 100_000;

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    if matches!(state, Value::Dict(id) if machine.arena.dicts[id as usize].seen.torch.many_layers) {
        machine.bad_state(instance, "says a number of layers that no network has");
    }
    Ok(())
}

/// What the states of torch's classes are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items {
    /// More layers than any network has.
    many_layers: bool,
}

impl Items {
    /// Remembers an item.
    pub(crate) fn note(&mut self, key: &[u8], value: Value) {
        self.many_layers |= key == b"num_layers"
            && !matches!(value, Value::Int(count) if (0..=MAX_LAYERS).contains(&count));
    }
}

const fn rebuilds(what: Rebuild) -> Grant {
    ruled(Rule::Torch(what))
}

const STORAGES: &str = "BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage \
     ComplexFloatStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage \
     QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage QUInt8Storage ShortStorage";

const GRANTS: &[Entry] = &[
    ("torch", NAMED, STORAGES),
    (
        "torch",
        NAMED,
        "Tensor bfloat16 bits8 bool channels_last channels_last_3d complex128 complex32 \
         complex64 contiguous_format float16 float32 float4_e2m1fn_x2 float64 float8_e4m3fn \
         float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu int1 int16 int2 int3 int32 \
         int4 int5 int6 int64 int7 int8 per_channel_affine per_channel_affine_float_qparams \
         per_channel_symmetric per_tensor_affine per_tensor_symmetric preserve_format qint32 \
         qint8 quint2x4 quint4x2 quint8 uint1 uint16 uint2 uint3 uint32 uint4 uint5 uint6 uint64 \
         uint7 uint8",
    ),
    ("torch", CALL, "device"),
    ("torch", rebuilds(Rebuild::Size), "Size"),
    ("torch._C._nn", NAMED, "elu_ gelu hardsigmoid hardswish leaky_relu relu6 silu softplus"),
    ("torch._tensor", rebuilds(Rebuild::Typed), "_rebuild_from_type_v2"),
    ("torch._utils", rebuilds(Rebuild::Meta), "_rebuild_meta_tensor_no_storage"),
    (
        "torch._utils",
        rebuilds(Rebuild::Parameter),
        "_rebuild_parameter _rebuild_parameter_with_state",
    ),
    ("torch._utils", rebuilds(Rebuild::Quantized), "_rebuild_qtensor"),
    ("torch._utils", rebuilds(Rebuild::Sparse), "_rebuild_sparse_tensor"),
    ("torch._utils", rebuilds(Rebuild::Tensor), "_rebuild_tensor _rebuild_tensor_v2"),
    ("torch._utils", rebuilds(Rebuild::TensorOfDtype), "_rebuild_tensor_v3"),
    ("torch.cuda", NAMED, STORAGES),
    (
        "torch.nn.functional",
        NAMED,
        "celu cosine_similarity cross_entropy elu gelu glu hardsigmoid hardswish hardtanh \
         l1_loss leaky_relu log_softmax logsigmoid mish mse_loss normalize pairwise_distance \
         prelu relu relu6 rrelu selu sigmoid silu smooth_l1_loss softmax softmin softplus \
         softsign tanh tanhshrink",
    ),
    (
        "torch.nn.modules.activation",
        PLAIN,
        "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid \
         LogSoftmax Mish MultiheadAttention PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax \
         Softmax2d Softmin Softplus Softshrink Softsign Tanh Tanhshrink Threshold",
    ),
    ("torch.nn.modules.adaptive", PLAIN, "AdaptiveLogSoftmaxWithLoss"),
    ("torch.nn.modules.batchnorm", PLAIN, "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm"),
    ("torch.nn.modules.channelshuffle", PLAIN, "ChannelShuffle"),
    (
        "torch.nn.modules.container",
        PLAIN,
        "ModuleDict ModuleList ParameterDict ParameterList Sequential",
    ),
    (
        "torch.nn.modules.conv",
        PLAIN,
        "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    ),
    ("torch.nn.modules.distance", PLAIN, "CosineSimilarity PairwiseDistance"),
    (
        "torch.nn.modules.dropout",
        PLAIN,
        "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    ),
    ("torch.nn.modules.flatten", PLAIN, "Flatten Unflatten"),
    ("torch.nn.modules.fold", PLAIN, "Fold Unfold"),
    ("torch.nn.modules.instancenorm", PLAIN, "InstanceNorm1d InstanceNorm2d InstanceNorm3d"),
    ("torch.nn.modules.linear", PLAIN, "Bilinear Identity Linear NonDynamicallyQuantizableLinear"),
    (
        "torch.nn.modules.loss",
        PLAIN,
        "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss \
         HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss \
         MultiLabelMarginLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d \
         PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss \
         TripletMarginWithDistanceLoss",
    ),
    ("torch.nn.modules.module", PLAIN, "Module"),
    (
        "torch.nn.modules.normalization",
        PLAIN,
        "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    ),
    (
        "torch.nn.modules.padding",
        PLAIN,
        "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d \
         ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d \
         ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d",
    ),
    ("torch.nn.modules.pixelshuffle", PLAIN, "PixelShuffle PixelUnshuffle"),
    (
        "torch.nn.modules.pooling",
        PLAIN,
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d \
         AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d FractionalMaxPool2d \
         FractionalMaxPool3d LPPool1d LPPool2d LPPool3d MaxPool1d MaxPool2d MaxPool3d \
         MaxUnpool1d MaxUnpool2d MaxUnpool3d",
    ),
    ("torch.nn.modules.rnn", PLAIN, "GRU GRUCell LSTM LSTMCell RNN RNNBase RNNCell"),
    ("torch.nn.modules.sparse", PLAIN, "Embedding EmbeddingBag"),
    (
        "torch.nn.modules.transformer",
        PLAIN,
        "Transformer TransformerDecoder TransformerDecoderLayer TransformerEncoder \
         TransformerEncoderLayer",
    ),
    ("torch.nn.modules.upsampling", PLAIN, "Upsample UpsamplingBilinear2d UpsamplingNearest2d"),
    ("torch.nn.parameter", NAMED, "Parameter"),
    ("torch.serialization", rebuilds(Rebuild::Layout), "_get_layout"),
    ("torch.storage", NAMED, "UntypedStorage"),
];
