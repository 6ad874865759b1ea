//! Questions to a person, on standard error. The answers come from the terminal or, line by line, from standard input, so that
//! a program can answer as well.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use secrecy::SecretString;

/// A question for a text. `flag` is what to give on the command line instead, for a program that gives no answer. An empty
/// answer is the default, or, without one, an empty text.
pub fn text(question: &str, default: Option<&str>, flag: &str) -> Result<String> {
    let shown = default.filter(|text| !text.is_empty()).map(|text| format!(" [{text}]")).unwrap_or_default();
    write(&format!("{question}{shown}: "))?;
    let answer = line(question, flag)?.trim().to_owned();
    Ok(if answer.is_empty() { default.unwrap_or_default().to_owned() } else { answer })
}

/// A question whose answer is not echoed. `kept` says that an empty answer keeps what is there.
pub fn secret(question: &str, kept: bool, flag: &str) -> Result<SecretString> {
    let question = if kept { format!("{question} [keep]") } else { question.to_owned() };
    if std::io::stdin().is_terminal() {
        let answer = rpassword::prompt_password(format!("{question}: "))
            .with_context(|| format!("no answer to \"{question}\" could be read; give {flag}"))?;
        return Ok(SecretString::from(answer));
    }
    write(&format!("{question}: "))?;
    line(&question, flag).map(SecretString::from)
}

/// One of several values, by its number or by itself.
pub fn choose(
    question: &str,
    options: &[(String, String)],
    default: Option<&str>,
    flag: &str,
) -> Result<String> {
    for (n, (value, label)) in options.iter().enumerate() {
        write(&format!("  {}. {label} ({value})\n", n + 1))?;
    }
    loop {
        let answer = text(question, default, flag)?;
        let by_number = answer.parse::<usize>().ok().and_then(|n| options.get(n.checked_sub(1)?));
        let chosen = options.iter().find(|(value, _)| *value == answer).or(by_number);
        match chosen {
            Some((value, _)) => return Ok(value.clone()),
            None => say(&format!("\"{answer}\" is none of these; answer with a number or a value"))?,
        }
    }
}

/// Goes on only after a yes. `yes` is the flag that answers beforehand.
pub fn confirm(question: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    write(&format!("{question} [y/N]: "))?;
    match line(question, "--yes")?.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("not confirmed: nothing was changed"),
    }
}

/// A line for the person who is asked.
pub fn say(line: &str) -> Result<()> {
    write(&format!("{line}\n"))
}

fn write(text: &str) -> Result<()> {
    let mut err = std::io::stderr().lock();
    err.write_all(text.as_bytes())?;
    Ok(err.flush()?)
}

fn line(question: &str, flag: &str) -> Result<String> {
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer).context("standard input cannot be read")?;
    if read == 0 {
        bail!("standard input ended before \"{question}\" was answered; give {flag}");
    }
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}
