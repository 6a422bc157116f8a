//! Products with a weight whose rows are taken one after the other, in whatever form they are: each row is read once, or once
//! for each part of many inputs, and converted on its way into the registers or, where there is no kernel that does that, into
//! the second cache.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::element::{Known, KnownMut, load_into};
#[cfg(target_arch = "x86_64")]
use crate::line::Line;
use crate::matrix::Workers;
#[cfg(target_arch = "x86_64")]
use crate::quantised;
use crate::sums::dot;
#[cfg(target_arch = "x86_64")]
use crate::tiles::Tiles;
use crate::vectorised::vectorised;
use crate::{Element, Float};

/// Rows of the weight that are multiplied at a time, with up to [`SEVERAL`] inputs, and with more or where they have few bits.
const BLOCK: usize = 16;
const HIGH_BLOCK: usize = 64;
const SEVERAL: usize = 128;
/// Elements of inputs that are converted at a time: 16 MiB.
const INPUTS: usize = 1 << 22;
/// Elements of the weight that one task takes, about: some ten microseconds.
const TASK: usize = 1 << 17;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// Inputs, at most. With more of them a product by blocks pays.
pub(crate) fn most<C: Float>() -> usize {
    if has_tiles::<C>() { SEVERAL } else { 8 }
}

/// Whether the processor has a kernel for more than one input.
pub(crate) fn has_tiles<C: Float>() -> bool {
    #[cfg(target_arch = "x86_64")]
    return Tiles::find::<C>().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A weight, `[rows, columns]`, of numbers `C` in some form.
pub(crate) trait Rows<C: Float>: Sync {
    fn rows(&self) -> usize;
    fn columns(&self) -> usize;
    /// Some rows as they lie in memory, if they do.
    fn stored(&self, rows: Range<usize>) -> Option<Known<'_>>;
    /// As [`Rows::stored`], if they are there as numbers.
    fn numbers(&self, rows: Range<usize>) -> Option<&[C]>;
    /// The elements of some rows.
    fn convert(&self, rows: Range<usize>, into: &mut [C]);
    /// A vector of a row's length in the order in which [`Rows::dot`] takes it.
    fn arranged<'v>(&self, vector: &'v [C]) -> Cow<'v, [C]> {
        vector.into()
    }
    /// Inputs as [`Rows::products`] takes them, if rows are of few bits.
    #[cfg(target_arch = "x86_64")]
    fn inputs<'x, T: Element<Compute = C>>(&self, _: &'x [T]) -> Option<quantised::Inputs<'x>> {
        None
    }
    /// The products of some rows with [`Rows::inputs`]: an input's with each row, then the next input's.
    #[cfg(target_arch = "x86_64")]
    fn products(&self, _: Range<usize>, _: &quantised::Inputs<'_>, _: &mut quantised::Buffers, _: &mut [C]) {}
    /// The product of a row with what [`Rows::arranged`] has made of a vector, if it can be had without converting the row.
    fn dot(&self, row: usize, vector: &[C]) -> Option<C>;
}

/// `y = x W^T`, or `y += x W^T`, where `x` has some rows, each as long as those of `W`.
pub(crate) fn multiply<T: Element, O: Element<Compute = T::Compute>>(
    x: &[T],
    weight: &impl Rows<T::Compute>,
    y: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    let (rows, columns) = (weight.rows(), weight.columns());
    if rows == 0 || columns == 0 || x.is_empty() {
        return;
    }
    let at_once = (INPUTS / columns).max(SEVERAL);
    for (x, y) in x.chunks(at_once * columns).zip(y.chunks_mut(at_once * rows)) {
        multiply_at_once(x, weight, y, accumulate, workers);
    }
}

/// As [`multiply`], for as many inputs as may be converted at a time.
fn multiply_at_once<T: Element, O: Element<Compute = T::Compute>>(
    x: &[T],
    weight: &impl Rows<T::Compute>,
    y: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    let (rows, columns) = (weight.rows(), weight.columns());
    let tokens = x.len() / columns;
    let inputs = Inputs::new(x, weight);
    let arranged = match &inputs {
        Inputs::Numbers(numbers) if tokens == 1 => Some(weight.arranged(numbers)),
        _ => None,
    };
    let arranged = arranged.as_deref();
    let height = inputs.block(tokens);
    let width = (TASK / columns).max(1).next_multiple_of(height);
    let work = |buffers: &mut Buffers<_>, (part, into): (usize, Vec<&mut [O]>)| {
        let mut into: Vec<_> = into.into_iter().map(|into| into.chunks_mut(height)).collect();
        let end = rows.min((part + 1) * width);
        for first in (part * width..end).step_by(height) {
            let block = first..end.min(first + height);
            let height = block.len();
            let sums = buffers.products((&inputs, tokens), arranged, weight, block);
            for (into, sums) in into.iter_mut().filter_map(Iterator::next).zip(sums.chunks_exact(height)) {
                for (y, &sum) in into.iter_mut().zip(sums) {
                    *y = O::store(if accumulate { y.load() + sum } else { sum });
                }
            }
        }
    };
    let parts = split_columns(y, rows, width);
    match workers {
        Workers::Pool if rows * tokens * columns >= SMALL => {
            let parts = parts.into_par_iter().enumerate().with_max_len(1);
            parts.for_each_init(Buffers::new, work);
        }
        _ => {
            let mut buffers = Buffers::new();
            parts.into_iter().enumerate().for_each(|part| work(&mut buffers, part));
        }
    }
}

/// The rows of a matrix with so many columns, cut after every `width` columns: the rows of each part.
pub(crate) fn split_columns<T>(matrix: &mut [T], columns: usize, width: usize) -> Vec<Vec<&mut [T]>> {
    let rows = matrix.len() / columns;
    let mut parts: Vec<_> = (0..columns).step_by(width).map(|_| Vec::with_capacity(rows)).collect();
    for row in matrix.chunks_exact_mut(columns) {
        parts.iter_mut().zip(row.chunks_mut(width)).for_each(|(rows, part)| rows.push(part));
    }
    parts
}

/// Memory of a thread, kept from one block of rows to the next.
struct Buffers<C> {
    converted: Vec<C>,
    #[cfg(target_arch = "x86_64")]
    of_few_bits: quantised::Buffers,
    sums: Vec<C>,
}

impl<C: Float> Buffers<C> {
    fn new() -> Self {
        Self {
            converted: Vec::new(),
            #[cfg(target_arch = "x86_64")]
            of_few_bits: quantised::Buffers::default(),
            sums: Vec::new(),
        }
    }

    /// The products of some rows of the weight with all inputs: those of one input after those of the other. `arranged` is what
    /// [`Rows::arranged`] has made of a single one.
    fn products(
        &mut self,
        (inputs, tokens): (&Inputs<'_, C>, usize),
        arranged: Option<&[C]>,
        weight: &impl Rows<C>,
        rows: Range<usize>,
    ) -> &[C] {
        let columns = weight.columns();
        self.sums.resize(rows.len() * tokens, C::ZERO);
        if let Some(arranged) = arranged {
            let dots = |(row, sum): (usize, &mut C)| weight.dot(row, arranged).map(|product| *sum = product);
            if rows.clone().zip(&mut self.sums).try_for_each(dots).is_some() {
                return &self.sums;
            }
        }
        match inputs {
            #[cfg(target_arch = "x86_64")]
            Inputs::OfFewBits(inputs) => weight.products(rows, inputs, &mut self.of_few_bits, &mut self.sums),
            #[cfg(target_arch = "x86_64")]
            Inputs::Lines(tiles, lines) => {
                let next = weight.stored(rows.end..weight.rows().min(rows.end + BLOCK));
                let next = next.unwrap_or_else(|| C::known(&[]));
                let stored = weight.stored(rows.clone());
                let stored = stored.unwrap_or_else(|| C::known(converted(weight, rows, &mut self.converted)));
                if let KnownMut::F32(sums) = C::known_mut(&mut self.sums) {
                    tiles.products(stored, lines, columns, sums, next);
                }
            }
            Inputs::Numbers(inputs) => {
                let height = rows.len();
                let numbers = weight.numbers(rows.clone());
                let numbers = numbers.unwrap_or_else(|| converted(weight, rows, &mut self.converted));
                for (input, sums) in inputs.chunks_exact(columns).zip(self.sums.chunks_exact_mut(height)) {
                    products(numbers, input, sums);
                }
            }
        }
        &self.sums
    }
}

/// Some rows of the weight as numbers.
fn converted<'b, C: Float>(weight: &impl Rows<C>, rows: Range<usize>, buffer: &'b mut Vec<C>) -> &'b [C] {
    buffer.resize(rows.len() * weight.columns(), C::ZERO);
    weight.convert(rows, buffer);
    buffer
}

/// What is multiplied with the weight.
enum Inputs<'x, C: Float> {
    Numbers(Cow<'x, [C]>),
    /// Of a weight of few bits.
    #[cfg(target_arch = "x86_64")]
    OfFewBits(quantised::Inputs<'x>),
    /// Several rows as [`Tiles`] take them.
    #[cfg(target_arch = "x86_64")]
    Lines(Tiles, Vec<Line<f32>>),
}

impl<'x, C: Float> Inputs<'x, C> {
    /// Rows of the weight that so many of them are multiplied with at a time.
    fn block(&self, tokens: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::OfFewBits(_) => HIGH_BLOCK,
            _ if tokens > SEVERAL => HIGH_BLOCK,
            _ => BLOCK,
        }
    }

    fn new<T: Element<Compute = C>>(x: &'x [T], weight: &impl Rows<C>) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(inputs) = weight.inputs(x) {
            return Self::OfFewBits(inputs);
        }
        #[cfg(target_arch = "x86_64")]
        if let (true, Some(tiles)) = (x.len() > weight.columns(), Tiles::find::<C>()) {
            // Rows that have to be converted become numbers.
            let rows = weight.stored(0..1).unwrap_or_else(|| C::known(&[]));
            return Self::Lines(tiles, tiles.arranged(x, weight.columns(), rows));
        }
        let numbers = T::as_compute(x).map_or_else(
            || {
                let mut numbers = vec![C::ZERO; x.len()];
                load_into(x, &mut numbers);
                numbers.into()
            },
            Cow::from,
        );
        Self::Numbers(numbers)
    }
}

vectorised! {
    /// The products of rows with one input.
    fn products<C: Float>(rows: &[C], input: &[C], sums: &mut [C]) {
        for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(input.len())) {
            *sum = dot(row, input);
        }
    }
}
