//! Which blocks of the cache are in use, and what the others still hold.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

/// Stands for all tokens up to the end of a block, and for the adapter that they were computed with: a chain, so that equal
/// blocks after different beginnings differ. A cryptographic digest, since one that could be made to collide would show
/// one user's answer to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockHash([u8; 32]);

impl BlockHash {
    /// Where the chain of sequences with this adapter begins.
    pub(crate) fn start(adapter: Option<&str>) -> Self {
        let mut hasher = Sha256::new();
        hasher.update([u8::from(adapter.is_some())]);
        hasher.update(adapter.unwrap_or_default());
        Self(hasher.finalize().into())
    }

    /// The chain with one more block.
    pub(crate) fn then(&self, tokens: &[u32]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        tokens.iter().for_each(|token| hasher.update(token.to_le_bytes()));
        Self(hasher.finalize().into())
    }
}

#[derive(Clone, Debug, Default)]
struct Block {
    /// Sequences that have it in their table.
    references: u32,
    /// What it holds, if that is known and complete.
    hash: Option<BlockHash>,
    /// Its key in `idle` while nobody has it.
    idle_since: u64,
}

/// The blocks of a cache. A block that nobody has keeps what it holds until it is handed out again, the longest unused one
/// first.
#[derive(Debug)]
pub(crate) struct BlockPool {
    blocks: Vec<Block>,
    /// Blocks that nobody has, by the time since when.
    idle: BTreeMap<u64, u32>,
    by_hash: HashMap<BlockHash, u32>,
    clock: u64,
}

impl BlockPool {
    pub(crate) fn new(count: usize) -> Self {
        let blocks = (0..count as u64).map(|idle_since| Block { idle_since, ..Block::default() }).collect();
        let idle = (0..count as u64).zip(0..).collect();
        Self { blocks, idle, by_hash: HashMap::new(), clock: count as u64 }
    }

    /// Number of all blocks.
    pub(crate) fn total(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that could be handed out.
    pub(crate) fn free(&self) -> usize {
        self.idle.len()
    }

    /// Hands out a block, whose old content is forgotten.
    pub(crate) fn allocate(&mut self) -> Option<u32> {
        let (_, index) = self.idle.pop_first()?;
        let block = self.blocks.get_mut(index as usize)?;
        block.references = 1;
        if let Some(hash) = block.hash.take() {
            self.by_hash.remove(&hash);
        }
        Some(index)
    }

    /// Counts one more holder.
    pub(crate) fn share(&mut self, index: u32) {
        if let Some(block) = self.blocks.get_mut(index as usize) {
            if block.references == 0 {
                self.idle.remove(&block.idle_since);
            }
            block.references += 1;
        }
    }

    /// Whether others hold the block too.
    pub(crate) fn is_shared(&self, index: u32) -> bool {
        self.blocks.get(index as usize).is_some_and(|block| block.references > 1)
    }

    /// Counts one holder less.
    pub(crate) fn release(&mut self, index: u32) {
        let Some(block) = self.blocks.get_mut(index as usize) else { return };
        block.references = block.references.saturating_sub(1);
        if block.references == 0 {
            block.idle_since = self.clock;
            self.idle.insert(self.clock, index);
            self.clock += 1;
        }
    }

    /// Says what a block holds, unless another block already holds the same.
    pub(crate) fn publish(&mut self, index: u32, hash: BlockHash) {
        if let (Some(block), false) = (self.blocks.get_mut(index as usize), self.by_hash.contains_key(&hash))
        {
            block.hash = Some(hash);
            self.by_hash.insert(hash, index);
        }
    }

    /// Takes the block that holds this, if there is one.
    pub(crate) fn take(&mut self, hash: &BlockHash) -> Option<u32> {
        let index = *self.by_hash.get(hash)?;
        self.share(index);
        Some(index)
    }

    /// Forgets what all blocks hold; those in use stay with their holders.
    pub(crate) fn forget(&mut self) {
        self.by_hash.clear();
        self.blocks.iter_mut().for_each(|block| block.hash = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_block_is_handed_out_first_and_its_content_forgotten() {
        let mut pool = BlockPool::new(3);
        let hash = BlockHash::start(None).then(&[1, 2]);
        let [first, second] = [(); 2].map(|()| pool.allocate().unwrap());
        pool.publish(first, hash);
        pool.release(second);
        pool.release(first);
        assert_eq!(pool.free(), 3);
        assert_eq!(pool.allocate(), Some(2));
        assert_eq!(pool.allocate(), Some(second));
        assert_eq!(pool.take(&hash), Some(first));
        assert_eq!(pool.allocate(), None);
        pool.release(first);
        assert_eq!(pool.allocate(), Some(first));
        assert_eq!(pool.take(&hash), None);
    }

    #[test]
    fn a_shared_block_is_free_when_its_last_holder_lets_go() {
        let mut pool = BlockPool::new(1);
        let block = pool.allocate().unwrap();
        pool.share(block);
        assert!(pool.is_shared(block));
        pool.release(block);
        assert_eq!((pool.is_shared(block), pool.free()), (false, 0));
        pool.release(block);
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn chains_tell_beginnings_and_adapters_apart() {
        let [plain, adapted] = [None, Some("a")].map(BlockHash::start);
        assert_ne!(plain.then(&[1]), adapted.then(&[1]));
        assert_ne!(plain.then(&[1]).then(&[2]), plain.then(&[3]).then(&[2]));
        assert_ne!(BlockHash::start(Some("")), plain);
    }
}
