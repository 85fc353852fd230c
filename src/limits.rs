//! Every capacity and every timeout of the service, in one place.

use std::time::Duration;

/// Connections that the catalog's pool may hold.
pub const CATALOG_CONNECTIONS: usize = 8;
/// How long a query waits for a free connection.
pub const CATALOG_CONNECTION_WAIT: Duration = Duration::from_secs(2);
/// How long the catalog's answer may take; longer than [`SQLITE_BUSY_WAIT`].
pub const CATALOG_ANSWER_WAIT: Duration = Duration::from_secs(6);
/// How long one statement may take in PostgreSQL before the server itself ends it.
pub const DATABASE_STATEMENT_WAIT: Duration = Duration::from_secs(5);
/// How long applying migrations to PostgreSQL may take, waiting for another replica's included.
pub const MIGRATION_WAIT: Duration = Duration::from_secs(60);
/// After how much silence a connection to PostgreSQL is probed.
pub const DATABASE_KEEPALIVE: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process's write.
pub const SQLITE_BUSY_WAIT: Duration = Duration::from_secs(5);
/// How often we look where SQLite itself does not wait.
pub const SQLITE_BUSY_POLL: Duration = Duration::from_millis(10);

/// How long an answer about readiness stands.
pub const READINESS_AGE: Duration = Duration::from_secs(1);
/// How far this machine's clock may be behind the last change before the log tells of it, in seconds.
pub const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// How long a command waits for another process that is changing the registry.
pub const WRITE_LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often it looks.
pub const WRITE_LOCK_POLL: Duration = Duration::from_millis(20);

/// Requests that may be with one actor at a time; one more is answered `OVERLOADED`.
pub const ACTOR_CAPACITY: usize = 1024;
/// Load checks that may wait or run; one more is answered `OVERLOADED`.
pub const VALIDATOR_CAPACITY: usize = 32;
/// How long an actor may take to answer, unless its message says otherwise.
pub const ACTOR_TIMEOUT: Duration = Duration::from_secs(10);
/// How long hashing a file anew or checking that it loads may take.
pub const LONG_WORK_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How often the supervisor looks for dead actors; each is replaced within a second.
pub const SUPERVISOR_ROUND: Duration = Duration::from_millis(100);
/// An actor that dies this often within [`RESTART_WINDOW`] ends the process.
pub const MAX_RESTARTS: usize = 10;
/// See [`MAX_RESTARTS`].
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// How long a service may go between its look-outs for a change that was committed by a process which died
/// before it wrote the manifest.
pub const JANITOR_TIDY_ROUND: Duration = Duration::from_secs(5);
/// How long the janitor looks for a moment at which nobody changes anything.
pub const JANITOR_LOCK_WAIT: Duration = Duration::from_secs(2);
/// How long between two re-hashes of everything.
pub const JANITOR_REHASH_ROUND: Duration = Duration::from_secs(6 * 60 * 60);

/// A sidecar changed less than this long before it was read is hashed again at the next read: the file
/// system's clock may not be fine enough to show a second change.
pub const SIDECAR_SETTLED: Duration = Duration::from_secs(2);
/// Sidecars and artifacts remembered as verified.
pub const VERIFIED_FILES: usize = 100_000;

/// Buffer of file copies, hashes and artifact downloads, in bytes.
pub const FILE_BUFFER: usize = 256 * 1024;

/// Longest request line, in bytes: RFC 9112 section 3 asks for 8000 at least, and no query here needs more.
pub const REQUEST_LINE: usize = 8 * 1024;
/// Largest head of a request, in bytes. Twice [`TOKEN_BYTES`], so that a token is refused for what it is.
pub const REQUEST_HEAD: usize = 32 * 1024;
/// How long a client may take to send its request's head, from its connection or from the head's first byte.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request body, in bytes. No route takes one; this much is read and ignored, since some clients send
/// `{}` with every POST.
pub const REQUEST_BODY: usize = 64 * 1024;
/// How long a client may take to send a body that is ignored.
pub const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// What a connection reads ahead of the request that is being answered, in bytes; the client's next ones wait in
/// its own buffers.
pub const READ_AHEAD: usize = 2 * REQUEST_HEAD;
/// How long a client may take nothing of an answer that is ready for it. Above what a paused virtual machine
/// needs to come back.
pub const ANSWER_STALL: Duration = Duration::from_secs(30);
/// How much of an answer is handed to its connection at a time, in bytes, and how much of it the connection holds for
/// a client that takes nothing. The rest stays where it is: for the API's own page and document, that is once.
pub const ANSWER_PIECE: usize = 16 * 1024;
/// How long a connection that is being closed still takes what the client sends, so that the client sees the
/// answer and not a reset.
pub const LINGER: Duration = Duration::from_secs(1);
/// Connections of one worker (there is one a core); more wait to be accepted. Each holds some 20 kB.
pub const CONNECTIONS_PER_WORKER: usize = 4096;
/// Connections that wait to be accepted; the kernel lets the clients of others try again after a second, and may allow
/// fewer (`net.core.somaxconn`, 4096).
pub const CONNECTIONS_WAITING: i32 = 1024;
/// Open files that connections leave for everything else, artifacts and the catalog first; where the system allows
/// few, fewer connections are taken.
pub const FILES_BESIDES_CONNECTIONS: usize = 512;
/// Connections that each worker takes, however few open files the system allows.
pub const LEAST_CONNECTIONS_PER_WORKER: usize = 16;
/// Requests in progress at a time; a further one waits for its turn. Below [`ACTOR_CAPACITY`], so that the actors can
/// accept what they send.
pub const REQUESTS_IN_FLIGHT: usize = 512;
/// Authorised requests that use the registry at a time; a further one waits for its turn. It has done nothing yet that
/// would have to be done again. Eight for each connection of the catalog, so that a query never waits for one as long as
/// [`CATALOG_CONNECTION_WAIT`].
pub const REGISTRY_REQUESTS: usize = 8 * CATALOG_CONNECTIONS;
/// Artifacts that are sent at a time; a further one waits for its turn. They are counted apart, since they last: slow
/// downloads must not keep out clients that ask what is in production.
pub const DOWNLOADS_IN_FLIGHT: usize = 128;
/// How long a request waits for its turn before it is answered `OVERLOADED`. There may be more connections than requests
/// in progress, each with a request: most wait for milliseconds, and are not sent away.
pub const TURN_WAIT: Duration = Duration::from_secs(5);
/// Longer than a gateway's own, so that it is the gateway that closes an idle connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Most versions in one page of a list that asks for a limit.
pub const MAX_PAGE: u32 = 10_000;
/// How long the server lets requests in flight finish when it is told to stop.
pub const SHUTDOWN_SECONDS: u64 = 30;
/// How long before that a request which is still without an answer is refused one, so that it hears so.
pub const LAST_ANSWERS_SECONDS: u64 = 2;
/// How long connections that the kernel has made already may take to be accepted, before the socket is closed.
pub const LAST_CONNECTIONS_WAIT: Duration = Duration::from_millis(200);
/// How long a client may take for its TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether the files of certificates changed.
pub const TLS_ROUND: Duration = Duration::from_secs(2);
/// After how many seconds a refused client may try again.
pub const RETRY_AFTER_SECONDS: u32 = 1;
/// How long `health` waits for the service.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// How often it is looked whether the token files changed.
pub const TOKEN_FILES_ROUND: Duration = Duration::from_secs(1);
/// Tokens that are refused only after another look at the token files, at a time; more are refused without.
pub const TOKENS_LOOKED_FOR_IN_FILES: usize = 16;

/// Largest access token that is looked at, in bytes.
pub const TOKEN_BYTES: usize = 16 * 1024;
/// Verified access tokens that are remembered.
pub const REMEMBERED_TOKENS: usize = 10_000;
/// Tokens with an unknown key that may wait for the identity provider at a time. Well below
/// [`ACTOR_CAPACITY`], so that they never keep a token out whose key is known.
pub const TOKENS_WAITING_FOR_KEYS: usize = 256;
/// How long such a token waits.
pub const KEYS_WAIT: Duration = Duration::from_secs(3);
/// How long passes between two requests to the identity provider that tokens with an unknown key cause.
pub const KEYS_DEMAND_PAUSE: Duration = Duration::from_secs(10);
/// At what age the identity provider's key set is fetched anew.
pub const KEYS_REFRESH_AGE: Duration = Duration::from_secs(5 * 60);
/// How long after a failure it is tried again, while there is no key set that serves.
pub const KEYS_FIRST_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long after a failure it is tried again, while the last good set serves.
pub const KEYS_RETRY_PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether a refresh is due, or a key file changed.
pub const KEYS_ROUND: Duration = Duration::from_secs(1);
/// How long one request to the identity provider may take, body included. Two of them are shorter than
/// [`ACTOR_TIMEOUT`].
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(4);
/// Largest answer of the identity provider, and largest key file, in bytes.
pub const PROVIDER_BODY: u64 = 1 << 20;

/// How often the log tells that a long validation goes on.
pub const VALIDATION_LOG_ROUND: Duration = Duration::from_secs(5);
