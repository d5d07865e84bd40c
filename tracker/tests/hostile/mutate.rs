//! Inputs that follow from others and a seed: bytes flipped, cut out, repeated, put in.

/// Numbers that follow from a seed (xorshift64*, Marsaglia and Vigna).
pub struct Numbers(u64);

impl Numbers {
    pub fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }
}

/// What often hides at the edge of a decoder: lengths, signs, ends of strings, longest numbers.
const EDGES: [&[u8]; 12] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f],
    &[0x80, 0x80, 0x40],
    b"\n",
    b"\"",
    b"\\ud800",
];

/// Returns an input with one to four changes; `others` are cut and put in too.
pub fn mutated(input: &[u8], others: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let until = (at + 1 + numbers.below(8)).min(bytes.len());
        match numbers.below(7) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            2 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            3 if at < until => drop(bytes.drain(at..until)),
            4 if at < until => {
                let part = bytes[at..until].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let other = &others[numbers.below(others.len())];
                let from = numbers.below(other.len());
                let to = (from + 1 + numbers.below(16)).min(other.len());
                bytes.splice(at..until.max(at), other[from..to].iter().copied());
            }
            _ => {
                let edge = EDGES[numbers.below(EDGES.len())];
                bytes.splice(at..until.max(at), edge.iter().copied());
            }
        }
    }
    bytes
}
