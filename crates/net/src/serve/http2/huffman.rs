//! The Huffman code of HPACK (RFC 7541 appendix B), read strictly. The code is canonical: from the length of each
//! symbol's code follow all codes, so that the lengths are the whole table.

/// How many bits each octet's code has.
#[rustfmt::skip] // One row for 32 octets, as the appendix counts them.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The longest code; that of the end of a string, which is all ones, has this length too.
const LONGEST: usize = 30;
const END: u16 = 256;
/// Codes up to this length are found by one look.
const SHORT: usize = 9;

/// The symbols in the order of their codes, and for each length where its codes begin.
struct Canonical {
    symbols: [u16; 257],
    /// For each length, the first code that is none of it any more.
    limits: [u32; LONGEST + 1],
    /// What turns a code of this length into a place among the symbols.
    offsets: [u32; LONGEST + 1],
}

const CANONICAL: Canonical = {
    let mut made = Canonical { symbols: [0; 257], limits: [0; LONGEST + 1], offsets: [0; LONGEST + 1] };
    let (mut code, mut place, mut length) = (0_u32, 0_u32, 1);
    while length <= LONGEST {
        code <<= 1;
        made.offsets[length] = code.wrapping_sub(place);
        let mut symbol = 0;
        while symbol <= END as usize {
            let of_symbol = if symbol == END as usize { LONGEST } else { LENGTHS[symbol] as usize };
            if of_symbol == length {
                made.symbols[place as usize] = symbol as u16;
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        made.limits[length] = code;
        length += 1;
    }
    made
};

/// For each of the next nine bits, the symbol that they begin with, and its length; 0 where it is longer.
const BY_BITS: [(u8, u8); 1 << SHORT] = {
    let mut table = [(0, 0); 1 << SHORT];
    let mut bits = 0;
    while bits < table.len() {
        let mut length = 5;
        while length <= SHORT {
            let code = (bits >> (SHORT - length)) as u32;
            if code < CANONICAL.limits[length] {
                let place = code.wrapping_sub(CANONICAL.offsets[length]);
                table[bits] = (CANONICAL.symbols[place as usize] as u8, length as u8);
                break;
            }
            length += 1;
        }
        bits += 1;
    }
    table
};

/// A string whose code is broken: it has the end's symbol inside, or is not filled up with less than an octet of ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BrokenCode;

/// Decodes a string behind what is in `out`.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Result<(), BrokenCode> {
    // The lowest `held` bits are not decoded yet.
    let (mut bits, mut held) = (0_u64, 0_usize);
    let mut rest = code.iter();
    loop {
        while held <= 56 {
            let Some(octet) = rest.next() else { break };
            bits = bits << 8 | u64::from(*octet);
            held += 8;
        }
        if held == 0 {
            return Ok(());
        }
        // The next 30 bits; ones where there are fewer, which alone are no symbol but the end.
        const WINDOW: u64 = (1 << LONGEST) - 1;
        let window = if held >= LONGEST {
            bits >> (held - LONGEST) & WINDOW
        } else {
            let lacking = LONGEST - held;
            (bits << lacking | ((1 << lacking) - 1)) & WINDOW
        };
        let (symbol, length) = first_of(u32::try_from(window).unwrap_or(u32::MAX));
        if symbol == END || length > held {
            let filling = (1_u64 << held.min(8)) - 1;
            return if held < 8 && bits & filling == filling { Ok(()) } else { Err(BrokenCode) };
        }
        // Every symbol but the end is an octet.
        out.push(symbol as u8);
        held -= length;
    }
}

/// The symbol that thirty bits begin with, and its length.
fn first_of(window: u32) -> (u16, usize) {
    let (symbol, length) = BY_BITS[(window >> (LONGEST - SHORT)) as usize];
    if length > 0 {
        return (u16::from(symbol), usize::from(length));
    }
    for length in SHORT + 1..LONGEST {
        let code = window >> (LONGEST - length);
        if code < CANONICAL.limits[length] {
            let place = code.wrapping_sub(CANONICAL.offsets[length]);
            return (CANONICAL.symbols[place as usize], length);
        }
    }
    (CANONICAL.symbols[window.wrapping_sub(CANONICAL.offsets[LONGEST]) as usize], LONGEST)
}

/// Encodes a string. What is sent is not encoded: it takes longer than it saves. Tests send what clients do.
#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u64, 0);
    for octet in text {
        let length = usize::from(LENGTHS[usize::from(*octet)]);
        let place = CANONICAL.symbols.iter().position(|symbol| *symbol == u16::from(*octet)).unwrap_or(0);
        let code = CANONICAL.offsets[length].wrapping_add(u32::try_from(place).unwrap_or(0));
        bits = bits << length | u64::from(code);
        held += length;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held > 0 {
        out.push((bits << (8 - held)) as u8 | ((1 << (8 - held)) - 1) as u8);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    fn decoded(code: &[u8]) -> Result<String, BrokenCode> {
        let mut out = Vec::new();
        decode(code, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// RFC 7541 appendix C.4 and C.6.
    #[test]
    fn the_strings_of_the_rfc_are_read() {
        let cases: &[(&str, &[u8])] = &[
            ("www.example.com", b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
            ("no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            ("custom-key", b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f"),
            ("custom-value", b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"),
            ("302", b"\x64\x02"),
            ("private", b"\xae\xc3\x77\x1a\x4b"),
            (
                "Mon, 21 Oct 2013 20:13:21 GMT",
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
            ),
            (
                "https://www.example.com",
                b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
            ),
        ];
        for (text, code) in cases {
            assert_eq!(decoded(code).as_deref(), Ok(*text));
            assert_eq!(encode(text.as_bytes()), *code, "{text}");
        }
    }

    /// RFC 7541 section 5.2: filling of an octet or more, or of other bits than ones, and the end's own code.
    #[test]
    fn what_is_filled_up_wrongly_is_refused() {
        for code in [
            &b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff\xff"[..],
            b"\xff",
            b"\xff\xff\xff\xff",
            b"\x00",
            b"\x64",
            b"\xff\xff\xff\xfc",
        ] {
            assert_eq!(decoded(code), Err(BrokenCode), "{code:02x?}");
        }
        assert_eq!(decoded(b"").as_deref(), Ok(""));
        assert_eq!(decoded(b"\x07").as_deref(), Ok("0"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = b"before".to_vec();
            decode(&encode(&text), &mut out).unwrap();
            prop_assert_eq!(&out[6..], &text[..]);
        }

        #[test]
        fn there_is_one_code_for_a_string(code in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut out = Vec::new();
            if decode(&code, &mut out).is_ok() {
                prop_assert_eq!(encode(&out), code);
            }
        }
    }
}
