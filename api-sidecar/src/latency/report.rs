//! The histograms as JSON, as the text that HdrHistogram's plotters read, and as Prometheus metrics.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::{Recorded, Stage};
use crate::wire::Object;

/// Percentiles of the JSON answer, by name.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)];

/// Upper bounds of the Prometheus buckets in nanoseconds: 1-2-5 from 1 µs to 5 s.
const BUCKETS_NS: [u64; 21] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
];

/// Steps of the text report for each halving of what is left to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// The fields of `GET /api/oms/latency`: each stage with its count and percentiles in nanoseconds.
pub(crate) fn write_json(body: &mut Object<'_>, recorded: &Recorded) {
    body.string("unit", "ns").array("stages", |list| {
        for (stage, histogram, sum_ns) in recorded.stages() {
            list.object(|row| {
                row.string("stage", stage.as_str())
                    .number("count", histogram.len())
                    .number("sum", sum_ns);
                for (name, quantile) in PERCENTILES {
                    row.number(name, histogram.value_at_quantile(quantile));
                }
                row.number("max", histogram.max());
            });
        }
    });
}

/// The percentile distribution of one stage in microseconds, as HdrHistogram's `outputPercentileDistribution` writes it.
#[expect(clippy::float_arithmetic, reason = "percentiles are shown, not traded")]
pub(crate) fn write_hgrm(out: &mut String, recorded: &Recorded, stage: Stage) {
    let histogram = recorded.stage(stage);
    out.push_str("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut count = 0;
    for value in histogram.iter_quantiles(TICKS_PER_HALF) {
        let quantile = value.quantile_iterated_to();
        let micros = Micros(value.value_iterated_to());
        count += value.count_since_last_iteration();
        // Writing to a String cannot fail.
        let _ = match quantile < 1.0 {
            true => writeln!(
                out,
                "{micros:>12} {quantile:>14.12} {count:>10} {:>14.2}",
                1.0 / (1.0 - quantile)
            ),
            false => writeln!(out, "{micros:>12} {quantile:>14.12} {count:>10}"),
        };
    }
    let (mean, deviation) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    let _ = writeln!(
        out,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    );
    let (max, count) = (Micros(histogram.max()), histogram.len());
    let _ = writeln!(out, "#[Max     = {max:>12}, Total count    = {count:>12}]");
    let (buckets, sub) = (histogram.buckets(), histogram.distinct_values());
    let _ = writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {sub:>12}]");
}

/// Nanoseconds, shown as microseconds with three decimals.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000))
    }
}

/// One histogram family in Prometheus' text format 0.0.4, in seconds, a series for each stage.
pub(crate) fn write_metrics(out: &mut String, recorded: &Recorded) {
    out.push_str("# HELP pinion_order_latency_seconds Time of an order-lane request by stage.\n");
    out.push_str("# TYPE pinion_order_latency_seconds histogram\n");
    for (stage, histogram, sum_ns) in recorded.stages() {
        let stage = stage.as_str();
        let name = "pinion_order_latency_seconds";
        for (bound, count) in BUCKETS_NS.into_iter().zip(cumulative(histogram)) {
            let _ = writeln!(
                out,
                "{name}_bucket{{stage=\"{stage}\",le=\"{}\"}} {count}",
                Seconds(bound)
            );
        }
        let count = histogram.len();
        let _ = writeln!(out, "{name}_bucket{{stage=\"{stage}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "{name}_sum{{stage=\"{stage}\"}} {}", Seconds(sum_ns));
        let _ = writeln!(out, "{name}_count{{stage=\"{stage}\"}} {count}");
    }
}

/// Values at or below each bound of [`BUCKETS_NS`], to the histogram's resolution of three digits.
fn cumulative(histogram: &Histogram<u64>) -> [u64; BUCKETS_NS.len()] {
    let mut counts = [0; BUCKETS_NS.len()];
    for value in histogram.iter_recorded() {
        // The cell that a bound lies in counts as below it.
        let nanos = histogram.lowest_equivalent(value.value_iterated_to());
        let first = BUCKETS_NS.partition_point(|&bound| bound < nanos);
        if let Some(count) = counts.get_mut(first) {
            *count += value.count_since_last_iteration();
        }
    }
    let mut below = 0;
    counts.map(|count| {
        below += count;
        below
    })
}

/// Nanoseconds, shown as seconds exactly.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 to 1,000 µs, once each, as every stage but the journal's.
    fn recorded() -> Recorded {
        let mut recorded = Recorded::default();
        for micros in 1..=1_000 {
            let nanos = Some(micros * 1_000);
            recorded.record(&[nanos, nanos, nanos, None, nanos, nanos]);
        }
        recorded
    }

    #[test]
    fn json_has_every_stage_in_nanoseconds() {
        let mut text = Vec::new();
        write_json(&mut Object::begin(&mut text), &recorded());
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let stages = json["stages"].as_array().unwrap();
        assert_eq!(stages.len(), Stage::ALL.len());
        let total = &stages[5];
        assert_eq!(
            (total["stage"].as_str(), total["count"].as_u64()),
            (Some("total"), Some(1_000))
        );
        assert_eq!(total["sum"].as_u64(), Some(500_500_000));
        for (name, expected) in [
            ("p50", 500_000),
            ("p90", 900_000),
            ("p99", 990_000),
            ("max", 1_000_000),
        ] {
            let found = total[name].as_u64().unwrap();
            assert!(found.abs_diff(expected) <= expected / 1_000, "{name}: {found}");
        }
        assert_eq!(stages[3]["count"].as_u64(), Some(0));
    }

    #[test]
    fn metrics_are_cumulative() {
        let mut text = String::new();
        write_metrics(&mut text, &recorded());
        for line in [
            "pinion_order_latency_seconds_bucket{stage=\"total\",le=\"0.000100000\"} 100",
            "pinion_order_latency_seconds_bucket{stage=\"total\",le=\"+Inf\"} 1000",
            "pinion_order_latency_seconds_sum{stage=\"total\"} 0.500500000",
            "pinion_order_latency_seconds_count{stage=\"journal\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn the_text_report_ends_at_the_maximum() {
        let mut text = String::new();
        write_hgrm(&mut text, &recorded(), Stage::Total);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .skip(2)
            .map(|line| line.split_whitespace().collect())
            .collect();
        let counts: Vec<u64> = rows.iter().map(|row| row[2].parse().unwrap()).collect();
        assert!(counts.is_sorted() && counts.last() == Some(&1_000), "{text}");
        assert_eq!(rows.last().unwrap()[1], "1.000000000000");
        assert!(rows[0].len() == 4 && text.contains("#[Max     ="), "{text}");
    }
}
