//! Just enough of Rust's syntax to ask which paths a file names: comments and literals are blanked, test code
//! can be left out, and `use` trees are written out.
//!
//! Not a parser. It works on tokens, so a path made by a macro is not seen; the compiler and clippy watch the
//! rest.

/// The text with every comment and the inside of every literal replaced by spaces. Lines stay where they are.
pub(crate) fn blanked(text: &str) -> String {
    let input: Vec<char> = text.chars().collect();
    let mut output = String::with_capacity(text.len());
    let mut at = 0;
    while at < input.len() {
        let end = skipped_until(&input, at);
        if end > at {
            output.extend(input[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            // A whole identifier at once, so that the `r` of `for"` is not taken for a raw string's.
            let start = at;
            at += 1;
            while is_word(input[start]) && at < input.len() && is_word(input[at]) {
                at += 1;
            }
            output.extend(&input[start..at]);
        }
    }
    output
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the comment or literal that starts at `at` ends; `at` itself when none starts there.
fn skipped_until(input: &[char], at: usize) -> usize {
    let rest = &input[at..];
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment(input, at),
        ['"', ..] => quoted(input, at + 1, '"'),
        ['b' | 'c', '"', ..] => quoted(input, at + 2, '"'),
        ['b', '\'', ..] => quoted(input, at + 2, '\''),
        ['r', '"' | '#', ..] => raw_string(input, at, at + 1),
        ['b' | 'c', 'r', '"' | '#', ..] => raw_string(input, at, at + 2),
        // 'a' is a character, 'a a lifetime.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => quoted(input, at + 1, '\''),
        _ => at,
    }
}

fn block_comment(input: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < input.len() {
        match &input[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth.saturating_sub(1), at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(input: &[char], start: usize, quote: char) -> usize {
    let mut at = start;
    while at < input.len() && input[at] != quote {
        at += if input[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(input.len())
}

/// `start` is where the literal begins, `hashes_at` where its hashes do. `r#type` is an identifier.
fn raw_string(input: &[char], start: usize, hashes_at: usize) -> usize {
    let hashes = input[hashes_at..].iter().take_while(|&&c| c == '#').count();
    let open = hashes_at + hashes;
    if input.get(open) != Some(&'"') {
        return start;
    }
    let mut at = open + 1;
    while at < input.len() {
        let closes =
            input[at] == '"' && input[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    input.len()
}

/// Blanked text with the items under `#[cfg(test)]` blanked too.
pub(crate) fn without_tests(blanked: &str) -> String {
    let mut output: Vec<char> = blanked.chars().collect();
    let mut at = 0;
    while let Some((attribute, inner, end)) = next_attribute(&output, at) {
        if !is_test_condition(&output[attribute..end]) {
            at = end;
            continue;
        }
        let item_end = if inner { output.len() } else { end_of_item(&output, end) };
        let blank_from = if inner { 0 } else { attribute };
        for c in &mut output[blank_from..item_end] {
            if *c != '\n' {
                *c = ' ';
            }
        }
        at = item_end;
    }
    output.into_iter().collect()
}

/// The next attribute at or after `from`: its start, whether it is an inner one (`#!`), its end.
fn next_attribute(text: &[char], from: usize) -> Option<(usize, bool, usize)> {
    let mut at = from;
    while at < text.len() {
        let (inner, open) = match &text[at..] {
            ['#', '[', ..] => (false, at + 1),
            ['#', '!', '[', ..] => (true, at + 2),
            _ => {
                at += 1;
                continue;
            }
        };
        return Some((at, inner, matching_end(text, open)));
    }
    None
}

fn is_test_condition(attribute: &[char]) -> bool {
    let text: String = attribute.iter().filter(|c| !c.is_whitespace()).collect();
    ["[cfg(test)", "[cfg(all(test", "[cfg(any(test"].iter().any(|condition| text.contains(condition))
}

/// Behind the bracket that closes the one at `open`.
fn matching_end(text: &[char], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.iter().enumerate().skip(open) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// The end of the item (or field, variant, statement) that begins behind an attribute.
fn end_of_item(text: &[char], from: usize) -> usize {
    let mut at = from;
    loop {
        at += text[at..].iter().take_while(|c| c.is_whitespace()).count();
        if !matches!(&text[at..], ['#', '[', ..]) {
            break;
        }
        at = matching_end(text, at + 1);
    }
    let words: Vec<String> = text[at..]
        .iter()
        .take(60)
        .collect::<String>()
        .split_whitespace()
        .take(3)
        .map(str::to_owned)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with("pub")).collect();
    // `use a::{b};` and `const A: B = B { … };` go on behind their braces.
    let ends_with_semicolon = matches!(words[..], ["use" | "static" | "let" | "type", ..])
        || matches!(words[..], ["const", next, ..] if next != "fn");
    while at < text.len() {
        match text[at] {
            ';' | ',' => return at + 1,
            ')' | ']' | '}' => return at, // The end of what surrounds a last field or statement.
            '{' => {
                at = matching_end(text, at);
                if !ends_with_semicolon {
                    return at;
                }
            }
            '(' | '[' => at = matching_end(text, at),
            _ => at += 1,
        }
    }
    at
}

/// A path as a file names it, written out in full, and its line (from 1). A macro's name keeps its `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Other(char),
}

fn tokens(blanked: &str) -> Vec<(Token, usize)> {
    let input: Vec<char> = blanked.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < input.len() {
        let c = input[at];
        let mut end = at + 1;
        if c == '\n' {
            line += 1;
        } else if is_word(c) {
            end = at + input[at..].iter().take_while(|&&c| is_word(c)).count();
            found.push((Token::Word(input[at..end].iter().collect()), line));
        } else if c == ':' && input.get(end) == Some(&':') {
            end += 1;
            found.push((Token::PathSeparator, line));
        } else if !c.is_whitespace() {
            found.push((Token::Other(c), line));
        }
        at = end;
    }
    found
}

/// Every path that the blanked text names, `use` trees written out: `use a::{b, c::d}` names `a::b`, `a::c::d`.
pub(crate) fn named_paths(blanked: &str) -> Vec<NamedPath> {
    let tokens = tokens(blanked);
    let (mut paths, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        match &tokens[at].0 {
            // `use<'a>` in a type captures lifetimes and imports nothing.
            Token::Word(word)
                if word == "use" && !matches!(tokens.get(at + 1), Some((Token::Other('<'), _))) =>
            {
                at = use_tree(&tokens, at + 1, &[], &mut paths);
            }
            Token::Word(_) => at = plain_path(&tokens, at, &mut paths),
            _ => at += 1,
        }
    }
    paths
}

/// Reads one tree of a `use` from `at`, adds its paths, and returns the place behind it.
fn use_tree(
    tokens: &[(Token, usize)],
    mut at: usize,
    prefix: &[String],
    paths: &mut Vec<NamedPath>,
) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.1);
    while let Some((token, _)) = tokens.get(at) {
        match token {
            Token::Word(word) if word == "as" => at += 2, // The alias is a new name, not a part of the path.
            Token::Word(word) if word == "self" && !segments.is_empty() => at += 1,
            Token::Word(word) => {
                segments.push(word.clone());
                at += 1;
            }
            Token::PathSeparator | Token::Other('*') => at += 1,
            Token::Other('{') => {
                at += 1;
                while let Some((token, _)) = tokens.get(at) {
                    match token {
                        Token::Other('}') => return at + 1,
                        Token::Other(',') => at += 1,
                        _ => at = use_tree(tokens, at, &segments, paths).max(at + 1),
                    }
                }
                return at;
            }
            Token::Other(_) => break,
        }
    }
    paths.push(NamedPath { segments, line });
    at
}

fn plain_path(tokens: &[(Token, usize)], mut at: usize, paths: &mut Vec<NamedPath>) -> usize {
    let line = tokens[at].1;
    let mut segments = Vec::new();
    while let Some((Token::Word(word), _)) = tokens.get(at) {
        segments.push(word.clone());
        at += 1;
        if !matches!(tokens.get(at), Some((Token::PathSeparator, _))) {
            break;
        }
        at += 1;
    }
    // `a != b` is a comparison, `a!` a macro.
    let is_macro = matches!(tokens.get(at), Some((Token::Other('!'), _)))
        && !matches!(tokens.get(at + 1), Some((Token::Other('='), _)));
    if let (true, Some(last)) = (is_macro, segments.last_mut()) {
        last.push('!');
    }
    paths.push(NamedPath { segments, line });
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        named_paths(&blanked(text)).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text = "a // std::fs\n/* x /* y */\nz */ b \"q \\\" std\" c r#\"s\" t\"# d 'e' '\\'' b\"f\" g\n'life h r#type";
        let words: Vec<(String, usize)> = tokens(&blanked(text))
            .into_iter()
            .filter_map(|(token, line)| if let Token::Word(word) = token { Some((word, line)) } else { None })
            .collect();
        let expected =
            [("a", 1), ("b", 3), ("c", 3), ("d", 3), ("g", 3), ("life", 4), ("h", 4), ("r", 4), ("type", 4)];
        assert_eq!(words, expected.map(|(word, line)| (word.to_owned(), line)));
    }

    #[test]
    fn use_trees_are_written_out() {
        assert_eq!(
            paths("use std::{fs::{self, File as F}, io};\nuse ::a::*; fn f() -> impl X + use<'a> {}"),
            ["std::fs", "std::fs::File", "std::io", "a", "fn", "f", "impl", "X", "use", "a"]
        );
    }

    #[test]
    fn macros_keep_their_mark_and_comparisons_do_not_get_one() {
        assert_eq!(paths("std::println!(x); a != b"), ["std::println!", "x", "a", "b"]);
    }

    #[test]
    fn test_items_are_left_out_and_what_follows_stays() {
        let text = "a;\n#[cfg(test)]\n#[allow(x)]\nmod tests { fn f() { b } }\nc;\n\
                    #[cfg(all(test, unix))] use d::{e, f};\ng;\n#[cfg(test)] const H: I = I { j: 1 };\nk;\n\
                    struct S { #[cfg(test)] l: M, n: O }\n#[cfg(test)] mod p;\n#[cfg(not(test))] q;";
        let kept = without_tests(&blanked(text));
        let words: Vec<&str> = kept.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect();
        assert_eq!(words, ["a", "c", "g", "k", "struct", "S", "n", "O", "cfg", "not", "test", "q"]);
        assert_eq!(kept.lines().count(), text.lines().count());
    }

    #[test]
    fn text_cut_off_anywhere_is_read_without_a_panic() {
        let text = "#[cfg(test)] use a::{b as c, d::{self, *}}; r#\"x\"# b'\\'' /* /* */ \"\\\\\" 'l #![cfg(test)] f!(";
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            named_paths(&without_tests(&blanked(&text[..end])));
        }
    }
}
