//! Handing a mail to a server, step by step, so that an error says which step failed and a refused address does not keep
//! the mail from the others (RFC 5321).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use stage::{Error, Result, Secret};
use tokio::time::timeout;

use crate::body::{Stamp, mail};
use crate::fault::{cause, is_tls, told};
use crate::notice::Notice;
use crate::retry::{Failure, Retries, Tries};
use crate::spec::{MailSpec, TlsMode};
use crate::template::Expose;

const CHECK: &str = "check [notifications.mail]";

/// A mail server, ready to be spoken to.
pub(crate) struct Smtp {
    host: String,
    port: u16,
    mode: TlsMode,
    tls: Option<TlsParameters>,
    from: Mailbox,
    login: Option<(String, Secret)>,
    /// What no message may hold.
    hidden: Vec<Secret>,
}

/// Who has yet to get a mail, and who will not.
struct Recipients {
    waiting: Vec<Address>,
    refused: Vec<String>,
}

impl Smtp {
    /// Reads the password and certificates; it may block. Nothing is sent.
    ///
    /// # Errors
    /// [`stage::Kind::Config`] when they cannot be had or used, or as `expose` has it.
    pub(crate) fn new(spec: &MailSpec, expose: &Expose) -> Result<Smtp> {
        let doing = || format!("could not send mail through {}", spec.host);
        let from = spec.from.parse().map_err(|_| Error::config(format!("{}: `from` is no mail address", doing())))?;
        let mut hidden = Vec::new();
        let mut login = None;
        if let (Some(user), Some(password)) = (&spec.username, &spec.password) {
            let password = password.exposed(expose).map_err(|error| error.context(doing()))?;
            // As the password goes over the wire, which a confused server may repeat.
            hidden.push(Secret::new(STANDARD.encode(password.expose())));
            hidden.push(Secret::new(STANDARD.encode(format!("\0{user}\0{}", password.expose()))));
            hidden.push(password.clone());
            login = Some((user.clone(), password));
        }
        let tls = match spec.tls {
            TlsMode::None => None,
            TlsMode::Starttls | TlsMode::Implicit => Some(tls(spec).map_err(|error| error.context(doing()))?),
        };
        Ok(Smtp { host: spec.host.clone(), port: spec.port(), mode: spec.tls, tls, from, login, hidden })
    }

    /// Sends one mail to all addresses, and tries again with those that do not have it while that may help.
    ///
    /// # Errors
    /// As [`crate::Notifier::send`]; also when some addresses were refused and the others have the mail.
    pub(crate) async fn deliver<'a>(
        &self,
        notice: &Notice,
        addresses: impl Iterator<Item = &'a str>,
        retries: Retries,
    ) -> Result<()> {
        let to: Vec<Mailbox> = addresses.map(|address| self.mailbox(address)).collect::<Result<_>>()?;
        // One mail for all tries: when an answer was lost, its id tells the server that it has the mail already.
        let mail = mail(notice, &self.from, &to, &Stamp::now())?;
        let waiting = to.into_iter().map(|mailbox| mailbox.email).collect();
        let mut recipients = Recipients { waiting, refused: Vec::new() };
        let mut tries = Tries::new(retries);
        while !recipients.waiting.is_empty() {
            let limit = retries.time_limit;
            let tried = timeout(limit, self.deliver_once(&mail, &mut recipients, limit)).await;
            let late = || Failure::Passing(self.absent(&format!("no answer within {limit:?}")), None);
            if let Err(failure) = tried.unwrap_or_else(|_| Err(late())) {
                // Taking leave is part of a try, and may fail when all have the mail.
                if !recipients.waiting.is_empty() {
                    tries.wait_after(failure).await.map_err(|error| recipients.add_refused(error))?;
                }
            }
        }
        match recipients.refused.is_empty() {
            true => Ok(()),
            false => Err(Error::config(format!("{}: {}", self.doing(), recipients.refused.join("; ")))),
        }
    }

    fn mailbox(&self, address: &str) -> Result<Mailbox> {
        match mail_address(address) {
            Some(address) => Ok(Mailbox::new(None, address)),
            None => Err(Error::config(format!("{}: `{address}` is no mail address", self.doing()))),
        }
    }

    async fn deliver_once(&self, mail: &Message, recipients: &mut Recipients, limit: Duration) -> Result<(), Failure> {
        let mut connection = self.connect(limit).await?;
        self.log_in(&mut connection).await?;
        self.hand_over(&mut connection, mail, recipients).await?;
        connection.quit().await.map_err(|error| self.failure("", &error))?;
        Ok(())
    }

    /// A connection, encrypted if it is to be.
    async fn connect(&self, limit: Duration) -> Result<AsyncSmtpConnection, Failure> {
        let failed = |error: SmtpError| match is_tls(&error) {
            true => {
                self.refusal(&format!("{}; check host, port, tls and ca_file in [notifications.mail]", cause(&error)))
            }
            false => self.failure("", &error),
        };
        let hello = ClientId::default();
        let at_once = self.tls.clone().filter(|_| self.mode == TlsMode::Implicit);
        // A name may have several addresses, the first of which is dead.
        let patience = Some(limit / 2);
        let place = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(place, patience, &hello, at_once, None).await.map_err(failed)?;
        if let (TlsMode::Starttls, Some(tls)) = (self.mode, &self.tls) {
            if !connection.can_starttls() {
                return Err(self.refusal("it offers no STARTTLS; check host, port and tls in [notifications.mail]"));
            }
            connection.starttls(tls.clone(), &hello).await.map_err(failed)?;
        }
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection) -> Result<(), Failure> {
        let Some((user, password)) = &self.login else { return Ok(()) };
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        let done = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
        done.map(drop).map_err(|error| self.failure(&format!("the login as `{user}` was refused: "), &error))
    }

    /// Gives the server the mail for all who wait for it.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        mail: &Message,
        recipients: &mut Recipients,
    ) -> Result<(), Failure> {
        let from = &self.from.email;
        let sender = connection.command(Mail::new(Some(from.clone()), Vec::new())).await;
        sender.map_err(|error| self.failure(&format!("the sender {from} was refused: "), &error))?;
        let mut put_off = None;
        let mut accepted = Vec::new();
        for address in recipients.waiting.clone() {
            match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => accepted.push(address),
                Err(error) if error.is_permanent() => {
                    recipients.waiting.retain(|other| *other != address);
                    recipients.refused.push(format!("{address} was refused: {}", self.said(&error)));
                }
                Err(error) if error.is_transient() => {
                    put_off = Some(self.failure(&format!("{address} was put off: "), &error));
                }
                Err(error) => return Err(self.failure("", &error)),
            }
        }
        if !accepted.is_empty() {
            let refused = |error: SmtpError| self.failure("the mail was refused: ", &error);
            connection.command(Data).await.map_err(refused)?;
            connection.message(&mail.formatted()).await.map_err(refused)?;
            recipients.waiting.retain(|address| !accepted.contains(address));
        }
        put_off.map_or(Ok(()), Err)
    }

    /// What a failed step means.
    fn failure(&self, step: &str, error: &SmtpError) -> Failure {
        let said = self.said(error);
        match error.is_permanent() || error.is_client() {
            true => self.refusal(&format!("{step}{said}; {CHECK}")),
            // What was refused was refused by an answer; without one, the step does not matter.
            false if error.is_transient() => Failure::Passing(self.absent(&format!("{step}{said}")), None),
            false => Failure::Passing(self.absent(&said), None),
        }
    }

    fn refusal(&self, why: &str) -> Failure {
        Failure::Final(Error::config(format!("{}: {why}", self.doing())))
    }

    fn absent(&self, why: &str) -> Error {
        Error::unavailable(format!("{}: {why}", self.doing()))
    }

    /// What the server said, with its code.
    fn said(&self, error: &SmtpError) -> String {
        let said = told(&cause(error), &self.hidden);
        error.status().map_or_else(|| said.clone(), |code| format!("{code} {said}"))
    }

    fn doing(&self) -> String {
        format!("could not send mail through {}:{}", self.host, self.port)
    }
}

impl Recipients {
    /// An error of the others, with those that were refused.
    fn add_refused(&self, error: Error) -> Error {
        if self.refused.is_empty() { error } else { error.context(self.refused.join("; ")) }
    }
}

/// A mail address as servers without extensions take it: in ASCII, without a name.
pub(crate) fn mail_address(text: &str) -> Option<Address> {
    text.parse().ok().filter(|_| text.is_ascii())
}

fn tls(spec: &MailSpec) -> Result<TlsParameters> {
    let mut builder = TlsParameters::builder(spec.host.clone());
    if let Some(path) = &spec.ca_file {
        let failed = || format!("could not use `{path}`, its ca_file");
        let pem = std::fs::read(path).map_err(|error| Error::config(failed()).with_source(error))?;
        let missing = || Error::config(format!("{}: there is no certificate in PEM in it", failed()));
        let has_any = pem.windows(BEGIN.len()).any(|part| part == BEGIN);
        let certificates = Certificate::from_pem(&pem).ok().filter(|_| has_any).ok_or_else(missing)?;
        builder = builder.add_root_certificate(certificates);
    }
    builder.build().map_err(|error| Error::config("could not prepare TLS").with_source(cause(&error)))
}

/// What a certificate in PEM begins with.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
