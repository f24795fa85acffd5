//! A key in a token, as something that signs. Every call to a module is made on threads that belong to the key, each
//! with a session of its own: callers wait no longer than a limit, and a token that hangs holds only those threads.
//!
//! A token that was taken away is looked for again with the next signature, and logged in to again with the same PIN.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use pki::key::{PublicKey, SignError, SignatureAlgorithm, SigningKey};

use super::error::{TokenError, is_away, is_lost};
use super::module::{self, described};
use super::object;
use super::sign::sign;
use super::uri::Uri;
use crate::Passphrase;

/// Sessions at most, and threads. Modules in the process (SoftHSM) gain nothing beyond the processors; devices behind a
/// network answer several at once.
const SESSIONS: usize = 8;
/// How long finding and logging in may take: slow cards take two seconds.
const OPENING: Duration = Duration::from_secs(20);
/// How long a signature may take: RSA of 4096 bits takes a card three seconds, and callers may queue.
const SIGNING: Duration = Duration::from_secs(20);

/// How long the end of a session may take; a token that hangs is left alone then.
const ENDING: Duration = Duration::from_secs(2);

/// A private key in a token. Cloning it is cheap.
#[derive(Clone)]
pub struct TokenKey(Arc<Shared>);

struct Shared {
    pool: Pool,
    public: PublicKey,
    algorithms: Vec<SignatureAlgorithm>,
}

/// What the threads know; they end when the key is gone, since nobody can send them a job then.
struct Source {
    uri: Uri,
    pin: Option<Passphrase>,
    queue: Mutex<Receiver<Job>>,
    threads: Mutex<usize>,
    ended: Condvar,
    handles: Mutex<Vec<JoinHandle<()>>>,
    /// Signatures that were asked for and are not made yet.
    pending: AtomicUsize,
}

/// The threads and the way to them. Dropping it ends them, and waits for that: a thread that is inside of a module, or in
/// what the module does at the end of a thread, while the process ends, crashes it.
struct Pool {
    /// `None` only while it is dropped.
    jobs: Mutex<Option<Sender<Job>>>,
    source: Arc<Source>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = self.source.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.source.ended.wait_timeout_while(threads, ENDING, |threads| *threads > 0);
        if waited.is_ok_and(|(_, limit)| !limit.timed_out()) {
            let handles =
                std::mem::take(&mut *self.source.handles.lock().unwrap_or_else(PoisonError::into_inner));
            for handle in handles {
                // Its panic was printed when it happened.
                let _ = handle.join();
            }
        }
    }
}

struct Job {
    algorithm: SignatureAlgorithm,
    message: Vec<u8>,
    answer: SyncSender<Result<Vec<u8>, TokenError>>,
}

/// A session with the key's handle in it.
struct Open {
    session: Session,
    key: ObjectHandle,
    mechanisms: Vec<MechanismType>,
    token: String,
}

/// What is known of a key once it was found.
type Introduction = Result<(PublicKey, Vec<SignatureAlgorithm>), TokenError>;

impl TokenKey {
    /// Finds the key that a URI names, logging in with one try.
    ///
    /// # Errors
    /// [`TokenError`], naming what was wanted and what is there.
    pub fn open(uri: &Uri, pin: Option<Passphrase>) -> Result<Self, TokenError> {
        let (jobs, queue) = channel();
        let source = Arc::new(Source {
            uri: uri.clone(),
            pin,
            queue: Mutex::new(queue),
            threads: Mutex::new(0),
            ended: Condvar::new(),
            handles: Mutex::default(),
            pending: AtomicUsize::new(0),
        });
        let pool = Pool { jobs: Mutex::new(Some(jobs)), source: Arc::clone(&source) };
        let (introduce, introduction) = sync_channel::<Introduction>(1);
        start(&source, Some(introduce))?;
        let (public, algorithms) = introduction.recv_timeout(OPENING).map_err(|error| match error {
            RecvTimeoutError::Timeout => TokenError::Slow(OPENING.as_secs()),
            RecvTimeoutError::Disconnected => TokenError::NoThread,
        })??;
        Ok(TokenKey(Arc::new(Shared { pool, public, algorithms })))
    }

    /// The URI that it was found by; it never holds a PIN.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0.pool.source.uri
    }

    fn ask(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let shared = &*self.0;
        if !shared.algorithms.contains(&algorithm) {
            return Err(TokenError::Algorithm { key: shared.public.algorithm(), algorithm });
        }
        let source = &shared.pool.source;
        // As many threads as signatures: whether one waits for a job says nothing, since a job may be on its way to it.
        let pending = source.pending.fetch_add(1, Ordering::SeqCst) + 1;
        if pending > source.running()
            && source.running() < SESSIONS
            && let Err(error) = start(source, None)
            && source.running() == 0
        {
            // Nobody is there who could take the job.
            source.pending.fetch_sub(1, Ordering::SeqCst);
            return Err(error);
        }
        let (answer, answered) = sync_channel(1);
        let job = Job { algorithm, message: message.to_vec(), answer };
        let jobs = shared.pool.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = jobs.as_ref().and_then(|jobs| jobs.send(job).ok());
        drop(jobs);
        if sent.is_none() {
            source.pending.fetch_sub(1, Ordering::SeqCst);
            return Err(TokenError::NoThread);
        }
        let signature = answered.recv_timeout(SIGNING).map_err(|error| match error {
            RecvTimeoutError::Timeout => TokenError::Slow(SIGNING.as_secs()),
            RecvTimeoutError::Disconnected => TokenError::NoThread,
        })??;
        // A fault in a device can make a signature that gives the key away (RSA with CRT); none is let out unseen.
        shared
            .public
            .verify(algorithm, message, &signature)
            .map_err(|_| TokenError::WrongSignature)
            .map(|()| signature)
    }
}

impl SigningKey for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.0.public
    }

    fn signature_algorithm(&self) -> SignatureAlgorithm {
        // Never empty: a key without a mechanism is not opened.
        self.0.algorithms[0]
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign_with(self.signature_algorithm(), message)
    }

    fn signature_algorithms(&self) -> Vec<SignatureAlgorithm> {
        self.0.algorithms.clone()
    }

    fn sign_with(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.ask(algorithm, message).map_err(|error| SignError::Refused(error.to_string()))
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({}, {:?})", described(&self.0.pool.source.uri), self.0.public)
    }
}

/// Starts a thread. The first one introduces the key; those after it take jobs at once.
fn start(source: &Arc<Source>, introduce: Option<SyncSender<Introduction>>) -> Result<(), TokenError> {
    source.count(1);
    let of_thread = Arc::clone(source);
    let run = move || {
        let opened = introduce.map(|introduce| match open(&of_thread) {
            Ok((open, public, algorithms)) => {
                let _ = introduce.send(Ok((public, algorithms)));
                Ok(open)
            }
            Err(error) => {
                let _ = introduce.send(Err(error));
                Err(())
            }
        });
        match opened {
            None => serve(&of_thread, None),
            Some(Ok(open)) => serve(&of_thread, Some(open)),
            Some(Err(())) => {}
        }
        of_thread.count(-1);
    };
    match thread::Builder::new().name("token".to_owned()).spawn(run) {
        Ok(handle) => {
            let mut handles = source.handles.lock().unwrap_or_else(PoisonError::into_inner);
            handles.retain(|handle| !handle.is_finished());
            handles.push(handle);
            Ok(())
        }
        Err(_) => {
            source.count(-1);
            Err(TokenError::NoThread)
        }
    }
}

impl Source {
    fn running(&self) -> usize {
        *self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: isize) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        *threads = threads.saturating_add_signed(change);
        drop(threads);
        self.ended.notify_all();
    }
}

fn open(source: &Source) -> Result<(Open, PublicKey, Vec<SignatureAlgorithm>), TokenError> {
    let module = module::of(&source.uri)?;
    let token = module.token(&source.uri)?;
    let session = module.session(&token, source.pin.as_ref(), false)?;
    let mechanisms = module.context.get_mechanism_list(token.slot).map_err(TokenError::of)?;
    let found = object::find(&session, &token, &source.uri)?;
    let algorithms = object::algorithms(&token, found.public.algorithm(), &mechanisms)?;
    let open = Open { session, key: found.private, mechanisms, token: token.label().to_owned() };
    Ok((open, found.public, algorithms))
}

/// Takes jobs until there is nobody left to send one.
fn serve(source: &Source, mut open: Option<Open>) {
    loop {
        let next = source.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        let result = one(source, &mut open, &job);
        source.pending.fetch_sub(1, Ordering::SeqCst);
        // Who asked may have stopped waiting.
        let _ = job.answer.send(result);
    }
}

/// One signature; a session that was lost is opened again once.
fn one(source: &Source, open_session: &mut Option<Open>, job: &Job) -> Result<Vec<u8>, TokenError> {
    let mut fresh = false;
    loop {
        let current = match open_session.take() {
            Some(current) => current,
            None => {
                fresh = true;
                open(source).map_err(|error| away(source, error))?.0
            }
        };
        let made = sign(&current.session, current.key, job.algorithm, &job.message, &current.mechanisms);
        match made {
            Ok(signature) => {
                *open_session = Some(current);
                return Ok(signature);
            }
            // The session goes with `current`.
            Err(error) if is_lost(&error) && !fresh => {}
            Err(error) if is_away(&error) => return Err(TokenError::Away(current.token)),
            Err(error) => return Err(TokenError::of(error)),
        }
    }
}

/// A token that was there once and is not found is away.
fn away(source: &Source, error: TokenError) -> TokenError {
    match error {
        TokenError::NoToken { .. } => {
            TokenError::Away(source.uri.token.clone().unwrap_or_else(|| described(&source.uri)))
        }
        other => other,
    }
}
