//! A softmax over a vocabulary from which one token is chosen.

use crate::Float;
use crate::sums::{greatest, sum};
use crate::vectorised::vectorised;

/// Logits whose greatest, or whose sum, is looked for in one go. Sums are taken in `f32` within them and in `f64` beyond.
const BLOCK: usize = 1024;

/// The place of the greatest logit, the first of equals. None if there is none above minus infinity; what is not a number is
/// passed over.
pub fn argmax(logits: &[f32]) -> Option<usize> {
    let (mut best, mut found) = (f32::NEG_INFINITY, None);
    for (index, block) in logits.chunks(BLOCK).enumerate() {
        let greatest = greatest_of(block);
        if greatest > best {
            (best, found) = (greatest, Some((index, block)));
        }
    }
    let (index, block) = found?;
    Some(index * BLOCK + block.iter().position(|&logit| logit == best)?)
}

/// The weights `exp((logit - greatest) / temperature)` of logits `[vocab]`, which are 1 for the most probable token.
#[derive(Clone, Copy, Debug)]
pub struct Softmax<'a> {
    logits: &'a [f32],
    greatest: f32,
    inverse_temperature: f32,
    least: f32,
}

impl<'a> Softmax<'a> {
    /// Of logits divided by `temperature`, which is above 0. Weights below `least` are 0 instead. Where logits are infinite, they
    /// alone have weights. None if no logit is above minus infinity.
    pub fn new(logits: &'a [f32], temperature: f64, least: f64) -> Option<Self> {
        let greatest = logits.get(argmax(logits)?).copied()?;
        // As large as can be instead of infinite, so that its product with a difference of 0 is 0.
        let inverse_temperature = (temperature.recip() as f32).min(f32::MAX);
        Some(Self { logits, greatest, inverse_temperature, least: least as f32 })
    }

    /// The greatest logit.
    pub fn greatest(&self) -> f32 {
        self.greatest
    }

    /// The weight of a token with this logit.
    pub fn weight(&self, logit: f32) -> f32 {
        weight(logit, self.greatest, self.inverse_temperature, self.least)
    }

    /// The sum of all weights.
    pub fn total(&self) -> f64 {
        self.sums().sum()
    }

    /// The place of the token at `uniform` in `0 .. 1` of the weights, one after the other.
    pub fn at(&self, uniform: f64) -> Option<usize> {
        let sums: Vec<f64> = self.sums().collect();
        let mut left = uniform * sums.iter().sum::<f64>();
        let mut chosen = None;
        for (index, (block, sum)) in self.logits.chunks(BLOCK).zip(sums).enumerate() {
            if sum > 0.0 {
                chosen = Some((index, block, left));
                if left < sum {
                    break;
                }
                left -= sum;
            }
        }
        let (index, block, left) = chosen?;
        Some(index * BLOCK + self.within(block, left)?)
    }

    /// The place in a block that has less than `left` before it and not without it; the last with a weight if there is none.
    fn within(&self, block: &[f32], mut left: f64) -> Option<usize> {
        let mut last = None;
        for (place, &logit) in block.iter().enumerate() {
            let weight = f64::from(self.weight(logit));
            if weight > 0.0 {
                left -= weight;
                last = Some(place);
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// The sum of each block.
    fn sums(&self) -> impl Iterator<Item = f64> {
        let Self { logits, greatest, inverse_temperature, least } = *self;
        logits.chunks(BLOCK).map(move |block| f64::from(sum_of(block, greatest, inverse_temperature, least)))
    }
}

#[inline(always)]
fn weight(logit: f32, greatest: f32, inverse_temperature: f32, least: f32) -> f32 {
    let weight = ((logit - greatest) * inverse_temperature).exponential();
    let weight = if logit == greatest { 1.0 } else { weight };
    // What is not a number has no weight.
    if weight >= least { weight } else { 0.0 }
}

vectorised! {
    fn greatest_of<>(logits: &[f32]) -> f32 {
        greatest(logits)
    }

    fn sum_of<>(logits: &[f32], greatest: f32, inverse_temperature: f32, least: f32) -> f32 {
        sum(logits, |logit| weight(logit, greatest, inverse_temperature, least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of several blocks and a part of one, none of them the same.
    fn logits() -> Vec<f32> {
        (0..3 * BLOCK + 77).map(|place| ((place * 7919) % 4093) as f32 / 300.0).collect()
    }

    #[test]
    fn the_first_of_the_greatest_is_found_in_any_block() {
        let mut logits = logits();
        for place in [3 * BLOCK + 70, 2 * BLOCK, BLOCK - 1, 0] {
            logits[place] = 50.0;
            assert_eq!(argmax(&logits), Some(place));
        }
        assert_eq!(argmax(&[f32::NAN, f32::NEG_INFINITY]), None);
        assert_eq!(argmax(&[f32::NAN, -3.0, f32::NAN]), Some(1));
    }

    #[test]
    fn weights_are_exponentials() {
        let logits = logits();
        for temperature in [0.3, 1.0, 7.0] {
            let softmax = Softmax::new(&logits, temperature, 0.0).unwrap();
            let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let wanted = logits.iter().map(|&logit| (f64::from(logit - greatest) / temperature).exp());
            let wanted: f64 = wanted.sum();
            assert!((softmax.total() / wanted - 1.0).abs() < 1e-6, "{} {wanted}", softmax.total());
        }
    }

    #[test]
    fn each_place_has_its_share_of_the_numbers_from_0_to_1() {
        let logits = logits();
        let softmax = Softmax::new(&logits, 2.0, 0.01).unwrap();
        let total = softmax.total();
        let mut before = 0.0;
        for (place, &logit) in logits.iter().enumerate() {
            let weight = f64::from(softmax.weight(logit));
            if weight > 0.0 {
                assert_eq!(softmax.at((before + weight / 2.0) / total), Some(place));
            }
            before += weight;
        }
        assert!(softmax.weight(0.0) == 0.0 && softmax.weight(softmax.greatest()) == 1.0);
        assert!(softmax.weight(logits[softmax.at(1.0).unwrap()]) > 0.0);
    }

    #[test]
    fn infinite_logits_share_everything_and_others_have_nothing() {
        let logits = [f32::NAN, f32::INFINITY, 1e30, f32::NEG_INFINITY, f32::INFINITY];
        let softmax = Softmax::new(&logits, 1e-300, 0.0).unwrap();
        assert_eq!(softmax.total(), 2.0);
        assert_eq!([0.0, 0.49, 0.51, 1.0].map(|uniform| softmax.at(uniform)), [1, 1, 4, 4].map(Some));
    }
}
