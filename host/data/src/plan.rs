//! The order in which examples are used.

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::shuffle::{Purpose, permutation};

/// Rows that are packed together at a time.
const PACKING_BLOCK: usize = 1000;

/// How examples become batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Examples in a micro-batch; with packing, packs.
    pub batch_size: usize,
    /// Micro-batches in a window, that is in an optimiser step.
    pub gradient_accumulation_steps: usize,
    /// Whether the examples are put into a random order first, which all epochs begin with.
    pub shuffle_dataset: bool,
    /// Whether every epoch has an order of its own; else it is the one that it begins with.
    pub shuffle: bool,
    /// Seed of the order.
    pub seed: u64,
    /// Whether examples are put together to packs of nearly equal length.
    pub packing: Option<Packing>,
}

/// How examples are put together to packs. No example is cut; one that is longer than a pack gets one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The most tokens in a pack.
    pub length: usize,
    /// The rule.
    pub strategy: PackingStrategy,
}

/// A rule to put examples together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PackingStrategy {
    /// In blocks of 1000, from the longest to the shortest, each into the emptiest pack that has room: few, full packs. The
    /// last pack of a block goes into the next block. (What `binpacking.to_constant_volume` does in ms-swift.)
    #[default]
    BinPack,
    /// In order, a new pack whenever an example does not fit.
    Sequential,
}

/// The examples of an optimiser step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Indices of examples, for each micro-batch.
    pub micro_batches: Vec<Vec<usize>>,
}

/// Which examples come when. A plan is a function of its options and the lengths of the examples, so that a place in it is
/// told by two numbers: the epoch, and the window in it.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// What is ordered: packs of examples, or examples by themselves.
    units: Vec<Vec<usize>>,
    options: PlanOptions,
}

impl BatchPlan {
    /// A plan for a dataset.
    ///
    /// With packing, examples are packed once, and with `shuffle` the packs are put into a new order every epoch: so all
    /// epochs have the same number of windows.
    ///
    /// # Errors
    /// An option is 0.
    pub fn new(dataset: &Dataset, options: PlanOptions) -> Result<Self> {
        let lengths =
            (0..dataset.len()).map(|index| dataset.token_count(index)).collect::<Result<Vec<_>>>()?;
        Self::with_lengths(&lengths, options)
    }

    fn with_lengths(lengths: &[usize], options: PlanOptions) -> Result<Self> {
        for (option, value) in [
            ("per-device-train-batch-size", options.batch_size),
            ("gradient-accumulation-steps", options.gradient_accumulation_steps),
            ("packing-length", options.packing.map_or(1, |packing| packing.length)),
        ] {
            if value == 0 {
                return Err(Error::InvalidOption { option, message: "must be above 0".into() });
            }
        }
        let order: Vec<usize> = if options.shuffle_dataset {
            permutation(lengths.len(), Purpose::Dataset, options.seed, 0)
        } else {
            (0..lengths.len()).collect()
        };
        let units = match options.packing {
            None => order.into_iter().map(|index| vec![index]).collect(),
            Some(packing) => {
                let rows: Vec<Row> =
                    order.iter().filter_map(|index| Some((*index, *lengths.get(*index)?))).collect();
                pack(&rows, packing)
            }
        };
        Ok(Self { units, options })
    }

    /// Windows in every epoch. The last may be shorter: none of the examples is left out.
    pub fn windows_per_epoch(&self) -> usize {
        self.units.len().div_ceil(self.options.batch_size).div_ceil(self.options.gradient_accumulation_steps)
    }

    /// The windows of an epoch, counted from 0. To go on in the middle of one, skip the windows that are done.
    pub fn epoch(&self, epoch: u64) -> Vec<Window> {
        let order = if self.options.shuffle {
            permutation(self.units.len(), Purpose::Epoch, self.options.seed, epoch)
        } else {
            (0..self.units.len()).collect()
        };
        let unit = |index: &usize| self.units.get(*index).into_iter().flatten().copied();
        let micro_batches: Vec<Vec<usize>> = order
            .chunks(self.options.batch_size)
            .map(|chunk| chunk.iter().flat_map(unit).collect())
            .collect();
        micro_batches
            .chunks(self.options.gradient_accumulation_steps)
            .map(|window| Window { micro_batches: window.to_vec() })
            .collect()
    }
}

/// Index and length of an example.
type Row = (usize, usize);

fn pack(rows: &[Row], packing: Packing) -> Vec<Vec<usize>> {
    let packs = match packing.strategy {
        PackingStrategy::Sequential => pack_in_order(rows, packing.length),
        PackingStrategy::BinPack => {
            let mut packs: Vec<Vec<Row>> = Vec::new();
            for block in rows.chunks(PACKING_BLOCK) {
                let mut rows = packs.pop().unwrap_or_default();
                rows.extend(block);
                packs.extend(pack_longest_first(rows, packing.length));
            }
            packs
        }
    };
    packs.into_iter().map(|pack| pack.into_iter().map(|(index, _)| index).collect()).collect()
}

fn pack_in_order(rows: &[Row], limit: usize) -> Vec<Vec<Row>> {
    let mut packs: Vec<Vec<Row>> = Vec::new();
    let mut filled = 0;
    for row in rows {
        match packs.last_mut() {
            Some(pack) if filled + row.1 <= limit => pack.push(*row),
            _ => {
                packs.push(vec![*row]);
                filled = 0;
            }
        }
        filled += row.1;
    }
    packs
}

fn pack_longest_first(mut rows: Vec<Row>, limit: usize) -> Vec<Vec<Row>> {
    rows.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
    let mut packs: Vec<(usize, Vec<Row>)> = Vec::new();
    for row in rows {
        let with_room = packs.iter_mut().filter(|(filled, _)| filled + row.1 <= limit);
        match with_room.min_by_key(|(filled, _)| *filled) {
            Some((filled, pack)) => {
                *filled += row.1;
                pack.push(row);
            }
            None => packs.push((row.1, vec![row])),
        }
    }
    packs.into_iter().map(|(_, pack)| pack).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(batch_size: usize, accumulation: usize) -> PlanOptions {
        PlanOptions {
            batch_size,
            gradient_accumulation_steps: accumulation,
            shuffle_dataset: false,
            shuffle: false,
            seed: 42,
            packing: None,
        }
    }

    fn packed(length: usize, strategy: PackingStrategy) -> PlanOptions {
        PlanOptions { packing: Some(Packing { length, strategy }), ..options(1, 1) }
    }

    fn indices(windows: &[Window]) -> Vec<usize> {
        windows.iter().flat_map(|window| window.micro_batches.concat()).collect()
    }

    #[test]
    fn the_last_micro_batch_and_the_last_window_may_be_short() {
        let plan = BatchPlan::with_lengths(&[1; 7], options(2, 3)).unwrap();
        let windows = plan.epoch(0);
        let sizes: Vec<Vec<usize>> =
            windows.iter().map(|window| window.micro_batches.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [vec![2, 2, 2], vec![1]]);
        assert_eq!(indices(&windows), (0..7).collect::<Vec<_>>());
        assert_eq!(plan.windows_per_epoch(), 2);
    }

    #[test]
    fn every_epoch_has_its_own_order_of_all_examples() {
        for packing in [None, Some(Packing { length: 10, strategy: PackingStrategy::BinPack })] {
            let shuffled = PlanOptions { shuffle: true, packing, ..options(2, 2) };
            let lengths: Vec<usize> = (1..=30).map(|length| length % 7 + 1).collect();
            let plan = BatchPlan::with_lengths(&lengths, shuffled.clone()).unwrap();
            let orders: Vec<_> = (0..3).map(|epoch| indices(&plan.epoch(epoch))).collect();
            assert!(orders[0] != orders[1] && orders[1] != orders[2]);
            for order in &orders {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..30).collect::<Vec<_>>());
            }
            assert_eq!(plan.epoch(1).len(), plan.windows_per_epoch());
            let again = BatchPlan::with_lengths(&lengths, shuffled.clone()).unwrap();
            assert_eq!(again.epoch(2), plan.epoch(2));
            let other = BatchPlan::with_lengths(&lengths, PlanOptions { seed: 43, ..shuffled }).unwrap();
            assert_ne!(other.epoch(2), plan.epoch(2));
        }
    }

    #[test]
    fn a_shuffled_dataset_has_the_same_random_order_in_every_epoch() {
        let shuffled = PlanOptions { shuffle_dataset: true, ..options(2, 2) };
        let plan = BatchPlan::with_lengths(&[1; 30], shuffled).unwrap();
        let order = indices(&plan.epoch(0));
        assert_eq!(order, indices(&plan.epoch(1)));
        assert_ne!(order, (0..30).collect::<Vec<_>>());
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn sequential_packs_keep_the_order_and_the_limit() {
        let plan =
            BatchPlan::with_lengths(&[4, 6, 1, 12, 3, 3], packed(10, PackingStrategy::Sequential)).unwrap();
        let packs: Vec<_> = plan.epoch(0).iter().map(|window| window.micro_batches[0].clone()).collect();
        assert_eq!(packs, [vec![0, 1], vec![2], vec![3], vec![4, 5]]);
    }

    #[test]
    fn the_longest_are_packed_first_each_into_the_emptiest_pack_with_room() {
        let plan = BatchPlan::with_lengths(&[2, 5, 5, 8, 11], packed(10, PackingStrategy::BinPack)).unwrap();
        let packs: Vec<_> = plan.epoch(0).iter().map(|window| window.micro_batches[0].clone()).collect();
        assert_eq!(packs, [vec![4], vec![3, 0], vec![1, 2]]);
    }

    #[test]
    fn the_last_pack_of_a_block_is_filled_from_the_next() {
        let plan = BatchPlan::with_lengths(&[1; 1001], packed(3, PackingStrategy::BinPack)).unwrap();
        let sizes: Vec<_> = plan.epoch(0).iter().map(|window| window.micro_batches[0].len()).collect();
        assert_eq!(sizes.len(), 334);
        assert_eq!(sizes.iter().filter(|size| **size < 3).copied().collect::<Vec<_>>(), [2]);
        let batches = PlanOptions { batch_size: 2, ..packed(3, PackingStrategy::BinPack) };
        assert_eq!(BatchPlan::with_lengths(&[1; 12], batches).unwrap().epoch(0)[0].micro_batches[0].len(), 6);
    }

    #[test]
    fn options_of_zero_are_errors() {
        for wrong in [options(0, 1), options(1, 0), packed(0, PackingStrategy::Sequential)] {
            assert!(matches!(BatchPlan::with_lengths(&[1], wrong), Err(Error::InvalidOption { .. })));
        }
    }
}
