//! "Did you mean": the known word nearest to what was written.

/// Characters of a word that is compared at most: the time grows with the square.
const WORD_MAX: usize = 100;

/// The candidate with the smallest edit distance to `word`, if it is near enough to be a slip: at most a third of the
/// word's letters, or a common beginning of four letters and more.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > WORD_MAX {
        return None;
    }
    let allowed = (length / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed || shares_beginning(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn shares_beginning(word: &str, candidate: &str) -> bool {
    let common = word.chars().zip(candidate.chars()).take_while(|(a, b)| a == b).count();
    common >= 4
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours each cost 1.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_word() {
        let known = ["rate_per_s", "duration_s", "warm_up_s"];
        assert_eq!(nearest("rate_pre_s", known), Some("rate_per_s"));
        assert_eq!(nearest("durations", known), Some("duration_s"));
        assert_eq!(nearest("warmup_s", known), Some("warm_up_s"));
    }

    #[test]
    fn a_shorter_beginning_finds_the_longer_word() {
        assert_eq!(nearest("rate", ["rate_per_s", "duration_s"]), Some("rate_per_s"));
    }

    #[test]
    fn an_unrelated_word_finds_nothing() {
        assert_eq!(nearest("colour", ["rate_per_s", "duration_s"]), None);
    }

    #[test]
    fn swapped_neighbours_cost_one() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
