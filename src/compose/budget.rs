//! What one reading may consume, however small the files are that ask for it.

use super::tree::{Failure, Mark};

/// Nodes of all trees, copies included. A file of a thousand services has fewer.
const NODES: usize = 200_000;
/// Bytes of all texts, copies and interpolated values included.
const BYTES: usize = 16 << 20;

pub(super) struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: NODES, bytes: BYTES }
    }
}

impl Budget {
    pub(super) fn spend(&mut self, nodes: usize, bytes: usize, mark: Mark) -> Result<(), Failure> {
        let rest = self.nodes.checked_sub(nodes).zip(self.bytes.checked_sub(bytes));
        let Some((nodes, bytes)) = rest else {
            return Err(Failure::at(
                mark,
                format!("the files unfold to more than {NODES} nodes or {} MiB", BYTES >> 20),
            ));
        };
        (self.nodes, self.bytes) = (nodes, bytes);
        Ok(())
    }
}
