//! Octets damaged in thousands of ways, the same ones in every run.

/// Marsaglia's xorshift64: the same mutations on every machine and in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// Every truncation, four changes of every byte, and 2,000 heavier ones.
pub(crate) fn mutations(original: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let truncated = (0..original.len()).map(|end| original[..end].to_vec());
    let changed = (0..original.len()).flat_map(|at| {
        [0x01, 0x80, 0xff, 0x20].map(|bits| {
            let mut bytes = original.to_vec();
            bytes[at] ^= bits;
            bytes
        })
    });
    let mut dice = Dice(0x2026_0615_1200_0000);
    let heavier = (0..2000).map(move |_| {
        let mut bytes = original.to_vec();
        for _ in 0..=dice.below(4) {
            let at = dice.below(bytes.len());
            match dice.below(5) {
                0 => bytes[at] = dice.byte(),
                1 => bytes.insert(at, dice.byte()),
                2 => drop(bytes.remove(at)),
                3 => {
                    let (from, length) = (dice.below(bytes.len()), dice.below(40));
                    let copied: Vec<u8> = bytes.iter().skip(from).take(length).copied().collect();
                    bytes.splice(at..at, copied);
                }
                _ => {
                    let end = (at + dice.below(40)).min(bytes.len() - 1);
                    bytes.drain(at..end);
                }
            }
        }
        bytes
    });
    truncated.chain(changed).chain(heavier)
}
