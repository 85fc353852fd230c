//! The state of the registry: what is in production, and what is damaged.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::{gauge, sources, whole};

/// The values that the registry's sources know.
#[derive(Debug)]
pub(super) struct WatchedRegistry;

impl Collector for WatchedRegistry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sources = sources();
        let Some(sources) = sources.as_ref() else { return Ok(()) };
        let production = sources.production.as_ref().map(|source| source()).unwrap_or_default();
        let help = "The version of each type in production";
        let mut family =
            encoder.encode_descriptor("production_info", help, None, MetricType::Gauge)?;
        for it in &production {
            let labels = [("model_type", it.model_type.as_str()), ("version", it.version.as_str())];
            ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
        }
        let help = "When the version in production entered it, in seconds since 1970";
        let name = "production_since_timestamp_seconds";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for it in &production {
            if let Some(since) = it.since {
                let labels = [("model_type", it.model_type.as_str())];
                ConstGauge::new(since).encode(family.encode_family(&labels)?)?;
            }
        }
        if let Some(findings) = &sources.findings {
            let help = "Files of versions that are not what was registered, now";
            let mut family =
                encoder.encode_descriptor("integrity_findings", help, None, MetricType::Gauge)?;
            for (kind, number) in findings() {
                ConstGauge::new(whole(number)).encode(family.encode_family(&[("kind", kind)])?)?;
            }
        }
        if let Some(ended) = sources.round_ended.as_ref().and_then(|ended| ended()) {
            let help = "When all files were last re-hashed, in seconds since 1970";
            gauge(&mut encoder, "integrity_round_timestamp_seconds", help, ended)?;
        }
        Ok(())
    }
}
