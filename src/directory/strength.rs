//! Which passwords are taken: as NIST SP 800-63B has it, by length and by what everybody tries first, and by no rule of how
//! many kinds of letters there are.
//!
//! The list is that of the most common ones of leaked collections, as far as they are long enough. It is short: whoever
//! guesses gets no more than a few tries (`guesses`).

use super::error::{ApiError, ApiResult};

const FEWEST_LETTERS: usize = 8;
/// It keeps the hash's cost bounded.
const MOST_BYTES: usize = 1024;
/// In small letters, in order.
const COMMON: &str = include_str!("common_passwords.txt");

/// # Errors
/// When somebody would guess it soon, or it is too short or too long.
pub(crate) fn check_password(password: &str, username: &str) -> ApiResult<()> {
    if password.chars().count() < FEWEST_LETTERS || password.len() > MOST_BYTES {
        return Err(ApiError::invalid(
            "the password must have 8 characters or more, and 1,024 bytes or less: choose another",
        ));
    }
    let lower = password.to_lowercase();
    let first = lower.chars().next();
    let one_letter = lower.chars().all(|letter| Some(letter) == first);
    let of_the_name = !username.is_empty() && lower.trim_matches(|letter: char| letter.is_ascii_digit()) == username;
    if one_letter || of_the_name || lower == username || COMMON.lines().any(|common| common == lower) {
        return Err(ApiError::invalid(
            "this password is one of those that are tried first: choose another, best some words that do not belong together",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_first_is_refused_and_a_sentence_is_not() {
        let long = "x y".repeat(400);
        for wrong in [
            "",
            "short",
            "1234567",
            "password",
            "PassWord",
            "12345678",
            "P@ssw0rd",
            "zzzzzzzz",
            "benjamin7",
            "Benjamin",
            &long,
        ] {
            assert!(check_password(wrong, "benjamin").is_err(), "{wrong}");
        }
        for right in
            ["correct horse battery", "correct horse", "pass word", "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}a"]
        {
            assert!(check_password(right, "benjamin").is_ok(), "{right}");
        }
    }

    #[test]
    fn the_list_is_such_as_it_is_looked_up() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() > 300 && lines.is_sorted());
        assert!(lines.iter().all(|line| line.chars().count() >= FEWEST_LETTERS && line.to_lowercase() == *line));
    }
}
