//! Configuration files damaged in hundreds of ways; `fuzz/fuzz_targets/config.rs` goes on from here.

use std::path::Path;

use super::check;

const WHOLE: &str = include_str!("../../../../fuzz/corpus/config/everything");

#[test]
fn no_damaged_file_makes_it_panic_and_each_fault_has_its_place() {
    let read = |text: &str| check::read(Path::new("countersign.toml"), text);
    assert!(read(WHOLE).is_ok(), "the file that is damaged is a good one");
    // Marsaglia's xorshift64: the same damage in every run.
    let mut state = 0x2026_0615_u64;
    let mut below = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end.max(1) as u64) as usize
    };
    let pieces = ["\"", "[", "]]", "= ", "\n", "{", "0", "-1", "99999999999", "ü", "\u{0}", "all", "/"];
    for _ in 0..400 {
        let mut text: Vec<char> = WHOLE.chars().collect();
        for _ in 0..=below(3) {
            let at = below(text.len());
            let end = (at + below(12)).min(text.len());
            text.splice(at..end, pieces[below(pieces.len())].chars());
        }
        match read(&text.into_iter().collect::<String>()) {
            Ok(config) => assert!(!config.listeners.is_empty()),
            Err(error) => assert!(error.to_string().contains("countersign.toml, line "), "{error}"),
        }
    }
}
