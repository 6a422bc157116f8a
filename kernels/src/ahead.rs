//! What will be needed next, fetched from memory meanwhile.

use std::arch::x86_64::*;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

/// Memory that is to be in the second cache soon: as many bytes of each of some rows.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    next: *const i8,
    /// Cache lines of a row, and those of the current one that are left.
    lines_of_row: usize,
    lines_of_current: usize,
    /// Bytes from the end of what is fetched of a row to what is fetched of the next one.
    gap: usize,
    /// Lines that are left.
    lines: usize,
}

impl Ahead {
    pub(crate) fn new<T>(elements: &[T]) -> Self {
        Self::rows(elements, 1, elements.len(), elements.len())
    }

    /// The first of some rows' elements, from each row to the next `stride` of them.
    pub(crate) fn rows<T>(elements: &[T], rows: usize, columns: usize, stride: usize) -> Self {
        let lines_of_row = (columns * size_of::<T>()).div_ceil(CACHE_LINE);
        Self {
            next: elements.as_ptr().cast(),
            lines_of_row,
            lines_of_current: lines_of_row,
            gap: (stride * size_of::<T>()).wrapping_sub(lines_of_row * CACHE_LINE),
            lines: rows * lines_of_row,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// How many lines to [fetch](Self::fetch) at each of so many times, to have fetched everything.
    pub(crate) fn share(&self, times: usize) -> usize {
        self.lines.div_ceil(times.max(1))
    }

    /// Has the next lines fetched.
    #[inline(always)]
    pub(crate) fn fetch(&mut self, lines: usize) {
        for _ in 0..lines.min(self.lines) {
            #[expect(unsafe_code, reason = "takes a pointer")]
            // SAFETY: every processor of this architecture has the instruction, which reads nothing.
            unsafe {
                _mm_prefetch::<_MM_HINT_T1>(self.next);
            }
            (self.next, self.lines) = (self.next.wrapping_add(CACHE_LINE), self.lines - 1);
            self.lines_of_current -= 1;
            if self.lines_of_current == 0 {
                (self.next, self.lines_of_current) = (self.next.wrapping_add(self.gap), self.lines_of_row);
            }
        }
    }
}
