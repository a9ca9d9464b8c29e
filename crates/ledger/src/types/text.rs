//! Text from outside, made safe to show on a terminal, in a log or on a page.

/// Whether a character is shown as itself. Control characters drive terminals; invisible format characters, such as
/// U+202E (right-to-left override) and U+200B (zero-width space), make one text look like another.
pub fn is_shown(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    );
    !character.is_control() && !is_invisible
}

/// The beginning of a text, for an error that repeats it: at most `max` characters, `…` for what is left out, `�` for
/// characters that [`is_shown`] refuses.
pub fn excerpt(text: &str, max: usize) -> String {
    let mut shown: String =
        text.chars().take(max).map(|character| if is_shown(character) { character } else { '\u{fffd}' }).collect();
    if text.chars().nth(max).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mislead_a_reader_is_not_shown() {
        for character in ['\u{1b}', '\u{202e}', '\u{200b}', '\u{2066}', '\u{7f}', '\u{9b}', '\n'] {
            assert!(!is_shown(character), "{:x}", character as u32);
        }
        assert!("Café № 7 — 漢字 😀".chars().all(is_shown));
    }

    #[test]
    fn an_excerpt_is_short() {
        assert_eq!(excerpt("abc", 3), "abc");
        assert_eq!(excerpt("abcd", 3), "abc…");
        assert_eq!(excerpt("a\u{1b}[31m", 9), "a\u{fffd}[31m");
    }
}
