-- Only the table: its former content is in the log.
CREATE TABLE transitions (
    sequence        BIGINT  NOT NULL PRIMARY KEY,
    transition_id   TEXT    NOT NULL UNIQUE CHECK (length(transition_id) = 36),
    model_id        TEXT    NOT NULL,
    model_type      TEXT    NOT NULL,
    version         TEXT    NOT NULL,
    from_status     TEXT    CHECK (from_status IN ('staged', 'production', 'archived', 'failed')),
    to_status       TEXT    NOT NULL CHECK (to_status IN ('staged', 'production', 'archived', 'failed')),
    changed_at      TEXT    NOT NULL CHECK (length(changed_at) = 27),
    changed_by      TEXT    NOT NULL,
    reason          TEXT,
    gates_skipped   BOOLEAN NOT NULL,
    previous_sha256 TEXT    NOT NULL CHECK (length(previous_sha256) = 64),
    row_sha256      TEXT    NOT NULL CHECK (length(row_sha256) = 64)
);

CREATE INDEX transitions_of_a_version ON transitions (model_type, version, sequence);

CREATE TRIGGER history_has_no_gaps BEFORE INSERT ON transitions
WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM transitions)
    OR EXISTS (SELECT 1 FROM transitions t WHERE t.transition_id = NEW.transition_id)
BEGIN
    SELECT RAISE(ABORT, 'history has no gaps');
END;

CREATE TRIGGER history_never_changes BEFORE UPDATE ON transitions
BEGIN
    SELECT RAISE(ABORT, 'history never changes');
END;

CREATE TRIGGER history_is_kept BEFORE DELETE ON transitions
BEGIN
    SELECT RAISE(ABORT, 'history is kept');
END;
