//! ml_dtypes: small number types for arrays.

use super::Library;
use crate::formats::pickle::rules::grants::{Entry, NAMED};
use crate::formats::pickle::unpickler::arena::GlobalNote;

pub(crate) static LIBRARY: Library =
    Library { packages: &["ml_dtypes"], grants: GRANTS, ..Library::UNKNOWN };

/// Bytes of one number; `None` for a class of another library.
pub(crate) fn size_of(class: &GlobalNote) -> Option<u64> {
    match (class.module.as_str(), class.name.as_str()) {
        ("ml_dtypes", "bfloat16") => Some(2),
        ("ml_dtypes", "complex32" | "bcomplex32") => Some(4),
        ("ml_dtypes", _) => Some(1),
        _ => None,
    }
}

const GRANTS: &[Entry] = &[(
    "ml_dtypes",
    NAMED,
    "bcomplex32 bfloat16 complex32 float4_e2m1fn float6_e2m3fn float6_e3m2fn float8_e3m4 float8_e4m3 float8_e4m3b11fnuz \
     float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu int1 int2 int4 uint1 uint2 uint4",
)];
