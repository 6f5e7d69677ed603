//! From times to places on the page: evenly, or with quiet times squeezed, so that seconds in which much happens are not a
//! hair's breadth beside minutes in which nothing does.

use std::collections::BTreeSet;

/// Quiet times up to this are drawn as long as they are, in milliseconds.
const PLAIN: f64 = 1_500.0;
/// What is longer grows by this for each time it is e times as long.
const GROWTH: f64 = 900.0;
/// However short, so much there is between two moments.
const LEAST: f64 = 60.0;
/// From here on a squeezed time is marked as such.
const MARKED: u64 = 5_000;
/// Between two ticks, in parts of a hundred of the width.
const APART: f64 = 6.5;
/// Ticks stand at multiples of the largest of these that gives room for one.
const STEPS: [u64; 14] =
    [600_000, 300_000, 120_000, 60_000, 30_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50];

/// Places of times, in parts of a hundred of the width.
pub(super) struct Scale {
    length: f64,
    /// Moments at which something happens, and their squeezed places.
    moments: Vec<(u64, f64)>,
}

impl Scale {
    /// A scale for a time of this length in which something happens at these moments.
    pub(super) fn new(moments: BTreeSet<u64>, length: u64) -> Self {
        let length = length.max(1);
        let mut places = vec![(0, 0.0)];
        let mut place = 0.0;
        for moment in moments.into_iter().chain([length]).filter(|m| *m > 0 && *m <= length) {
            let before = places.last().map_or(0, |(m, _)| *m);
            if moment > before {
                place += width(float(moment - before));
                places.push((moment, place));
            }
        }
        for (_, at) in &mut places {
            *at *= 100.0 / place.max(1.0);
        }
        Self { length: float(length), moments: places }
    }

    /// The place where time is even.
    pub(super) fn even(&self, ms: u64) -> f64 {
        (float(ms) / self.length * 100.0).clamp(0.0, 100.0)
    }

    /// The place where quiet times are squeezed.
    pub(super) fn squeezed(&self, ms: u64) -> f64 {
        let after = self.moments.partition_point(|(m, _)| *m <= ms);
        let (from, start) = self.moments[after.saturating_sub(1)];
        let Some((to, end)) = self.moments.get(after) else { return 100.0 };
        start + (end - start) * float(ms - from) / float(to - from)
    }

    /// Times that are squeezed so much that it has to be said.
    pub(super) fn quiet(&self) -> Vec<(u64, u64)> {
        let pairs = self.moments.windows(2).filter_map(|w| match w {
            [(from, _), (to, _)] if to - from >= MARKED => Some((*from, *to)),
            _ => None,
        });
        pairs.collect()
    }

    /// Times to write under the page's rows, with room for each.
    pub(super) fn ticks(&self, place: impl Fn(&Self, u64) -> f64) -> Vec<u64> {
        let length = self.moments.last().map_or(0, |(m, _)| *m);
        let mut ticks: Vec<(u64, f64)> = vec![(0, 0.0)];
        for step in STEPS {
            // Fine ticks of a long time have no room anyhow.
            for n in 1..=(length / step).min(2_000) {
                let (at, x) = (n * step, place(self, n * step));
                if x <= 95.0 && ticks.iter().all(|(_, other)| (x - other).abs() >= APART) {
                    ticks.push((at, x));
                }
            }
        }
        let mut ticks: Vec<u64> = ticks.into_iter().map(|(at, _)| at).collect();
        ticks.sort_unstable();
        ticks
    }
}

fn width(gap: f64) -> f64 {
    let squeezed = if gap <= PLAIN { gap } else { PLAIN + GROWTH * (gap / PLAIN).ln() };
    squeezed.max(LEAST)
}

#[allow(clippy::cast_precision_loss)]
fn float(ms: u64) -> f64 {
    ms as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_quiet_times_take_less_room() {
        let scale = Scale::new(BTreeSet::from([1_000, 2_000, 120_000]), 121_000);
        let places: Vec<f64> = [0, 500, 1_000, 2_000, 60_000, 120_000, 121_000].map(|ms| scale.squeezed(ms)).to_vec();
        assert!(places.is_sorted(), "{places:?}");
        assert!(places[0].abs() < f64::EPSILON && (places[6] - 100.0).abs() < 1e-9);
        assert!(places[2] > 8.0 && scale.even(1_000) < 1.0);
        assert_eq!(scale.quiet(), [(2_000, 120_000)]);
    }

    #[test]
    fn ticks_have_room_each() {
        let scale = Scale::new((0..100).map(|n| n * 100).collect(), 600_000);
        for place in [Scale::squeezed, Scale::even] {
            let ticks = scale.ticks(place);
            assert!(ticks.windows(2).all(|w| place(&scale, w[1]) - place(&scale, w[0]) >= APART), "{ticks:?}");
            assert!((4..=15).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn nothing_at_all_has_a_scale_too() {
        let scale = Scale::new(BTreeSet::new(), 0);
        assert!((scale.even(0)).abs() < f64::EPSILON && scale.squeezed(5).is_finite());
    }
}
