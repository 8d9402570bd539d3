//! Latencies in buckets: 32 to each doubling, so that a quantile is right within 3 %.

const STEPS: usize = 32;
/// Below this many ns all is one.
const FLOOR: u64 = STEPS as u64;

#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; 64 * STEPS], count: 0 }
    }

    pub(crate) fn add(&mut self, ns: u64) {
        let ns = ns.max(FLOOR);
        let octave = ns.ilog2() as usize;
        let step = (ns >> (octave - 5)) as usize % STEPS;
        self.buckets[octave * STEPS + step] += 1;
        self.count += 1;
    }

    /// The quantile in µs; 0 when nothing was added.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        let wanted = ((self.count as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                let (octave, step) = (index / STEPS, (index % STEPS) as u64);
                return ((1u64 << octave) + (step << (octave - 5))) as f64 / 1000.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_a_bucket_of_the_truth() {
        let mut histogram = Histogram::new();
        (1..=1000).for_each(|us| histogram.add(us * 1000));
        for (quantile, truth) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let told = histogram.quantile_us(quantile);
            assert!((truth * 0.96..=truth).contains(&told), "{quantile}: {told} for {truth}");
        }
    }

    #[test]
    fn nothing_added_is_no_latency() {
        assert_eq!(Histogram::new().quantile_us(0.5), 0.0);
    }
}
