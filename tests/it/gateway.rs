//! A gateway in front of the S3 server of the tests, which can be told to fail in one way for a while.

use std::io::{BufRead, BufReader, Read as _, Result, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::s3;

/// The longest piece of an answer that is passed on at once.
const PIECE: usize = 64 << 10;
const REFUSAL: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ServiceUnavailable</Code>\
    <Message>Please try again later.</Message></Error>";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Whatever would change an object is answered with 503.
    RefusesWrites,
    /// Connections are closed instead of being answered.
    HangsUp,
    /// Requests are taken and never answered.
    SaysNothing,
    /// Commits are made, but the connection is closed instead of telling so.
    LosesAnswers,
}

/// The gateway; it goes when this is dropped.
pub struct Gateway {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    fault: Mutex<Option<Fault>>,
    changed: Condvar,
    faults: AtomicUsize,
    ended: AtomicBool,
}

impl Gateway {
    pub fn new() -> Gateway {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        let ours = shared.clone();
        std::thread::spawn(move || listen(&listener, &ours));
        Gateway { address, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What goes wrong from now on, if anything.
    pub fn set(&self, fault: Option<Fault>) {
        *self.shared.fault() = fault;
        self.shared.changed.notify_all();
    }

    /// How many requests were not answered as they should have been.
    pub fn faults(&self) -> usize {
        self.shared.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.set(None);
        // The listener looks up from waiting.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn fault(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap()
    }

    /// Whether a request with this head is to fail, which is counted.
    fn strikes(&self, head: &Head) -> Option<Fault> {
        let fault = *self.fault();
        let fault = fault.filter(|fault| match fault {
            Fault::RefusesWrites => head.is_write(),
            Fault::HangsUp | Fault::SaysNothing => true,
            Fault::LosesAnswers => head.is_commit(),
        });
        self.faults.fetch_add(usize::from(fault.is_some()), Ordering::Relaxed);
        fault
    }

    fn wait_until_it_speaks(&self) {
        let said_nothing = |fault: &mut Option<Fault>| *fault == Some(Fault::SaysNothing);
        drop(self.changed.wait_while(self.fault(), said_nothing).unwrap());
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        let shared = shared.clone();
        // A client that hangs up is its own business.
        std::thread::spawn(move || pass(client, &shared).ok());
    }
}

/// Passes requests of a client on, one after the other, and answers back as they come.
fn pass(client: TcpStream, shared: &Shared) -> Result<()> {
    let mut server = TcpStream::connect(s3::server().address())?;
    let is_muted = Arc::new(AtomicBool::new(false));
    let (answers, answered, muted) = (server.try_clone()?, client.try_clone()?, is_muted.clone());
    std::thread::spawn(move || answer(answers, answered, &muted).ok());
    let mut requests = BufReader::new(client);
    while let Some(head) = Head::read(&mut requests)? {
        let mut body = (&mut requests).take(head.body_length());
        match shared.strikes(&head) {
            Some(Fault::HangsUp) => break,
            Some(Fault::SaysNothing) => {
                shared.wait_until_it_speaks();
                break;
            }
            Some(Fault::RefusesWrites) => {
                std::io::copy(&mut body, &mut std::io::sink())?;
                let length = REFUSAL.len();
                let head = format!(
                    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n"
                );
                requests.get_mut().write_all(format!("{head}{REFUSAL}").as_bytes())?;
                continue;
            }
            Some(Fault::LosesAnswers) => is_muted.store(true, Ordering::SeqCst),
            None => {}
        }
        server.write_all(head.text.as_bytes())?;
        std::io::copy(&mut body, &mut server)?;
    }
    // The other side may have gone first.
    let _ = (server.shutdown(Shutdown::Both), requests.get_ref().shutdown(Shutdown::Both));
    Ok(())
}

/// Passes answers back until one must not arrive.
fn answer(mut server: TcpStream, mut client: TcpStream, is_muted: &AtomicBool) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = server.read(&mut piece)?;
        if length == 0 || is_muted.load(Ordering::SeqCst) {
            server.shutdown(Shutdown::Both)?;
            return client.shutdown(Shutdown::Both);
        }
        client.write_all(&piece[..length])?;
    }
}

/// The first lines of a request.
struct Head {
    text: String,
}

impl Head {
    /// The next one of a connection, if there is one.
    fn read(requests: &mut impl BufRead) -> Result<Option<Head>> {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            if requests.read_line(&mut text)? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Head { text }))
    }

    fn is_write(&self) -> bool {
        ["PUT ", "POST ", "DELETE "].iter().any(|method| self.text.starts_with(method))
    }

    fn is_commit(&self) -> bool {
        let path = self.text.split(' ').nth(1).unwrap();
        self.is_write() && path.contains("/_delta_log/") && path.ends_with(".json")
    }

    fn body_length(&self) -> u64 {
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        };
        self.text.lines().find_map(field).unwrap_or(0)
    }
}
