-- Only the table: its former content is in the log.
CREATE TABLE transitions (
    sequence        BIGINT      NOT NULL PRIMARY KEY,
    transition_id   TEXT        NOT NULL UNIQUE CHECK (length(transition_id) = 36),
    model_id        TEXT        NOT NULL,
    model_type      TEXT        NOT NULL,
    version         TEXT        NOT NULL,
    from_status     TEXT        CHECK (from_status IN ('staged', 'production', 'archived', 'failed')),
    to_status       TEXT        NOT NULL CHECK (to_status IN ('staged', 'production', 'archived', 'failed')),
    changed_at      TIMESTAMPTZ NOT NULL,
    changed_by      TEXT        NOT NULL,
    reason          TEXT,
    gates_skipped   BOOLEAN     NOT NULL,
    previous_sha256 TEXT        NOT NULL CHECK (previous_sha256 ~ '^[0-9a-f]{64}$'),
    row_sha256      TEXT        NOT NULL CHECK (row_sha256 ~ '^[0-9a-f]{64}$')
);

CREATE INDEX transitions_of_a_version ON transitions (model_type, version, sequence);

CREATE FUNCTION check_new_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM transitions) THEN
        RAISE EXCEPTION 'history has no gaps' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER history_has_no_gaps BEFORE INSERT ON transitions
    FOR EACH ROW EXECUTE FUNCTION check_new_transition();
CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON transitions
    FOR EACH STATEMENT EXECUTE FUNCTION forbid('history is kept, and never changes');
