//! The product by AVX-512: cut into blocks that stay in the caches, each of which is one task.

use std::ops::Range;

use rayon::prelude::*;

use super::lines::{LANES, Line, Scratch, at_least, with_scratch, with_shared};
use super::packed::{Packed, Proof};
use super::tile::{Left, Panel};
use super::unpack::Sums;
use crate::Element;
use crate::ahead::Ahead;
use crate::matrix::{Matrix, Workers};

/// Rows of a block, at most.
const ROWS: usize = 96;
/// Vectors of a full panel of columns.
const VECTORS: usize = 4;
/// Columns of a full panel.
const WIDTH: usize = VECTORS * LANES;
/// Panels of columns of a block, at most.
const PANELS: usize = 8;
/// Units of the inner dimension that are multiplied before the next ones are packed, at most: a panel of them is 128
/// KiB, a block of the left matrix 192 KiB.
const UNITS: usize = 512;
/// Tasks that a product is cut into, at least, where it is large enough.
const TASKS: usize = 16;
/// Lines of the right matrix that are packed at a time: 8 MiB.
const SHARED: usize = 1 << 17;
/// With fewer columns the transpose of the result is computed, whose rows are that few.
const NARROW: usize = 32;
/// Lines of a panel that belongs to one task, at most: 1 MiB.
const OWN: usize = 1 << 14;
/// Panels for each thread, at least, where a task has a panel of its own.
const FOR_EACH_THREAD: usize = 4;
/// Products of fewer multiplications are computed by the thread that asks.
const SMALL: usize = 1 << 16;

/// How a product is cut. It follows from the shape alone.
#[derive(Clone, Copy)]
struct Plan {
    m: usize,
    k: usize,
    n: usize,
    /// Whether this is the plan of the transpose of the result.
    transposed: bool,
    /// Rows of a block.
    rows: usize,
    /// Panels of a block.
    panels: usize,
}

impl Plan {
    fn new(m: usize, k: usize, n: usize, transposed: bool) -> Self {
        let rows = evenly(m, ROWS);
        let panels = n.div_ceil(WIDTH);
        let most = (panels * m.div_ceil(rows) / TASKS).clamp(1, PANELS);
        Self { m, k, n, transposed, rows, panels: evenly(panels, most) }
    }

    /// Columns of the panel that begins at this one, and its vectors: the last panel has what is left.
    fn panel(&self, first: usize) -> (Range<usize>, usize) {
        let columns = first..self.n.min(first + WIDTH);
        let vectors = columns.len().div_ceil(LANES).next_power_of_two();
        (columns, vectors)
    }
}

/// The size of the parts, at most `most`, when `count` is cut into as few parts of about one size as that allows.
fn evenly(count: usize, most: usize) -> usize {
    let parts = count.div_ceil(most).max(1);
    count.div_ceil(parts).max(1)
}

/// A block of the product: its first row and its columns, and its part of each row of the result.
struct Block<'c, O> {
    row: usize,
    columns: Range<usize>,
    into: Vec<&'c mut [O]>,
}

/// `result = left right^T`, or `result += left right^T`; `left` is `[m, k]`, `right` is `[n, k]`, `result` `[m, n]`.
pub(super) fn multiply<T: Packed, O: Element<Compute = f32>>(
    proof: Proof<T>,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    result: &mut [O],
    accumulate: bool,
    workers: Workers,
) {
    let transposed = right.rows <= NARROW && left.rows > right.rows;
    let (left, right) = if transposed { (right, left) } else { (left, right) };
    let plan = Plan::new(left.rows, left.columns, right.rows, transposed);
    if plan.m == 0 || plan.n == 0 {
        return;
    }
    let small = plan.m * plan.n * plan.k < SMALL;
    let workers = if small { Workers::Caller } else { workers };
    let units = plan.k.div_ceil(T::PER_UNIT);
    let product = Product { proof, plan, left, right, units, accumulate };
    if plan.rows == plan.m {
        let blocks = cut(result, plan, 0..plan.n);
        each(workers, blocks, |block| product.block(block, None));
        return;
    }
    let panel_lines = (units * VECTORS).max(1);
    let threads = rayon::current_num_threads();
    let has_many = plan.n.div_ceil(WIDTH) >= FOR_EACH_THREAD * threads && panel_lines <= OWN;
    if has_many && product.is_direct(plan.rows, 0..plan.k) {
        // Each panel belongs to one task, which packs it and multiplies it with all rows: it stays in the second cache.
        let columns = Plan { rows: plan.m, panels: 1, ..plan };
        each(workers, cut(result, columns, 0..plan.n), |mut task| {
            with_shared(|packed| {
                let (columns, vectors) = plan.panel(task.columns.start);
                let packed = at_least(packed, units * vectors);
                proof.pack(right, columns, 0..plan.k, vectors, packed);
                while !task.into.is_empty() {
                    let after = task.into.split_off(plan.rows.min(task.into.len()));
                    let block = Block { row: task.row, columns: task.columns.clone(), into: task.into };
                    task = Block { row: task.row + plan.rows, into: after, ..task };
                    product.block(block, Some((task.columns.start, &*packed)));
                }
            });
        });
        return;
    }
    // The right matrix is packed once for all blocks of rows, as many columns at a time as there is memory for.
    let panels = (SHARED / panel_lines / plan.panels).max(1) * plan.panels;
    with_shared(|shared| {
        for first in (0..plan.n).step_by(panels * WIDTH) {
            let columns = first..plan.n.min(first + panels * WIDTH);
            let shared = at_least(shared, columns.len().div_ceil(WIDTH) * panel_lines);
            let parts = columns.clone().step_by(WIDTH).zip(shared.chunks_mut(panel_lines)).collect();
            each(workers, parts, |(first, part)| {
                let (columns, vectors) = plan.panel(first);
                let part = part.get_mut(..units * vectors).unwrap_or_default();
                proof.pack(right, columns, 0..plan.k, vectors, part);
            });
            let packed = Some((first, &*shared));
            each(workers, cut(result, plan, columns), |block| product.block(block, packed));
        }
    });
}

/// Calls `work` for each of the tasks.
fn each<I: Send>(workers: Workers, tasks: Vec<I>, work: impl Fn(I) + Sync + Send) {
    match workers {
        Workers::Pool if tasks.len() > 1 => tasks.into_par_iter().with_max_len(1).for_each(work),
        _ => tasks.into_iter().for_each(work),
    }
}

/// Cuts these columns of a product into blocks; those of the same columns follow each other.
fn cut<'c, O>(result: &'c mut [O], plan: Plan, columns: Range<usize>) -> Vec<Block<'c, O>> {
    let width = plan.panels * WIDTH;
    if plan.transposed {
        // All columns and rows: only a product of many rows is cut otherwise.
        let parts = columns.clone().step_by(width).zip(result.chunks_mut(width * plan.m));
        let block = |(first, part): (usize, &'c mut [O])| Block {
            row: 0,
            columns: first..columns.end.min(first + width),
            into: part.chunks_mut(plan.m).collect(),
        };
        return parts.map(block).collect();
    }
    let row_blocks = plan.m.div_ceil(plan.rows);
    let column_blocks = columns.clone().step_by(width).map(|first| first..columns.end.min(first + width));
    let mut blocks: Vec<Block<'c, O>> = column_blocks
        .flat_map(|columns| (0..row_blocks).map(move |block| (block * plan.rows, columns.clone())))
        .map(|(row, columns)| Block { row, columns, into: Vec::with_capacity(plan.rows) })
        .collect();
    for (row, result) in result.chunks_exact_mut(plan.n).enumerate() {
        let parts = result.get_mut(columns.clone()).unwrap_or_default().chunks_mut(width);
        let blocks = blocks.iter_mut().skip(row / plan.rows).step_by(row_blocks);
        for (block, part) in blocks.zip(parts) {
            block.into.push(part);
        }
    }
    blocks
}

/// What all tasks of a product know.
struct Product<'a, T> {
    proof: Proof<T>,
    plan: Plan,
    left: Matrix<'a, T>,
    right: Matrix<'a, T>,
    units: usize,
    accumulate: bool,
}

impl<T: Packed> Product<'_, T> {
    /// Computes a block, with the packed columns from the first one that is packed on, or packing them itself.
    fn block<O: Element<Compute = f32>>(&self, block: Block<'_, O>, packed: Option<(usize, &[Line<u32>])>) {
        let Self { proof, plan, right, units, .. } = *self;
        let Block { row, columns: all, mut into } = block;
        let rows = plan.rows.min(plan.m - row);
        let panels = || all.clone().step_by(WIDTH).map(|first| plan.panel(first));
        let step = evenly(units, UNITS);
        // With one step a panel's sums are complete at once, and few enough to stay in the first cache.
        let at_once = units <= step;
        let block_width = if at_once { VECTORS } else { panels().map(|(_, vectors)| vectors).sum() };
        with_scratch(|scratch| {
            let Scratch { left, right: own, sums } = scratch;
            let sums = at_least(sums, rows * block_width);
            if units == 0 {
                sums.fill(Line([0.0; LANES]));
            }
            for first in (0..units.max(1)).step_by(step) {
                let count = step.min(units - first);
                let inner = first * T::PER_UNIT..plan.k.min((first + count) * T::PER_UNIT);
                let left = self.left(row..row + rows, inner.clone(), left);
                let mut column = 0;
                for (columns, vectors) in panels() {
                    let right = match packed {
                        Some((first_packed, packed)) => {
                            let panel = (columns.start - first_packed) / WIDTH;
                            let start = panel * units * VECTORS + first * vectors;
                            packed.get(start..start + count * vectors).unwrap_or_default()
                        }
                        None => {
                            let into = at_least(own, count * vectors);
                            proof.pack(right, columns.clone(), inner.clone(), vectors, into);
                            into
                        }
                    };
                    let add = first > 0;
                    let ahead = match packed {
                        Some(_) => Ahead::new::<T>(&[]),
                        None => self.ahead(&all, columns.end, inner.clone()),
                    };
                    let panel = Panel { left, rows, right, vectors, block_width, column, add, ahead };
                    T::panel(proof, panel, sums);
                    if at_once {
                        let columns = columns.start - all.start..columns.end - all.start;
                        self.unpack(sums, block_width, &mut into, columns);
                    } else {
                        column += vectors;
                    }
                }
            }
            if !at_once {
                self.unpack(sums, block_width, &mut into, 0..all.len());
            }
        });
    }

    /// What is packed after a panel that ends at this column, with these elements of the inner dimension, if it lies side by side.
    fn ahead(&self, block: &Range<usize>, end: usize, inner: Range<usize>) -> Ahead {
        let Self { plan, right, .. } = self;
        let rest = plan.k - inner.end;
        let (first, inner) = match (end < block.end, rest > 0) {
            (true, _) => (end, inner),
            (false, true) => (block.start, inner.end..inner.end + rest.min(inner.len())),
            // Of the next block, which most often the same thread takes up.
            (false, false) => (end, 0..inner.len().min(plan.k)),
        };
        let rows = WIDTH.min(plan.n - first);
        let elements = right.elements.get(first * right.row_stride + inner.start..).unwrap_or_default();
        match right.column_stride {
            1 => Ahead::rows(elements, rows, inner.len(), right.row_stride),
            _ => Ahead::new::<T>(&[]),
        }
    }

    fn unpack<O: Element<Compute = f32>>(
        &self,
        lines: &[Line<f32>],
        width: usize,
        into: &mut [&mut [O]],
        columns: Range<usize>,
    ) {
        let (transposed, add) = (self.plan.transposed, self.accumulate);
        T::unpack(self.proof, Sums { lines, width, into, columns, transposed, add });
    }

    /// Whether rows of the left matrix are multiplied as they lie.
    fn is_direct(&self, rows: usize, inner: Range<usize>) -> bool {
        let Matrix { column_stride, row_stride, .. } = self.left;
        let whole = column_stride == 1 && inner.len().is_multiple_of(T::PER_UNIT);
        // Rows a power of two apart push each other out of the first cache.
        let apart = !(row_stride * size_of::<T>()).is_multiple_of(2048) || rows <= 8;
        whole && apart
    }

    /// Rows of the left matrix: as they are, or packed.
    fn left<'s>(
        &'s self,
        rows: Range<usize>,
        inner: Range<usize>,
        into: &'s mut Vec<Line<u32>>,
    ) -> Left<'s, T> {
        let left = self.left;
        if self.is_direct(rows.len(), inner.clone()) {
            let elements = left.elements.get(rows.start * left.row_stride + inner.start..);
            return Left::Direct(elements.unwrap_or_default(), left.row_stride);
        }
        let (width, units) = (rows.len().div_ceil(LANES), inner.len().div_ceil(T::PER_UNIT));
        let packed = at_least(into, units * width);
        self.proof.pack(left, rows, inner, width, packed);
        Left::Packed(packed, width)
    }
}
