-- The log: every transition and change, in order. An entry's leaf is at the entry's position in a Merkle tree (RFC
-- 6962, section 2.1), whose root commits to every row of the catalog.
CREATE TABLE log_entries (
    sequence         BIGINT      NOT NULL PRIMARY KEY CHECK (sequence >= 0),
    id               TEXT        NOT NULL UNIQUE CHECK (length(id) = 36),
    time             TIMESTAMPTZ NOT NULL,
    actor            TEXT        NOT NULL,
    authenticated_as TEXT,
    action           TEXT        NOT NULL CHECK (action <> ''),
    model_id         TEXT,
    model_type       TEXT,
    version          TEXT,
    from_status      TEXT        CHECK (from_status IN ('staged', 'production', 'archived', 'failed')),
    to_status        TEXT        CHECK (to_status IN ('staged', 'production', 'archived', 'failed')),
    reason           TEXT,
    gates_skipped    BOOLEAN     NOT NULL,
    detail           JSONB       CHECK (jsonb_typeof(detail) = 'object'),
    state_sha256     TEXT        CHECK (state_sha256 ~ '^[0-9a-f]{64}$'),
    leaf_sha256      TEXT        NOT NULL CHECK (leaf_sha256 ~ '^[0-9a-f]{64}$')
);

CREATE INDEX log_of_a_version ON log_entries (model_type, version, sequence);
CREATE INDEX log_of_archived_versions ON log_entries (model_type, sequence) WHERE to_status = 'archived';

-- Roots of complete subtrees of 2^8, 2^16, ... leaves, so that a proof of a long log needs few rows.
CREATE TABLE log_subtrees (
    level  INTEGER NOT NULL CHECK (level IN (8, 16, 24, 32, 40, 48, 56)),
    number BIGINT  NOT NULL CHECK (number >= 0),
    sha256 TEXT    NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (level, number)
);

-- From here on, checksum and previous_checksum are roots of the log. right_edge is the right edge of the tree: the
-- roots of its complete subtrees, largest first, as hexadecimal digits without separators.
ALTER TABLE registry_state ADD COLUMN log_size BIGINT NOT NULL DEFAULT 0 CHECK (log_size >= 0);
ALTER TABLE registry_state ADD COLUMN right_edge TEXT NOT NULL DEFAULT '';
ALTER TABLE registry_state ADD COLUMN artifact_count BIGINT NOT NULL DEFAULT 0 CHECK (artifact_count >= 0);
ALTER TABLE registry_state ADD COLUMN total_size_bytes BIGINT NOT NULL DEFAULT 0 CHECK (total_size_bytes >= 0);

CREATE FUNCTION check_new_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <> (SELECT coalesce(max(sequence) + 1, 0) FROM log_entries) THEN
        RAISE EXCEPTION 'the log has no gaps' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER the_log_has_no_gaps BEFORE INSERT ON log_entries
    FOR EACH ROW EXECUTE FUNCTION check_new_entry();
CREATE TRIGGER the_log_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON log_entries
    FOR EACH STATEMENT EXECUTE FUNCTION forbid('the log is kept, and never changes');
CREATE TRIGGER subtrees_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON log_subtrees
    FOR EACH STATEMENT EXECUTE FUNCTION forbid('a complete subtree never changes');
