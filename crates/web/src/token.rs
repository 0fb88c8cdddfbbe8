//! The word that whoever changes something has to know.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use stage::{Error, Result};

/// Fewer characters could be guessed.
const SHORTEST: usize = 16;

/// The token. It is never printed.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token that somebody chose.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when it is shorter than 16 characters, or cannot stand in a field of HTTP.
    pub fn new(text: &str) -> Result<Token> {
        let text = text.trim();
        if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::config(format!(
                "the token has to be {SHORTEST} or more visible ASCII characters without spaces"
            )));
        }
        Ok(Token(text.to_owned()))
    }

    /// The token in a file, which is made with a new one, for its owner's eyes only, when it is missing.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when the file cannot be read or made, others may read it, or it holds no token.
    pub fn in_file(path: &Path) -> Result<Token> {
        let place = path.display();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                only_for_owner(path)?;
                Token::new(&text)
                    .map_err(|error| error.context(format!("{place} holds no token; delete it for a new one")))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
                write(path, &token).map_err(|error| {
                    Error::config(format!("could not write the token to {place}")).with_source(error)
                })?;
                Ok(Token(token))
            }
            Err(error) => Err(Error::config(format!("could not read the token in {place}")).with_source(error)),
        }
    }

    /// Whether it is that one. It takes as long for one that is nearly right as for one that is not at all.
    pub(crate) fn is(&self, other: &str) -> bool {
        let (own, other) = (self.0.as_bytes(), other.as_bytes());
        let differences = own.iter().enumerate().fold(0, |differences, (index, byte)| {
            std::hint::black_box(differences | (byte ^ other.get(index).copied().unwrap_or_default()))
        });
        own.len() == other.len() && differences == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

fn write(path: &Path, token: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    writeln!(options.open(path)?, "{token}")
}

#[cfg(unix)]
fn only_for_owner(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let place = path.display();
    let metadata = std::fs::metadata(path)
        .map_err(|error| Error::config(format!("could not look at the token in {place}")).with_source(error))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(Error::config(format!(
            "others may read the token in {place}; chmod 600 it, or delete it for a new one"
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn only_for_owner(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".medallion/token");
        let token = Token::in_file(&path).unwrap();
        assert!(Token::in_file(&path).unwrap().is(&token.0));
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim().len(), 64);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(Token::in_file(&path).unwrap_err().message().contains("chmod 600"));
        }
    }

    #[test]
    fn only_the_same_token_is_it_and_none_is_shown() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is("0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(other), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
        for wrong in ["short", "with spaces in between it", "mit Umlauten äöüäöüäöü"] {
            assert!(Token::new(wrong).is_err(), "{wrong}");
        }
    }
}
