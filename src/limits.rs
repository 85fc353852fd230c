//! Every capacity and timeout of the service.

use std::time::Duration;

/// The most connections in the catalog's pool.
pub const CATALOG_CONNECTIONS: usize = 8;
/// How long a query waits for a free connection.
pub const CATALOG_CONNECTION_WAIT: Duration = Duration::from_secs(2);
/// How often a query that waits looks for a free connection, where the server has none left.
pub const CATALOG_CONNECTION_POLL: Duration = Duration::from_millis(10);
/// How long the server is not asked again for a connection after it had none left.
pub const CATALOG_CONNECTION_PAUSE: Duration = Duration::from_millis(200);
/// How long the catalog may take to answer; longer than [`SQLITE_BUSY_WAIT`].
pub const CATALOG_ANSWER_WAIT: Duration = Duration::from_secs(6);
/// How long one statement may take before PostgreSQL ends it.
pub const DATABASE_STATEMENT_WAIT: Duration = Duration::from_secs(5);
/// How long migrations of PostgreSQL may take, including the wait for another replica's migrations.
pub const MIGRATION_WAIT: Duration = Duration::from_secs(60);
/// How long a connection to PostgreSQL may be silent before it is probed.
pub const DATABASE_KEEPALIVE: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process's write.
pub const SQLITE_BUSY_WAIT: Duration = Duration::from_secs(5);
/// The interval between attempts where SQLite itself does not wait.
pub const SQLITE_BUSY_POLL: Duration = Duration::from_millis(10);

/// The interval between checks whether the catalog changed or was replaced, where nothing tells of it.
pub const COMMITS_ROUND: Duration = Duration::from_millis(100);
/// The interval between them where the database tells of each change.
pub const COMMITS_ROUND_WHILE_HEARING: Duration = Duration::from_millis(250);
/// The interval between checks whether another directory is in the place of the registry's.
pub const DIRECTORY_ROUND: Duration = Duration::from_millis(200);
/// How long after the begin of such a check no change can have gone unnoticed for a read. Below a second, so that no
/// read is older than that.
pub const COMMITS_TRUSTED: Duration = Duration::from_millis(750);
/// The pause before the next attempt where the database does not answer.
pub const COMMITS_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How long an answer about readiness is reused.
pub const READINESS_AGE: Duration = Duration::from_secs(1);
/// How many seconds this machine's clock may be behind the last change before the log warns of it.
pub const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// How many seconds this machine's clock may be ahead of the database server's before a change is refused.
pub const CLOCK_AHEAD_SECONDS: i64 = 24 * 60 * 60;
/// The pause between two changes, in seconds, after which the log warns that the clock may be wrong.
pub const CLOCK_LEAP_SECONDS: i64 = 365 * 24 * 60 * 60;

/// How long a command waits for another process that is changing the registry.
pub const WRITE_LOCK_WAIT: Duration = Duration::from_secs(10);
/// The interval between its attempts.
pub const WRITE_LOCK_POLL: Duration = Duration::from_millis(20);

/// The most requests at one actor; further ones are answered `OVERLOADED`.
pub const ACTOR_CAPACITY: usize = 1024;
/// The most load checks that wait or run; further ones are answered `OVERLOADED`.
pub const VALIDATOR_CAPACITY: usize = 32;
/// How long an actor may take to answer, unless its message has its own timeout.
pub const ACTOR_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to hash a file or to check that it loads.
pub const LONG_WORK_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// The interval between the supervisor's checks for dead actors; a dead actor is replaced within a second.
pub const SUPERVISOR_ROUND: Duration = Duration::from_millis(250);
/// An actor that dies this many times within [`RESTART_WINDOW`] ends the process.
pub const MAX_RESTARTS: usize = 10;
/// The time window of [`MAX_RESTARTS`].
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);

/// The interval between checks for an unfinished change: its process died after the commit and before it wrote the
/// manifest.
pub const JANITOR_TIDY_ROUND: Duration = Duration::from_secs(5);
/// How long the janitor waits for a moment without changes.
pub const JANITOR_LOCK_WAIT: Duration = Duration::from_secs(2);
/// The time from the start of a service to its first re-hash of everything.
pub const JANITOR_FIRST_REHASH: Duration = Duration::from_secs(10 * 60);
/// The interval between looks at the versions that are known or thought to be damaged.
pub const JANITOR_LOOK_ROUND: Duration = Duration::from_secs(5);
/// The age at which a damaged version is hashed again although its files did not change.
pub const DAMAGED_REHASH_AGE: Duration = Duration::from_secs(10 * 60);
/// The most versions that are remembered as thought to be damaged until they are looked at.
pub const SUSPECT_VERSIONS: usize = 10_000;
/// The interval between looks at the log for changes of other processes.
pub const OBSERVER_ROUND: Duration = Duration::from_secs(1);
/// The interval between re-hashes of everything.
pub const JANITOR_REHASH_ROUND: Duration = Duration::from_secs(6 * 60 * 60);

/// How long a restore leaves folders in place that the restored catalog does not have, for readers that still have rows
/// of the old one.
pub const RESTORE_GRACE: Duration = Duration::from_secs(1);

/// A sidecar that changed less than this long before it was read is hashed again at the next read: the file system's
/// clock may be too coarse to show a second change.
pub const SIDECAR_SETTLED: Duration = Duration::from_secs(2);
/// The memory for answers that are kept for the next request, in bytes. The threads that answer requests share it.
pub const VIEW_BYTES: usize = 16 << 20;
/// The longest path and query whose answer is kept, in bytes.
pub const VIEW_TARGET: usize = 512;
/// The most answers in the making that other requests can wait for, on each thread.
pub const VIEW_ANSWERS_IN_THE_MAKING: usize = 1024;
/// How long a request waits for another one that is making its answer before it makes the answer itself.
pub const VIEW_WAIT: Duration = Duration::from_secs(2);
/// The interval at which the sidecars of the versions in a list are checked again.
pub const LISTED_SIDECARS_ROUND: Duration = Duration::from_secs(1);
/// The memory for verified sidecars, in bytes. A sidecar takes about [`SIDECAR_IN_MEMORY`] times the length of its file.
pub const VERIFIED_SIDECAR_BYTES: usize = 64 << 20;
/// How much more memory a parsed sidecar takes than its file has bytes.
pub const SIDECAR_IN_MEMORY: usize = 4;
/// The memory for the states in which artifacts were verified, in bytes; about 150 bytes each.
pub const VERIFIED_ARTIFACT_BYTES: usize = 16 << 20;

/// The room on the registry directory's disk that only changes of a status may use, in bytes: the largest write-ahead
/// log that SQLite keeps without a long reader (4 MiB), and as much again for the growth of the catalog.
pub const DISK_RESERVE: u64 = 8 * 1024 * 1024;
/// The most room on the disk that a change of a status needs, in bytes.
pub const DISK_FOR_A_CHANGE: u64 = 1024 * 1024;

/// The size of the pieces of an artifact download, in bytes.
pub const FILE_BUFFER: usize = 256 * 1024;
/// The size of the pieces in which a file is read and hashed, in bytes. A file of one piece is hashed by the thread that
/// reads it.
pub const HASH_PIECE: usize = 1 << 20;
/// The bytes between two reports of how much is hashed.
pub const HASH_PROGRESS: usize = 256 * 1024;
/// The pieces of one file that are in memory while it is hashed.
pub const HASH_PIECES: usize = 3;

/// The longest request line, in bytes. RFC 9112 section 3 recommends at least 8000; no query here needs more.
pub const REQUEST_LINE: usize = 8 * 1024;
/// The largest head of a request, in bytes. It is twice [`TOKEN_BYTES`], so that a token that is too long gets its
/// own error.
pub const REQUEST_HEAD: usize = 32 * 1024;
/// How long a client may take to send its request's head, from the start of its connection or the first byte of the
/// head.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest request body, in bytes. No route uses a body; this much is read and ignored, because some clients send
/// `{}` with every POST.
pub const REQUEST_BODY: usize = 64 * 1024;
/// How long a client may take to send a body that is ignored.
pub const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes that a connection reads ahead of the request that is being answered; the client must buffer the
/// rest.
pub const READ_AHEAD: usize = 2 * REQUEST_HEAD;
/// How long a client may read nothing of an answer that is ready. It is longer than a paused virtual machine needs to
/// resume.
pub const ANSWER_STALL: Duration = Duration::from_secs(30);
/// The size of the pieces in which an answer is given to its connection, in bytes, and the most that a connection
/// buffers for a client that does not read. The rest is not copied: the documentation page and the OpenAPI document
/// are in memory only once.
pub const ANSWER_PIECE: usize = 16 * 1024;
/// How long a closing connection still reads what the client sends, so that the client gets the answer and not a
/// reset.
pub const LINGER: Duration = Duration::from_secs(1);
/// The most connections of one worker; there is one worker a core. Further ones wait to be accepted. Each takes about
/// 20 kB.
pub const CONNECTIONS_PER_WORKER: usize = 4096;
/// The most connections that wait to be accepted. The kernel makes further clients retry after a second, and may have
/// a lower limit (`net.core.somaxconn`, 4096).
pub const CONNECTIONS_WAITING: i32 = 1024;
/// Open files reserved for everything except connections, above all artifacts and the catalog. Where the system
/// allows few open files, fewer connections are accepted.
pub const FILES_BESIDES_CONNECTIONS: usize = 512;
/// The least number of connections of each worker, whatever the limit of open files.
pub const LEAST_CONNECTIONS_PER_WORKER: usize = 16;
/// The most requests in progress; further ones wait. It is below [`ACTOR_CAPACITY`], so that the actors accept every
/// request.
pub const REQUESTS_IN_FLIGHT: usize = 512;
/// The most authorised requests that use the registry at a time; further ones wait. A waiting request has done no
/// work yet. The limit is eight requests for each connection of the catalog, so that a query never waits for a
/// connection as long as [`CATALOG_CONNECTION_WAIT`].
pub const REGISTRY_REQUESTS: usize = 8 * CATALOG_CONNECTIONS;
/// The most artifacts that are sent at a time; further ones wait. They have their own limit because slow downloads
/// must not block queries for the production version.
pub const DOWNLOADS_IN_FLIGHT: usize = 128;
/// How long a request waits for its turn before it is answered `OVERLOADED`. There may be more connections than
/// requests in progress; most requests wait only milliseconds.
pub const TURN_WAIT: Duration = Duration::from_secs(5);
/// Longer than a gateway's own timeout, so that the gateway closes idle connections first.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The most entries in one page of a history.
pub const MAX_HISTORY_PAGE: u32 = 10_000;
/// The number of entries in a page of a history, if the request names none.
pub const HISTORY_PAGE: u32 = 1_000;
/// The most entries of the log that are read for one page of a history, more than [`MAX_HISTORY_PAGE`]. Further ones are
/// read for the next page, so that a filter that few entries match cannot hold a connection of the catalog for long.
pub const HISTORY_SCAN: i64 = 20_000;
/// The most versions in a list that is answered as a whole. A longer one is streamed, in parts of [`LIST_PART`].
pub const LIST_AT_ONCE: u32 = 1_000;
/// The number of versions that a streamed list reads at a time.
pub const LIST_PART: usize = 100;
/// The most lists that are streamed at a time; further ones wait.
pub const LISTS_STREAMED: usize = 32;
/// The number of rows of an outline that are read at a time.
pub const OUTLINE_PART: usize = 5_000;
/// The most ids in one statement.
pub const IDS_IN_A_STATEMENT: usize = 1_000;
/// The most versions in one page of a list.
pub const MAX_PAGE: u32 = 10_000;
/// How long a stopping server lets requests in flight finish.
pub const SHUTDOWN_SECONDS: u64 = 30;
/// How long before the end of that time unanswered requests are refused, so that their clients get an answer.
pub const LAST_ANSWERS_SECONDS: u64 = 2;
/// How long connections that the kernel has already established may take to be accepted before the socket is closed.
pub const LAST_CONNECTIONS_WAIT: Duration = Duration::from_millis(200);
/// How long a client may take for its TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval between checks whether certificate files changed.
pub const TLS_ROUND: Duration = Duration::from_secs(2);
/// The time in which a part of an upload must arrive.
pub const UPLOAD_PACE: Duration = Duration::from_secs(30);
/// The least of an upload that must arrive in each [`UPLOAD_PACE`], in bytes.
pub const UPLOAD_PACE_BYTES: u64 = 16 << 10;
/// The most pieces of an upload that wait to be written.
pub const UPLOAD_PIECES: usize = 8;
/// What the body of a registration may hold besides the artifact, in bytes: the metadata and the form.
pub const UPLOAD_BESIDES_ARTIFACT: u64 = (4 << 20) + (64 << 10);
/// The most uploads at a time; further ones wait.
pub const UPLOADS_IN_FLIGHT: usize = 16;
/// The largest JSON body of a change other than a registration, in bytes.
pub const CHANGE_BODY: u64 = 64 << 10;
/// The largest artifact that is accepted over HTTP, unless the operator sets another limit, in bytes.
pub const LARGEST_ARTIFACT: u64 = 10 << 30;
/// The seconds after which a refused client may retry.
pub const RETRY_AFTER_SECONDS: u32 = 1;
/// How long `health` waits for the service.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The interval between checks whether the token files changed.
pub const TOKEN_FILES_ROUND: Duration = Duration::from_secs(1);
/// How often the policy file is looked at.
pub const POLICY_ROUND: Duration = Duration::from_secs(1);
/// The most unknown tokens for which the token files are checked at the same time; further ones are refused without a
/// check.
pub const TOKENS_LOOKED_FOR_IN_FILES: usize = 16;

/// The largest accepted access token, in bytes.
pub const TOKEN_BYTES: usize = 16 * 1024;
/// The most verified access tokens that are remembered.
pub const REMEMBERED_TOKENS: usize = 10_000;
/// The most tokens with an unknown key that wait for the identity provider. It is well below [`ACTOR_CAPACITY`], so
/// that tokens with a known key are never blocked.
pub const TOKENS_WAITING_FOR_KEYS: usize = 256;
/// How long a token with an unknown key waits.
pub const KEYS_WAIT: Duration = Duration::from_secs(3);
/// The least time between two requests to the identity provider that are caused by tokens with an unknown key.
pub const KEYS_DEMAND_PAUSE: Duration = Duration::from_secs(10);
/// The age at which the identity provider's key set is fetched again.
pub const KEYS_REFRESH_AGE: Duration = Duration::from_secs(5 * 60);
/// The retry interval after a failure, while there is no usable key set.
pub const KEYS_FIRST_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The retry interval after a failure, while the last good key set is usable.
pub const KEYS_RETRY_PAUSE: Duration = Duration::from_secs(10);
/// The interval between checks whether a refresh is due or a key file changed.
pub const KEYS_ROUND: Duration = Duration::from_secs(1);
/// How long one request to the identity provider may take, including its body. Two such requests take less than
/// [`ACTOR_TIMEOUT`].
pub const PROVIDER_TIMEOUT: Duration = Duration::from_secs(4);
/// The largest answer of the identity provider, and the largest key file, in bytes.
pub const PROVIDER_BODY: u64 = 1 << 20;

/// The interval at which the log reports a long validation.
pub const VALIDATION_LOG_ROUND: Duration = Duration::from_secs(5);
/// The size from which an artifact is checked while it is hashed, in bytes. A smaller one is hashed sooner than a
/// process for its check starts.
pub const CHECK_WHILE_HASHING: u64 = 4 << 20;

/// The most bytes of log lines that wait to be written. Further lines are lost and counted: a request never waits for
/// the reader of the log. It is the lines of about 2,500 requests.
pub const LOG_BUFFER: usize = 1024 * 1024;
/// How much of that memory is kept when the lines are written, in bytes.
pub const LOG_BUFFER_KEPT: usize = 64 * 1024;
/// How long the lines that follow one another are collected for one write.
pub const LOG_PAUSE: Duration = Duration::from_millis(5);
/// How long a process that ends waits until its last lines are written. Their reader may have stopped.
pub const LOG_FLUSH_WAIT: Duration = Duration::from_secs(2);
