//! What a statement in the binary log does to tables: enough of SQL to see which tables were altered, emptied or dropped.

/// What a statement means for the tables that are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// The end of a transaction.
    End,
    /// Nothing to do with the rows of tables, or only with new ones.
    Other,
    /// These tables (database if named, table) are not what they were.
    Changes(&'static str, Vec<(Option<String>, String)>),
    /// This database is gone.
    DropsDatabase(String),
    /// Rows were written as a statement, not row by row.
    Writes,
}

/// A piece of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// In upper case and as written.
    Word(String, String),
    Quoted(String),
    Sign(char),
}

/// Understands a statement.
pub(super) fn understand(text: &str) -> Statement {
    let tokens = tokens(text);
    let tokens = without_settings(&tokens);
    let words: Vec<&str> = tokens
        .iter()
        .map_while(|token| if let Token::Word(word, _) = token { Some(word.as_str()) } else { None })
        .take(6)
        .collect();
    let skip = |count: usize, optional: &[&str]| {
        let more = words[count.min(words.len())..].iter().take_while(|word| optional.contains(word)).count();
        &tokens[(count + more).min(tokens.len())..]
    };
    match words.as_slice() {
        ["COMMIT" | "ROLLBACK", ..] if words.get(1) != Some(&"TO") => Statement::End,
        ["TRUNCATE", ..] => Statement::Changes("emptied", names(skip(1, &["TABLE"]))),
        ["RENAME", "TABLE" | "TABLES", ..] => {
            Statement::Changes("renamed", names(skip(2, &["IF", "EXISTS"])))
        }
        ["DROP", "TABLE" | "TABLES", ..] => Statement::Changes("dropped", names(skip(2, &["IF", "EXISTS"]))),
        ["DROP", "DATABASE" | "SCHEMA", ..] => names(skip(2, &["IF", "EXISTS"]))
            .into_iter()
            .next()
            .map_or(Statement::Other, |(_, name)| Statement::DropsDatabase(name)),
        ["CREATE", "OR", "REPLACE", "TABLE", ..] => {
            Statement::Changes("replaced", names(skip(4, &[])).into_iter().take(1).collect())
        }
        // The key of a table may be a unique index.
        ["DROP", "INDEX", ..]
        | ["CREATE", "UNIQUE", "INDEX", ..]
        | ["CREATE", "OR", "REPLACE", "INDEX", ..]
        | ["CREATE", "OR", "REPLACE", "UNIQUE", "INDEX", ..] => {
            let on = tokens.iter().position(|token| matches!(token, Token::Word(word, _) if word == "ON"));
            let table = on.map(|on| names(&tokens[on + 1..])).unwrap_or_default();
            Statement::Changes("altered", table.into_iter().take(1).collect())
        }
        ["ALTER", ..] => {
            let rest = skip(1, &["ONLINE", "OFFLINE", "IGNORE"]);
            match rest {
                [Token::Word(word, _), rest @ ..] if word == "TABLE" => {
                    let rest = if matches!(rest.first(), Some(Token::Word(word, _)) if word == "IF") {
                        rest.get(2..).unwrap_or_default()
                    } else {
                        rest
                    };
                    Statement::Changes("altered", names(rest).into_iter().take(1).collect())
                }
                _ => Statement::Other,
            }
        }
        ["INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "WITH", ..] => Statement::Writes,
        _ => Statement::Other,
    }
}

/// MariaDB logs `SET STATEMENT variable = value FOR …` with the statement.
fn without_settings(tokens: &[Token]) -> &[Token] {
    let is = |token: &Token, expected: &str| matches!(token, Token::Word(word, _) if word == expected);
    match tokens {
        [first, second, rest @ ..] if is(first, "SET") && is(second, "STATEMENT") => {
            let statement = rest.iter().position(|token| is(token, "FOR")).map(|at| &rest[at + 1..]);
            statement.unwrap_or_default()
        }
        _ => tokens,
    }
}

/// The names in a list `[db.]table [TO [db.]table], …`, up to the first thing that is none.
fn names(tokens: &[Token]) -> Vec<(Option<String>, String)> {
    let mut names: Vec<(Option<String>, String)> = Vec::new();
    let mut wants = true;
    let mut qualifies = false;
    for token in tokens {
        match token {
            Token::Sign('.') => {
                (wants, qualifies) = (true, true);
            }
            Token::Sign(',') => wants = true,
            Token::Word(word, _) if word == "TO" && !wants => wants = true,
            Token::Word(_, name) | Token::Quoted(name) if wants => {
                wants = false;
                match names.last_mut() {
                    Some(last) if qualifies => *last = (Some(last.1.clone()), name.clone()),
                    _ => names.push((None, name.clone())),
                }
                qualifies = false;
            }
            _ => break,
        }
    }
    names
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '`' | '"' => {
                let mut name = String::new();
                while let Some(next) = characters.next() {
                    if next != character {
                        name.push(next);
                    } else if characters.next_if_eq(&character).is_some() {
                        name.push(character);
                    } else {
                        break;
                    }
                }
                tokens.push(Token::Quoted(name));
            }
            '/' if characters.peek() == Some(&'*') => {
                characters.next();
                // The content of /*! … */ and /*M! … */ is executed.
                characters.next_if_eq(&'M');
                if characters.next_if_eq(&'!').is_some() {
                    while characters.next_if(char::is_ascii_digit).is_some() {}
                } else {
                    let mut last = ' ';
                    for next in characters.by_ref() {
                        if last == '*' && next == '/' {
                            break;
                        }
                        last = next;
                    }
                }
            }
            '*' if characters.peek() == Some(&'/') => _ = characters.next(),
            '#' => while characters.next().is_some_and(|next| next != '\n') {},
            '-' if characters.peek() == Some(&'-') => {
                while characters.next().is_some_and(|next| next != '\n') {}
            }
            _ if is_name(character) => {
                let mut word = String::from(character);
                while let Some(next) = characters.next_if(|next| is_name(*next)) {
                    word.push(next);
                }
                tokens.push(Token::Word(word.to_uppercase(), word));
            }
            _ if character.is_whitespace() => {}
            _ => tokens.push(Token::Sign(character)),
        }
        // What follows in an INSERT may be megabytes of values.
        if tokens.len() > 4096 {
            break;
        }
    }
    tokens
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(what: &'static str, names: &[(&str, &str)]) -> Statement {
        let name = |(database, table): &(&str, &str)| {
            (Some((*database).to_owned()).filter(|name| !name.is_empty()), (*table).to_owned())
        };
        Statement::Changes(what, names.iter().map(name).collect())
    }

    #[test]
    fn what_happens_to_tables_is_seen() {
        for (text, expected) in [
            ("BEGIN", Statement::Other),
            ("COMMIT", Statement::End),
            ("COMMIT /* generated by server */", Statement::End),
            ("ROLLBACK TO `x`", Statement::Other),
            ("ROLLBACK", Statement::End),
            ("truncate t", changes("emptied", &[("", "t")])),
            ("TRUNCATE TABLE `a b`.`t``x`", changes("emptied", &[("a b", "t`x")])),
            (
                "DROP TABLE IF EXISTS `a` , b.`c` /* generated by server */",
                changes("dropped", &[("", "a"), ("b", "c")]),
            ),
            ("DROP TABLE t CASCADE", changes("dropped", &[("", "t")])),
            ("DROP TEMPORARY TABLE t", Statement::Other),
            ("DROP /*!40005 TEMPORARY */ TABLE IF EXISTS t", Statement::Other),
            ("DROP DATABASE IF EXISTS `shop`", Statement::DropsDatabase("shop".to_owned())),
            (
                "RENAME TABLE a TO b, s.c TO d",
                changes("renamed", &[("", "a"), ("", "b"), ("s", "c"), ("", "d")]),
            ),
            ("/* app */ ALTER TABLE t ADD COLUMN x int, DROP y", changes("altered", &[("", "t")])),
            ("ALTER ONLINE TABLE IF EXISTS s.t DROP x", changes("altered", &[("s", "t")])),
            ("ALTER DATABASE x CHARACTER SET utf8", Statement::Other),
            ("-- x\nCREATE OR REPLACE TABLE t (a int)", changes("replaced", &[("", "t")])),
            ("CREATE TABLE t (a int)", Statement::Other),
            ("CREATE INDEX i ON t (a)", Statement::Other),
            ("CREATE UNIQUE INDEX `on` USING BTREE ON s.t (a, b)", changes("altered", &[("s", "t")])),
            ("CREATE OR REPLACE INDEX i ON t (a)", changes("altered", &[("", "t")])),
            ("DROP INDEX IF EXISTS i ON `t` LOCK=NONE", changes("altered", &[("", "t")])),
            ("INSERT INTO t VALUES (1)", Statement::Writes),
            ("update t set a = 1", Statement::Writes),
            ("SET STATEMENT sql_mode = '', x = 1 FOR TRUNCATE t", changes("emptied", &[("", "t")])),
            ("SET STATEMENT binlog_format = 'STATEMENT' FOR UPDATE t SET a = 1", Statement::Writes),
            ("SET @x = 1", Statement::Other),
            ("GRANT SELECT ON t TO u", Statement::Other),
            ("# only a comment", Statement::Other),
            ("", Statement::Other),
            ("DROP", Statement::Other),
            ("ALTER", Statement::Other),
        ] {
            assert_eq!(understand(text), expected, "{text}");
        }
    }
}
