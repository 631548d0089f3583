//! Reads Rust sources just far enough to see which names a file uses: comments, literals and inline test modules are
//! left out, and trees of `use` are spelt out.

use std::path::Path;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Mark(char),
}

pub(crate) struct SourceFile {
    /// Its path below `src`, with slashes.
    pub(crate) name: String,
    /// Its module path, without the crate: `["domain", "apply"]`.
    pub(crate) module: Vec<String>,
    pub(crate) lines: usize,
    pub(crate) tokens: Vec<Token>,
    /// The line of each token, from 1.
    at_line: Vec<usize>,
}

/// A path that a file spells, with its line.
pub(crate) struct Used {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// Every `.rs` file below `root`.
pub(crate) fn read(root: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a readable source");
                let name = path.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").replace('\\', "/");
                files.push(SourceFile::parse(&name, &text));
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

impl SourceFile {
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let stem = name.strip_suffix(".rs").expect("a source");
        let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        let (tokens, at_line) = without_inline_tests(tokens(text)).into_iter().unzip();
        Self { name: name.to_owned(), module, lines: text.lines().count(), tokens, at_line }
    }

    /// Whether the file as a whole is a test, as `domain/apply/tests.rs` is.
    pub(crate) fn is_test(&self) -> bool {
        self.module.iter().any(|part| part == "tests" || part.ends_with("_tests"))
    }

    /// The lines that have a word.
    pub(crate) fn lines_with(&self, word: &str) -> Vec<usize> {
        let found = self.tokens.iter().zip(&self.at_line).filter(|(token, _)| token.is(word));
        found.map(|(_, line)| *line).collect()
    }

    /// The lines that call a macro.
    pub(crate) fn lines_that_call(&self, name: &str) -> Vec<usize> {
        let calls = self.tokens.windows(2).zip(&self.at_line);
        calls.filter(|(pair, _)| pair[0].is(name) && pair[1] == Token::Mark('!')).map(|(_, line)| *line).collect()
    }

    /// The lines that call a macro whose body begins with another word than `first`.
    pub(crate) fn lines_that_call_without(&self, name: &str, first: &str) -> Vec<usize> {
        let calls = self.tokens.windows(4).zip(&self.at_line);
        let without =
            calls.filter(|(words, _)| words[0].is(name) && words[1] == Token::Mark('!') && !words[3].is(first));
        without.map(|(_, line)| *line).collect()
    }

    /// The inline modules, by name and line.
    pub(crate) fn inline_modules(&self) -> Vec<(&str, usize)> {
        let pairs = self.tokens.windows(2).zip(&self.at_line);
        let modules = pairs.filter(|(pair, _)| pair[0].is("mod"));
        modules
            .filter_map(|(pair, line)| match &pair[1] {
                Token::Word(name) => Some((name.as_str(), *line)),
                Token::Mark(_) => None,
            })
            .collect()
    }

    /// Every path into this crate that the file spells, from the root of the crate.
    pub(crate) fn paths(&self) -> Vec<Used> {
        self.paths_from(|word| match word {
            "crate" | "ringmaster" => Some(Vec::new()),
            "super" => Some(self.module[..self.module.len().saturating_sub(1)].to_vec()),
            "self" => Some(self.module.clone()),
            _ => None,
        })
    }

    /// Every path into another crate that the file spells from that crate's name.
    pub(crate) fn paths_into(&self, name: &str) -> Vec<Used> {
        self.paths_from(|word| (word == name).then(|| vec![name.to_owned()]))
    }

    fn paths_from(&self, start_of: impl Fn(&str) -> Option<Vec<String>>) -> Vec<Used> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let Token::Word(word) = &self.tokens[at] else {
                at += 1;
                continue;
            };
            // Only the first word of a path says where it begins.
            let first = at < 2 || !self.separator(at - 2);
            let Some(start) = start_of(word).filter(|_| first) else {
                at += 1;
                continue;
            };
            at += 1;
            if self.separator(at) {
                self.tree(&mut at, start, &mut found);
            }
        }
        found
    }

    fn separator(&self, at: usize) -> bool {
        self.tokens.get(at) == Some(&Token::Mark(':')) && self.tokens.get(at + 1) == Some(&Token::Mark(':'))
    }

    /// `at` stands before `::`; goes past the path or the tree of paths that follows `prefix`.
    fn tree(&self, at: &mut usize, mut prefix: Vec<String>, found: &mut Vec<Used>) {
        let line = self.at_line[at.saturating_sub(1)];
        while self.separator(*at) {
            *at += 2;
            match self.tokens.get(*at) {
                Some(Token::Word(word)) => {
                    *at += 1;
                    match word.as_str() {
                        "super" => drop(prefix.pop()),
                        _ => prefix.push(word.clone()),
                    }
                }
                Some(Token::Mark('{')) => {
                    *at += 1;
                    while !matches!(self.tokens.get(*at), None | Some(Token::Mark('}'))) {
                        match &self.tokens[*at] {
                            Token::Word(word) => {
                                let mut branch = prefix.clone();
                                if word != "self" {
                                    branch.push(word.clone());
                                }
                                *at += 1;
                                self.tree(at, branch, found);
                            }
                            Token::Mark(_) => *at += 1,
                        }
                    }
                    *at += 1;
                    return;
                }
                _ => break,
            }
        }
        found.push(Used { path: prefix, line });
    }
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }
}

/// Leaves out `#[cfg(test)] mod name { … }`.
fn without_inline_tests(placed: Vec<(Token, usize)>) -> Vec<(Token, usize)> {
    let tokens: Vec<Token> = placed.iter().map(|(token, _)| token.clone()).collect();
    let marker: Vec<Token> = self::tokens("#[cfg(test)]").into_iter().map(|(token, _)| token).collect();
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let is_module = tokens[at..].starts_with(&marker)
            && tokens.get(at + marker.len()) == Some(&Token::Word("mod".into()))
            && tokens.get(at + marker.len() + 2) == Some(&Token::Mark('{'));
        if !is_module {
            kept.push(placed[at].clone());
            at += 1;
            continue;
        }
        at += marker.len() + 3;
        let mut depth = 1;
        while depth > 0 && at < tokens.len() {
            match tokens[at] {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                _ => {}
            }
            at += 1;
        }
    }
    kept
}

/// The tokens, each with its line.
fn tokens(text: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let rest = &chars[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => quoted(rest),
            ['\'', '\\', ..] => 3 + rest[3..].iter().position(|c| *c == '\'').unwrap_or(0) + 1,
            ['\'', _, '\'', ..] => 3,
            ['\'', ..] => 1,
            [first, ..] if is_word(*first) => {
                let length = rest.iter().position(|c| !is_word(*c)).unwrap_or(rest.len());
                let word: String = rest[..length].iter().collect();
                match raw_string(&word, &rest[length..]) {
                    Some(body) => length + body,
                    None => {
                        tokens.push((Token::Word(word), line));
                        length
                    }
                }
            }
            [first, ..] => {
                if !first.is_whitespace() {
                    tokens.push((Token::Mark(*first), line));
                }
                1
            }
            [] => unreachable!("the loop ends before"),
        };
        line += rest.iter().take(length).filter(|c| **c == '\n').count();
        at += length;
    }
    tokens
}

fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match &text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn quoted(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// The length of what follows `r` or `br` when it is a raw string.
fn raw_string(word: &str, rest: &[char]) -> Option<usize> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    (rest.get(hashes) == Some(&'"')).then_some(())?;
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[hashes + 1..];
    let length = body.windows(end.len()).position(|window| window == end).unwrap_or(body.len());
    Some(hashes + 1 + length + end.len())
}
