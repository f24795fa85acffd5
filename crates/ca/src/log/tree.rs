//! The Merkle tree: its hashes, its proofs, and what verifies them.

/// A hash of the tree.
pub type Hash = [u8; 32];

/// The hash of a leaf (RFC 6962 section 2.1): the zero octet keeps it apart from every inner node.
///
/// ```
/// assert_eq!(
///     pki::hex(&ca::log::leaf_hash(b"")),
///     "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
/// );
/// ```
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut octets = Vec::with_capacity(entry.len() + 1);
    octets.push(0);
    octets.extend_from_slice(entry);
    pki::sha256(&octets)
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut octets = [1; 65];
    octets[1..33].copy_from_slice(left);
    octets[33..].copy_from_slice(right);
    pki::sha256(&octets)
}

/// The root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    pki::sha256(&[])
}

/// The hash over a row of hashes whose number is a power of two, such as a full tile.
#[must_use]
pub fn tile_root(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node_hash(&pair[0], &pair[pair.len() - 1])).collect();
    }
    row.first().copied().unwrap_or_else(empty_root)
}

/// The largest power of two below `width`, which is at least 2 (RFC 6962 section 2.1).
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

/// The hash over the leaves from `from` to before `to`. `read` gives `count` hashes of a tile level from `start` on: at
/// level 0 those of leaves, at level *n* those of full tiles of level *n* - 1.
fn subtree<E>(
    from: u64,
    to: u64,
    read: &mut impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>,
) -> Result<Hash, E> {
    let width = to - from;
    if width == 0 {
        return Ok(empty_root());
    }
    if width.is_power_of_two() {
        // At most 256 hashes: whatever is wider is read at a higher level.
        let level = width.trailing_zeros() / 8;
        let each = 1_u64 << (8 * level);
        let hashes = read(u8::try_from(level).unwrap_or(u8::MAX), from / each, width / each)?;
        return Ok(tile_root(&hashes));
    }
    let middle = from + split(width);
    let left = subtree(from, middle, read)?;
    Ok(node_hash(&left, &subtree(middle, to, read)?))
}

/// The root of the tree of this size.
///
/// # Errors
/// Those of `read`.
pub fn root<E>(size: u64, mut read: impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>) -> Result<Hash, E> {
    subtree(0, size, &mut read)
}

/// The proof that the leaf at `index` is in the tree of this size: the siblings on its way to the root (RFC 6962 section
/// 2.1.1). Empty where the index is not in the tree.
///
/// # Errors
/// Those of `read`.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut read: impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, E> {
    let (mut from, mut to) = (0, size);
    let mut proof = Vec::new();
    while index < size && to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(subtree(middle, to, &mut read)?);
            to = middle;
        } else {
            proof.push(subtree(from, middle, &mut read)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of size `new` begins with the tree of size `old` (RFC 6962 section 2.1.2). Empty where there is
/// nothing to prove: the old tree is empty, the same, or larger.
///
/// # Errors
/// Those of `read`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut read: impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, E> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut from, mut to) = (0, new);
    // Whether the old tree is a whole one of the new tree's from its first leaf on: then its root is known already.
    let mut is_known = true;
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(subtree(middle, to, &mut read)?);
            to = middle;
        } else {
            proof.push(subtree(from, middle, &mut read)?);
            from = middle;
            is_known = false;
        }
    }
    if !is_known {
        proof.push(subtree(from, to, &mut read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether the proof shows that this leaf is at `index` of the tree with this size and root (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A node without a right sibling moves up until it has a left one.
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the tree `new` begins with the tree `old`, each a size and a root (RFC 9162 section
/// 2.1.4.2).
#[must_use]
pub fn verify_consistency(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size > new_size {
        return false;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    // An old tree that is complete is itself the first node of the proof.
    let mut rest = proof.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut of_old, mut of_new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            of_old = node_hash(sibling, &of_old);
            of_new = node_hash(sibling, &of_new);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            of_new = node_hash(&of_new, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}

/// A tree of which only the right edge is kept: leaves are added one after the other, and its root is known at each
/// moment. So a log of any length is verified in the memory of 64 hashes.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    /// The roots of the complete trees that the leaves divide into, the widest first.
    complete: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each low bit of the size is a complete tree of that width, which the new one joins.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.complete.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.complete.push(hash);
        self.size += 1;
    }

    /// How many leaves it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its root.
    ///
    /// ```
    /// assert_eq!(ca::log::Frontier::default().root(), ca::log::empty_root());
    /// ```
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut from_the_right = self.complete.iter().rev();
        let Some(last) = from_the_right.next() else { return empty_root() };
        from_the_right.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of the test vectors that implementations of RFC 6962 share.
    const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or(0)).collect()
    }

    /// Reads a tree of these leaves at every level, as a store would.
    fn reader(leaves: &[Hash]) -> impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, ()> + '_ {
        |level, start, count| {
            let each = 256_usize.pow(u32::from(level));
            let at = |n: u64| usize::try_from(n).unwrap_or(0) * each;
            Ok(leaves[at(start)..at(start + count)].chunks(each).map(tile_root).collect())
        }
    }

    fn many(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    #[test]
    fn roots_are_those_of_the_shared_test_vectors() {
        let leaves: Vec<Hash> = LEAVES.iter().map(|hex| leaf_hash(&octets(hex))).collect();
        let mut frontier = Frontier::default();
        for (size, expected) in (1..).zip(ROOTS) {
            frontier.push(leaves[size - 1]);
            let found = root(size as u64, reader(&leaves[..size])).map(|hash| pki::hex(&hash));
            assert_eq!(found.as_deref(), Ok(expected), "{size}");
            assert_eq!(pki::hex(&frontier.root()), expected, "{size}");
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_at_no_other_place() {
        for size in 1..=40_u64 {
            let leaves = many(40);
            let read = || reader(&leaves);
            let top = root(size, read()).unwrap_or_default();
            for index in 0..size {
                let proof = inclusion_proof(index, size, read()).unwrap_or_default();
                let leaf = &leaves[usize::try_from(index).unwrap_or(0)];
                assert!(verify_inclusion(leaf, index, size, &proof, &top), "{index} of {size}");
                for wrong in (0..size + 2).filter(|wrong| *wrong != index) {
                    assert!(
                        !verify_inclusion(leaf, wrong, size, &proof, &top),
                        "{wrong} for {index} of {size}"
                    );
                }
                let mut longer = proof.clone();
                longer.push([7; 32]);
                assert!(!verify_inclusion(leaf, index, size, &longer, &top));
                assert!(!verify_inclusion(&[9; 32], index, size, &proof, &top));
            }
        }
    }

    #[test]
    fn every_small_tree_is_proved_to_begin_with_every_smaller_one_and_with_no_other() {
        let leaves = many(40);
        let root_of = |size| root(size, reader(&leaves)).unwrap_or_default();
        for new in 0..=40 {
            for old in 0..=new {
                let proof = consistency_proof(old, new, reader(&leaves)).unwrap_or_default();
                let (before, after) = (root_of(old), root_of(new));
                assert!(verify_consistency((old, &before), (new, &after), &proof), "{old} to {new}");
                assert!(!verify_consistency((old, &[1; 32]), (new, &after), &proof), "{old} to {new}");
                if old != 0 && old != new {
                    assert!(!verify_consistency((old, &before), (new, &[1; 32]), &proof), "{old} to {new}");
                    assert!(
                        !verify_consistency((old, &before), (new, &after), &proof[1..]),
                        "{old} to {new}"
                    );
                }
                if old != new {
                    assert!(!verify_consistency((new, &after), (old, &before), &proof), "{new} to {old}");
                }
            }
        }
    }

    #[test]
    fn trees_wider_than_a_tile_are_read_at_higher_levels() {
        let leaves = many(66_000);
        let mut frontier = Frontier::default();
        for (size, leaf) in (1_u64..).zip(&leaves) {
            frontier.push(*leaf);
            if ![255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_000].contains(&size) {
                continue;
            }
            let mut widest = 0;
            let mut inner = reader(&leaves);
            let counted = root(size, |level, start, count| {
                widest = widest.max(count);
                inner(level, start, count)
            });
            assert_eq!(counted, Ok(frontier.root()), "{size}");
            assert!(widest <= 256, "{widest} hashes were read at once");
            let proof = inclusion_proof(200, size, reader(&leaves)).unwrap_or_default();
            assert!(verify_inclusion(&leaves[200], 200, size, &proof, &frontier.root()), "{size}");
            let early = root(77, reader(&leaves)).unwrap_or_default();
            let proof = consistency_proof(77, size, reader(&leaves)).unwrap_or_default();
            assert!(verify_consistency((77, &early), (size, &frontier.root()), &proof), "{size}");
        }
    }
}
