//! Histograms with buckets that double: what to tell apart, one worker's counts, and what a reader gets.

use crate::util::count::Count;
use std::fmt;
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::time::Duration;

/// The most buckets a histogram may have: 8 KiB for each worker.
const BUCKETS_MAX: usize = 1024;

/// Which durations a histogram tells apart: a bucket below `min`, then buckets that double up to `max`, each doubling in `steps` equal
/// parts, and one for what is longer.
///
/// # Examples
/// ```
/// use posse::runtime::{Builder, HistogramConfig};
/// use std::time::Duration;
///
/// let config = HistogramConfig::default().max(Duration::from_secs(10)).steps(4);
/// let runtime = Builder::new_current_thread().poll_time_histogram(config).build()?;
/// runtime.block_on(async { posse::task::spawn(async {}).await.unwrap() });
/// let polls = runtime.handle().metrics().poll_time_histogram().unwrap();
/// assert_eq!(polls.count(), 1);
/// println!("{polls}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HistogramConfig {
    min: Duration,
    max: Duration,
    steps: u32,
}

impl Default for HistogramConfig {
    /// From 1 us to 1 s, two steps for each doubling: 42 buckets.
    fn default() -> Self {
        Self { min: Duration::from_micros(1), max: Duration::from_secs(1), steps: 2 }
    }
}

impl HistogramConfig {
    /// Sets the end of the first bucket, at least 1 ns. Default: 1 us.
    #[must_use]
    pub fn min(mut self, min: Duration) -> Self {
        self.min = min;
        self
    }

    /// Sets what the last bucket begins at or below twice of, more than `min`. Default: 1 s.
    #[must_use]
    pub fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Sets the buckets for each doubling, 1 to 64: with `n` a duration is known to one part in `n`. Default: 2.
    #[must_use]
    pub fn steps(mut self, steps: u32) -> Self {
        self.steps = steps;
        self
    }

    /// # Errors
    /// `InvalidInput` for figures out of range, or that need more than 1,024 buckets.
    pub(crate) fn scale(&self) -> std::io::Result<Scale> {
        let (min, max) = (nanos(self.min), nanos(self.max));
        let wrong = |text: &str| Err(Error::new(ErrorKind::InvalidInput, format!("a histogram {text}")));
        if min == 0 || max <= min {
            return wrong("needs a minimum above zero and a maximum above that");
        }
        if !(1..=64).contains(&self.steps) {
            return wrong("has 1 to 64 steps for each doubling");
        }
        let doublings =
            (0..u64::BITS).find(|&doublings| u128::from(min) << doublings >= u128::from(max)).unwrap_or(u64::BITS);
        let buckets = 2 + (doublings * self.steps) as usize;
        if buckets > BUCKETS_MAX {
            return wrong("has at most 1,024 buckets");
        }
        Ok(Scale { min, steps: u64::from(self.steps), buckets })
    }
}

fn nanos(duration: Duration) -> u64 {
    // A quarter of all: no sum or product below can overflow. That is 146 years.
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}

/// Where the buckets begin.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    min: u64,
    steps: u64,
    buckets: usize,
}

impl Scale {
    fn bucket(&self, duration: Duration) -> usize {
        let nanos = nanos(duration);
        if nanos < self.min {
            return 0;
        }
        let doublings = (nanos / self.min).ilog2();
        let base = self.min << doublings;
        let step = u128::from(nanos - base) * u128::from(self.steps) / u128::from(base);
        let bucket = 1 + u64::from(doublings) * self.steps + step as u64;
        (bucket as usize).min(self.buckets - 1)
    }

    /// The shortest duration that belongs into the bucket.
    fn begin(&self, bucket: usize) -> u64 {
        let Some(bucket) = (bucket as u64).checked_sub(1) else { return 0 };
        let base = u128::from(self.min) << (bucket / self.steps);
        let step = (base * u128::from(bucket % self.steps)).div_ceil(u128::from(self.steps));
        u64::try_from(base + step).unwrap_or(u64::MAX)
    }

    fn range(&self, bucket: usize) -> Range<Duration> {
        let end = if bucket + 1 < self.buckets { Duration::from_nanos(self.begin(bucket + 1)) } else { Duration::MAX };
        Duration::from_nanos(self.begin(bucket))..end
    }
}

/// What the workers of a runtime measure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scales {
    pub(crate) poll_time: Option<Scale>,
    pub(crate) schedule_latency: Option<Scale>,
}

/// The histograms of one worker.
#[derive(Debug)]
pub(crate) struct Histograms {
    pub(crate) poll_time: Option<WorkerHistogram>,
    pub(crate) schedule_latency: Option<WorkerHistogram>,
}

impl Histograms {
    /// `None` if nothing is measured.
    pub(crate) fn new(scales: &Scales) -> Option<Box<Self>> {
        let poll_time = scales.poll_time.as_ref().map(WorkerHistogram::new);
        let schedule_latency = scales.schedule_latency.as_ref().map(WorkerHistogram::new);
        let any = poll_time.is_some() || schedule_latency.is_some();
        any.then(|| Box::new(Self { poll_time, schedule_latency }))
    }
}

/// What one worker counts.
#[derive(Debug)]
pub(crate) struct WorkerHistogram {
    scale: Scale,
    counts: Box<[Count]>,
}

impl WorkerHistogram {
    pub(crate) fn new(scale: &Scale) -> Self {
        Self { scale: scale.clone(), counts: (0..scale.buckets).map(|_| Count::default()).collect() }
    }

    /// For the worker alone.
    pub(crate) fn record(&self, duration: Duration) {
        self.counts[self.scale.bucket(duration)].add(1);
    }
}

/// How often durations fell into each bucket, as of the moment it was asked for.
#[derive(Clone, Debug)]
pub struct Histogram {
    scale: Scale,
    counts: Box<[u64]>,
}

impl Histogram {
    /// The sum of what some workers counted; `None` if none did.
    pub(crate) fn sum<'a>(mut workers: impl Iterator<Item = &'a WorkerHistogram>) -> Option<Self> {
        let first = workers.next()?;
        let mut counts: Box<[u64]> = first.counts.iter().map(Count::get).collect();
        for worker in workers {
            counts.iter_mut().zip(&worker.counts).for_each(|(sum, count)| *sum = sum.wrapping_add(count.get()));
        }
        Some(Self { scale: first.scale.clone(), counts })
    }

    /// Returns each bucket and how many durations fell into it, shortest first. The last bucket ends with `Duration::MAX`.
    pub fn buckets(&self) -> impl Iterator<Item = (Range<Duration>, u64)> {
        self.counts.iter().enumerate().map(|(bucket, &count)| (self.scale.range(bucket), count))
    }

    /// Returns the number of durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, &count| sum.wrapping_add(count))
    }

    /// Returns the bucket that the given share of durations, 0.0 to 1.0, lies in or below; `None` of an empty histogram.
    pub fn quantile(&self, share: f64) -> Option<Range<Duration>> {
        let rank = (self.count() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut seen = 0;
        self.buckets().find_map(|(range, count)| {
            seen += count;
            (count > 0 && seen as f64 >= rank).then_some(range)
        })
    }
}

/// A line for each bucket that is not empty.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.count().max(1) as f64;
        for (range, count) in self.buckets().filter(|(_, count)| *count > 0) {
            writeln!(f, "from {:>9.1?}: {count:>9} ({:.1} %)", range.start, count as f64 * 100.0 / all)?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(posse_loom)))]
mod tests {
    use super::*;

    fn scale(min: u64, max: u64, steps: u32) -> std::io::Result<Scale> {
        HistogramConfig { min: Duration::from_nanos(min), max: Duration::from_nanos(max), steps }.scale()
    }

    #[test]
    fn each_duration_lies_within_its_bucket_and_buckets_leave_no_gap() {
        for (min, max, steps) in [(1_000, 1_000_000_000, 2), (1, 1_000, 1), (7, 90_001, 64), (1_000, 1_001, 3)] {
            let scale = scale(min, max, steps).unwrap();
            for bucket in 1..scale.buckets {
                assert_eq!(scale.range(bucket - 1).end, scale.range(bucket).start);
            }
            for nanos in (0..200).chain([min - 1, min, min + 1, max - 1, max, 2 * max, u64::MAX]) {
                let duration = Duration::from_nanos(nanos);
                assert!(scale.range(scale.bucket(duration)).contains(&duration), "{nanos} of {scale:?}");
            }
            let last = scale.range(scale.buckets - 1).start;
            assert!(last >= Duration::from_nanos(max) && last < Duration::from_nanos(2 * max), "{last:?} of {scale:?}");
        }
    }

    #[test]
    fn what_makes_no_histogram_is_refused() {
        for (min, max, steps) in [(0, 1_000, 1), (5, 5, 1), (1, 1_000, 0), (1, 1_000, 65), (1, u64::MAX, 64)] {
            assert_eq!(scale(min, max, steps).unwrap_err().kind(), ErrorKind::InvalidInput, "{min} {max} {steps}");
        }
    }

    #[test]
    fn quantiles_name_the_bucket_that_reaches_them() {
        let worker = WorkerHistogram::new(&scale(1_000, 1_000_000, 1).unwrap());
        assert_eq!(Histogram::sum([&worker].into_iter()).unwrap().quantile(0.5), None);
        for micros in [1, 1, 1, 2, 500] {
            worker.record(Duration::from_micros(micros));
        }
        let histogram = Histogram::sum([&worker, &worker].into_iter()).unwrap();
        assert_eq!(histogram.count(), 10);
        let starts = [0.0, 0.5, 0.8, 1.0].map(|share| histogram.quantile(share).unwrap().start.as_micros());
        assert_eq!(starts, [1, 1, 2, 256]);
        assert!(histogram.to_string().starts_with("from     1.0µs:         6 (60.0 %)\n"), "{histogram}");
    }
}
