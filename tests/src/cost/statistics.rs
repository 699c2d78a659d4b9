//! What is said of a number of measurements.

use serde::{Deserialize, Serialize};

/// Where measurements lie. Their mean is not among it: what disturbs a measurement
/// only ever makes it larger, and a single one may spoil a mean.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half of them are below.
    pub median: f64,
    /// A quarter of them is below.
    pub first_quartile: f64,
    /// A quarter of them is above.
    pub third_quartile: f64,
    /// The median of all that could be measured lies above this with at least 97.5 %.
    pub low: f64,
    /// And below this. With fewer than six measurements both are the outermost ones,
    /// and promise less.
    pub high: f64,
}

impl Spread {
    /// Of these values; `None` without any. Those that are no numbers do not count.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values = values.into_iter().filter(|it| it.is_finite());
        let mut values: Vec<_> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let outer = outer(values.len());
        Some(Self {
            count: values.len(),
            median: tidy(quantile(&values, 1, 2)?),
            first_quartile: tidy(quantile(&values, 1, 4)?),
            third_quartile: tidy(quantile(&values, 3, 4)?),
            low: tidy(*values.get(outer)?),
            high: tidy(*values.get(values.len() - 1 - outer)?),
        })
    }
}

/// With six digits behind the point, which is more than anything here is worth, and
/// few enough to be the same when it is read again from JSON.
pub(super) fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The value below which `part` of `whole` parts of the sorted values lie, between
/// two of them where it has to be.
fn quantile(sorted: &[f64], part: usize, whole: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = last * part;
    let below = *sorted.get(position / whole)?;
    let above = *sorted.get((position / whole + 1).min(last))?;
    let rest = as_float(position % whole) / as_float(whole);
    Some(below + (above - below) * rest)
}

/// How many of the sorted values may be cut off at each end, so that the median of
/// what they are a sample of lies outside the rest with at most 2.5 % at each end: a
/// value is below it as a coin falls (sign test).
fn outer(count: usize) -> usize {
    /// With more tosses their chances come near to the normal distribution, and then
    /// are too small for a float.
    const MANY: u32 = 100;
    const TWO_SIGMA: f64 = 1.96;

    let Ok(tosses) = u32::try_from(count) else {
        return 0;
    };
    let tosses = f64::from(tosses);
    if tosses > f64::from(MANY) {
        let safely_below = ((tosses - TWO_SIGMA * tosses.sqrt()) / 2.0).floor();
        return (0..count)
            .take_while(|at| as_float(*at) < safely_below - 1.0)
            .count();
    }
    let mut chance = 0.5_f64.powf(tosses);
    let mut at_most = 0.0;
    let mut heads = 0.0;
    let mut safe: usize = 0;
    while heads < tosses {
        at_most += chance;
        if at_most > 0.025 {
            break;
        }
        safe += 1;
        chance *= (tosses - heads) / (heads + 1.0);
        heads += 1.0;
    }
    // So many values are safely below; the interval begins with the last of them.
    safe.saturating_sub(1)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "there are far fewer values than a float can count"
)]
fn as_float(count: usize) -> f64 {
    count as f64
}

/// Each value of one list over that of the other list that was measured next to it.
pub fn ratios<'a>(
    values: &'a [Option<f64>],
    anchors: &'a [Option<f64>],
) -> impl Iterator<Item = f64> + 'a {
    let pairs = values.iter().zip(anchors);
    pairs.filter_map(|(value, anchor)| {
        let anchor = (*anchor)?;
        (anchor > 0.0).then_some((*value)? / anchor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Spread {
        Spread::of(values.iter().copied()).unwrap()
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "all of these numbers are exact")]
    fn quartiles_of_few() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
        let one = of(&[7.0]);
        assert_eq!(
            (one.count, one.median, one.low, one.high),
            (1, 7.0, 7.0, 7.0)
        );
        let five = of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(five.median, 3.0);
        assert_eq!((five.first_quartile, five.third_quartile), (2.0, 4.0));
        assert_eq!((five.low, five.high), (1.0, 5.0));
        let four = of(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(four.median, 2.5);
        assert_eq!((four.first_quartile, four.third_quartile), (1.75, 3.25));
    }

    /// The ranks of the sign test's interval as tables have them.
    #[test]
    #[expect(clippy::float_cmp, reason = "all of these numbers are exact")]
    fn the_interval_is_that_of_the_sign_test() {
        for (count, rank) in [
            (5, 1),
            (6, 1),
            (8, 1),
            (9, 2),
            (12, 3),
            (20, 6),
            (30, 10),
            (50, 18),
        ] {
            assert_eq!(outer(count) + 1, rank, "of {count}");
            let values: Vec<f64> = (1..=u32::try_from(count).unwrap()).map(f64::from).collect();
            let spread = of(&values);
            assert_eq!(spread.low, f64::from(u32::try_from(rank).unwrap()));
            assert_eq!(spread.high, values[count - rank]);
        }
        // Of more, by the approximation that the tables use there.
        assert_eq!(outer(101) + 1, 40);
        assert_eq!(outer(1000) + 1, 469);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "all of these numbers are exact")]
    fn one_that_is_far_off_moves_nothing() {
        let spread = of(&[10.0, 10.0, 10.0, 11.0, 11.0, 11.0, 9.0, 9.0, 1e9]);
        assert_eq!(spread.median, 10.0);
        assert!(spread.high <= 11.0, "{spread:?}");
    }

    #[test]
    fn ratios_are_of_pairs() {
        let ours = [Some(2.0), None, Some(9.0), Some(1.0)];
        let theirs = [Some(1.0), Some(5.0), Some(3.0), Some(0.0)];
        assert!(ratios(&ours, &theirs).eq([2.0, 3.0]));
    }
}
