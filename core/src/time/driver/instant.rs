//! A point in time on a runtime's clock.

use super::clock::{ORIGIN_NANOS, nanos, origin};
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// A point in time, in nanoseconds since the origin of its clock.
///
/// Instants of runtimes with real clocks can be compared with each other; those of a manual clock only with their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub(crate) u64);

impl Instant {
    /// Returns the time since the clock's origin.
    pub fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Returns the instant of std that lies as far from the real clock's origin as this one from its clock's. For a runtime with a
    /// real clock it is the same moment; for others a name for it that [`from_std`](Self::from_std) understands.
    ///
    /// # Examples
    /// ```
    /// use posse::time::Instant;
    ///
    /// let now = Instant::now();
    /// assert_eq!(Instant::from_std(now.into_std()), now);
    /// ```
    pub fn into_std(self) -> std::time::Instant {
        let since = Duration::from_nanos(self.0.saturating_sub(ORIGIN_NANOS));
        // 584 years fit wherever the system's clock is.
        origin().checked_add(since).unwrap_or_else(origin)
    }

    /// Returns the instant for one of std's; what lies before the real clock's origin becomes the origin.
    pub fn from_std(instant: std::time::Instant) -> Self {
        Self(nanos(instant.saturating_duration_since(origin())).saturating_add(ORIGIN_NANOS))
    }

    /// Returns how much later this is than `earlier`, zero if it is not.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns how much later this is than `earlier`, zero if it is not; as [`saturating_duration_since`](Self::saturating_duration_since).
    pub fn duration_since(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }

    /// Returns how much later this is than `earlier`; `None` if it is earlier.
    ///
    /// # Examples
    /// ```
    /// use posse::time::{Duration, Instant};
    ///
    /// let now = Instant::now();
    /// let later = now + Duration::from_secs(1);
    /// assert_eq!(later.checked_duration_since(now), Some(Duration::from_secs(1)));
    /// assert_eq!(now.checked_duration_since(later), None);
    /// assert_eq!(later - Duration::from_secs(1), now);
    /// ```
    pub fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// Returns the instant `duration` later; `None` beyond the end of time, some 584 years after the origin.
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_add(nanos).map(Self)
    }

    /// Returns the instant `duration` earlier; `None` before the clock's origin.
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        self.0.checked_sub(nanos).map(Self)
    }

    /// Returns the instant `duration` earlier, or the clock's origin.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        self.checked_sub(duration).unwrap_or(Self(0))
    }

    /// Returns the instant `duration` later, or the end of time.
    pub fn saturating_add(self, duration: Duration) -> Self {
        self.checked_add(duration).unwrap_or(Self(u64::MAX))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// Saturates at the clock's origin.
    fn sub(self, duration: Duration) -> Self {
        self.saturating_sub(duration)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl From<std::time::Instant> for Instant {
    fn from(instant: std::time::Instant) -> Self {
        Self::from_std(instant)
    }
}

impl From<Instant> for std::time::Instant {
    fn from(instant: Instant) -> Self {
        instant.into_std()
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Saturates at zero.
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}
