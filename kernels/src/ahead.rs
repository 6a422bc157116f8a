//! What will be needed next, fetched from memory meanwhile.

use std::arch::x86_64::*;

/// Bytes of a cache line.
const CACHE_LINE: usize = 64;

/// Memory that is to be in the second cache soon.
pub(crate) struct Ahead {
    next: *const i8,
    bytes: usize,
}

impl Ahead {
    pub(crate) fn new<T>(elements: &[T]) -> Self {
        Self { next: elements.as_ptr().cast(), bytes: size_of_val(elements) }
    }

    /// How much to [fetch](Self::fetch) at each of so many times, to have fetched everything.
    pub(crate) fn share(&self, times: usize) -> usize {
        self.bytes.div_ceil(times.max(1)).next_multiple_of(CACHE_LINE)
    }

    /// Has the next bytes fetched.
    #[inline]
    pub(crate) fn fetch(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        for offset in (0..bytes).step_by(CACHE_LINE) {
            #[expect(unsafe_code, reason = "takes a pointer")]
            // SAFETY: every processor of this architecture has the instruction, which reads nothing.
            unsafe {
                _mm_prefetch::<_MM_HINT_T1>(self.next.wrapping_add(offset));
            }
        }
        (self.next, self.bytes) = (self.next.wrapping_add(bytes), self.bytes - bytes);
    }
}
