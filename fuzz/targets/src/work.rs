//! Changing inputs without libFuzzer: the same mutations on every machine and in every run, for the smoke run.

/// Marsaglia's xorshift64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall by this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Dice(seed | 1)
    }

    /// A number below `end`, or 0 where there is none.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // Less than `end`, which is a usize.
        (self.0 % (end.max(1) as u64)) as usize
    }

    fn octet(&mut self) -> u8 {
        // The octets that end, nest or count things are worth more than chance gives them.
        const TELLING: [u8; 16] =
            [0, 1, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff, 0x30, 0x31, 0x04, 0x02, b'\r', b'\n', b':', b' '];
        if self.below(2) == 0 { TELLING[self.below(TELLING.len())] } else { self.below(256) as u8 }
    }
}

/// The longest input that a mutation makes.
const LONGEST: usize = 64 * 1024;

/// One of `inputs`, changed in one to four places, sometimes with a piece of another.
#[must_use]
pub fn mutated(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = inputs.get(dice.below(inputs.len())).cloned().unwrap_or_default();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(7) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            2 if at < bytes.len() => bytes[at] = dice.octet(),
            3 => bytes.insert(at, dice.octet()),
            4 => {
                let end = (at + 1 + dice.below(32)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            5 => {
                let other = inputs.get(dice.below(inputs.len())).map_or(&[][..], Vec::as_slice);
                let from = dice.below(other.len());
                let piece = &other[from..(from + dice.below(64)).min(other.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}
