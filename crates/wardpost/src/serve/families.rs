//! Metric families made from numbers that something else keeps.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::time::Duration;

pub(super) fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    family(name, help, MetricType::GAUGE, vec![gauge_metric(value)])
}

pub(super) fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    family(name, help, MetricType::COUNTER, vec![counter_metric(value)])
}

pub(super) fn family(
    name: &str,
    help: &str,
    kind: MetricType,
    metrics: Vec<Metric>,
) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

pub(super) fn gauge_metric(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_gauge(gauge);
    metric
}

pub(super) fn counter_metric(value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    metric
}

pub(super) fn labelled(name: &str, value: &str, mut metric: Metric) -> Metric {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    metric.set_label(vec![label]);
    metric
}

fn bucket(bound: Duration, count: u64) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(bound.as_secs_f64());
    bucket.set_cumulative_count(count);
    bucket
}

pub(super) fn histogram_metric(count: u64, sum: Duration, buckets: &[(Duration, u64)]) -> Metric {
    let mut histogram = Histogram::default();
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum.as_secs_f64());
    histogram.set_bucket(buckets.iter().map(|(bound, n)| bucket(*bound, *n)).collect());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}
