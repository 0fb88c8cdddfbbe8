//! A small mail server that keeps what it is given, and refuses what it is told to.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::acceptor;
use crate::TlsMode;

/// How a server behaves.
#[derive(Clone)]
pub(super) struct Manners {
    pub(super) tls: TlsMode,
    /// Whether STARTTLS is offered when it should be.
    pub(super) offers: bool,
    /// The user and the password it knows, if it wants a login.
    pub(super) login: Option<(&'static str, &'static str)>,
    /// What it says to mail for an address, the first so many times.
    pub(super) refused: Vec<(&'static str, &'static str, usize)>,
    /// What it says to the content of the first mails.
    pub(super) contents: Vec<&'static str>,
    /// Whether it never says a word.
    pub(super) is_silent: bool,
    /// Whether it ends a connection without a word when the other takes leave.
    pub(super) is_rude: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Manners {
            tls: TlsMode::None,
            offers: true,
            login: None,
            refused: Vec::new(),
            contents: Vec::new(),
            is_silent: false,
            is_rude: false,
        }
    }
}

/// A mail as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) content: String,
    pub(super) is_encrypted: bool,
    pub(super) is_logged_in: bool,
}

#[derive(Default)]
struct Kept {
    connections: usize,
    logins: usize,
    mails: Vec<Received>,
}

/// The server. It ends with the runtime of its test.
pub(super) struct MailServer {
    pub(super) port: u16,
    kept: Arc<Mutex<Kept>>,
}

impl MailServer {
    pub(super) async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let manners = Arc::new(Mutex::new(manners));
        let ours = kept.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                ours.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, manners.clone(), ours.clone()));
            }
        });
        MailServer { port, kept }
    }

    pub(super) fn connections(&self) -> usize {
        self.kept.lock().unwrap().connections
    }

    pub(super) fn logins(&self) -> usize {
        self.kept.lock().unwrap().logins
    }

    pub(super) fn mails(&self) -> Vec<Received> {
        self.kept.lock().unwrap().mails.clone()
    }
}

async fn serve(stream: TcpStream, manners: Arc<Mutex<Manners>>, kept: Arc<Mutex<Kept>>) {
    if manners.lock().unwrap().is_silent {
        return std::future::pending().await;
    }
    let mode = manners.lock().unwrap().tls;
    let mut talk = Talk { manners, kept, is_encrypted: mode == TlsMode::Implicit, is_logged_in: false };
    if mode == TlsMode::Implicit {
        let Ok(stream) = acceptor().accept(stream).await else { return };
        let _ = talk.converse(BufReader::new(stream), true).await;
        return;
    }
    let mut stream = BufReader::new(stream);
    if talk.converse(&mut stream, true).await.unwrap_or(false) {
        let Ok(stream) = acceptor().accept(stream.into_inner()).await else { return };
        talk.is_encrypted = true;
        let _ = talk.converse(BufReader::new(stream), false).await;
    }
}

struct Talk {
    manners: Arc<Mutex<Manners>>,
    kept: Arc<Mutex<Kept>>,
    is_encrypted: bool,
    is_logged_in: bool,
}

impl Talk {
    /// Talks until the end, or until the connection is to be encrypted.
    async fn converse<S>(&mut self, mut stream: S, greets: bool) -> std::io::Result<bool>
    where
        S: AsyncBufReadExt + AsyncRead + AsyncWrite + Unpin,
    {
        if greets {
            stream.write_all(b"220 test\r\n").await?;
        }
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            stream.flush().await?;
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(false);
            }
            let line = line.trim_end();
            let answer = match line.split_once([' ', ':']).map_or(line, |(verb, _)| verb) {
                "EHLO" => self.greeting(),
                "STARTTLS" => {
                    stream.write_all(b"220 go ahead\r\n").await?;
                    stream.flush().await?;
                    return Ok(true);
                }
                "AUTH" => self.log_in(line),
                "MAIL" if self.manners.lock().unwrap().login.is_some() && !self.is_logged_in => "530 log in".to_owned(),
                "MAIL" => {
                    from = address(line);
                    "250 ok".to_owned()
                }
                "RCPT" => self.recipient(address(line), &mut to),
                "DATA" => {
                    stream.write_all(b"354 go on\r\n").await?;
                    stream.flush().await?;
                    let mut content = String::new();
                    while !content.ends_with("\r\n.\r\n") {
                        stream.read_line(&mut content).await?;
                    }
                    self.take(std::mem::take(&mut from), std::mem::take(&mut to), content)
                }
                "QUIT" if self.manners.lock().unwrap().is_rude => return Ok(false),
                "QUIT" => "221 bye".to_owned(),
                _ => "500 what".to_owned(),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
    }

    fn greeting(&self) -> String {
        let manners = self.manners.lock().unwrap();
        let mut lines = vec!["test"];
        if manners.tls == TlsMode::Starttls && manners.offers && !self.is_encrypted {
            lines.push("STARTTLS");
        }
        if manners.login.is_some() {
            lines.push("AUTH PLAIN");
        }
        let last = lines.pop().unwrap();
        lines.iter().map(|line| format!("250-{line}\r\n")).collect::<String>() + "250 " + last
    }

    fn log_in(&mut self, line: &str) -> String {
        self.kept.lock().unwrap().logins += 1;
        let sent = line.rsplit(' ').next().unwrap();
        let (user, password) = self.manners.lock().unwrap().login.unwrap();
        self.is_logged_in = STANDARD.decode(sent).unwrap() == format!("\0{user}\0{password}").into_bytes();
        match self.is_logged_in {
            true => "235 welcome".to_owned(),
            // Servers like to repeat what they were sent.
            false => format!("535 5.7.8 bad credentials in {line}"),
        }
    }

    fn recipient(&self, address: String, to: &mut Vec<String>) -> String {
        let mut manners = self.manners.lock().unwrap();
        match manners.refused.iter_mut().find(|(refused, _, times)| *refused == address && *times > 0) {
            Some((_, answer, times)) => {
                *times -= 1;
                (*answer).to_owned()
            }
            None => {
                to.push(address);
                "250 ok".to_owned()
            }
        }
    }

    fn take(&self, from: String, to: Vec<String>, content: String) -> String {
        let mut manners = self.manners.lock().unwrap();
        if !manners.contents.is_empty() {
            return manners.contents.remove(0).to_owned();
        }
        let (is_encrypted, is_logged_in) = (self.is_encrypted, self.is_logged_in);
        self.kept.lock().unwrap().mails.push(Received { from, to, content, is_encrypted, is_logged_in });
        "250 taken".to_owned()
    }
}

/// What stands between `<` and `>`.
fn address(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}
