-- The catalog. Its constraints refuse invalid states, whatever the program does.

CREATE TABLE versions (
    model_id            TEXT        NOT NULL PRIMARY KEY CHECK (length(model_id) = 36),
    model_type          TEXT        NOT NULL CHECK (model_type ~ '^[a-z][a-z0-9_]{0,62}$'),
    version             TEXT        NOT NULL CHECK (version ~ '^v(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$'),
    status              TEXT        NOT NULL CHECK (status IN ('staged', 'production', 'archived', 'failed')),
    artifact_file       TEXT        NOT NULL CHECK (artifact_file ~ '^model\.[a-z0-9]{1,16}$'),
    artifact_size_bytes BIGINT      NOT NULL CHECK (artifact_size_bytes >= 0),
    total_size_bytes    BIGINT      NOT NULL CHECK (total_size_bytes >= artifact_size_bytes),
    checksum_sha256     TEXT        NOT NULL CHECK (checksum_sha256 ~ '^[0-9a-f]{64}$'),
    metadata_sha256     TEXT        NOT NULL CHECK (metadata_sha256 ~ '^[0-9a-f]{64}$'),
    config_hash         TEXT        NOT NULL CHECK (config_hash ~ '^[0-9a-f]{64}$'),
    snapshot_id         TEXT        NOT NULL CHECK (snapshot_id <> ''),
    dataset_version_ids JSONB       NOT NULL CHECK (jsonb_typeof(dataset_version_ids) = 'object'),
    created_at          TIMESTAMPTZ NOT NULL,
    promoted_at         TIMESTAMPTZ,
    archived_at         TIMESTAMPTZ,
    CONSTRAINT versions_number_is_used_once UNIQUE (model_type, version)
);

CREATE UNIQUE INDEX one_production_version_per_type ON versions (model_type) WHERE status = 'production';
CREATE INDEX versions_newest_first ON versions (model_type, created_at DESC);

-- The numbers of removed versions: a number is never used again.
CREATE TABLE used_versions (
    model_type TEXT NOT NULL,
    version    TEXT NOT NULL,
    model_id   TEXT NOT NULL,
    PRIMARY KEY (model_type, version)
);

-- Every transition: which version, from which status to which, and by whom, chained by hash. There is no foreign key
-- to versions, because the history outlives them.
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

-- The digest of the catalog after and before its last change. Start-up uses it to distinguish a manifest that is one
-- step behind from a wrong one.
CREATE TABLE registry_state (
    id                INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    checksum          TEXT    NOT NULL CHECK (checksum ~ '^[0-9a-f]{64}$'),
    previous_checksum TEXT    NOT NULL CHECK (previous_checksum ~ '^[0-9a-f]{64}$')
);

CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION check_new_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM used_versions u WHERE u.model_type = NEW.model_type AND u.version = NEW.version) THEN
        RAISE EXCEPTION 'version number was used before' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION leave_a_tombstone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'production' THEN
        RAISE EXCEPTION 'a version in production is never removed' USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO used_versions (model_type, version, model_id) VALUES (OLD.model_type, OLD.version, OLD.model_id);
    RETURN OLD;
END $$;

CREATE FUNCTION check_changed_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.model_id, OLD.model_type, OLD.version, OLD.artifact_file, OLD.artifact_size_bytes,
        OLD.total_size_bytes, OLD.checksum_sha256, OLD.metadata_sha256, OLD.config_hash, OLD.snapshot_id,
        OLD.dataset_version_ids, OLD.created_at)
       IS DISTINCT FROM
       (NEW.model_id, NEW.model_type, NEW.version, NEW.artifact_file, NEW.artifact_size_bytes,
        NEW.total_size_bytes, NEW.checksum_sha256, NEW.metadata_sha256, NEW.config_hash, NEW.snapshot_id,
        NEW.dataset_version_ids, NEW.created_at) THEN
        RAISE EXCEPTION 'a version never changes once registered' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.status = 'failed' AND NEW.status <> 'failed' THEN
        RAISE EXCEPTION 'a failed version stays failed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION check_new_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM transitions) THEN
        RAISE EXCEPTION 'history has no gaps' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER version_numbers_are_used_once BEFORE INSERT ON versions
    FOR EACH ROW EXECUTE FUNCTION check_new_version();
CREATE TRIGGER versions_leave_a_tombstone BEFORE DELETE ON versions
    FOR EACH ROW EXECUTE FUNCTION leave_a_tombstone();
CREATE TRIGGER versions_never_change BEFORE UPDATE ON versions
    FOR EACH ROW EXECUTE FUNCTION check_changed_version();
CREATE TRIGGER versions_are_not_emptied BEFORE TRUNCATE ON versions
    FOR EACH STATEMENT EXECUTE FUNCTION forbid('versions are removed one by one');
CREATE TRIGGER tombstones_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON used_versions
    FOR EACH STATEMENT EXECUTE FUNCTION forbid('tombstones are kept');
CREATE TRIGGER history_has_no_gaps BEFORE INSERT ON transitions
    FOR EACH ROW EXECUTE FUNCTION check_new_transition();
CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON transitions
    FOR EACH STATEMENT EXECUTE FUNCTION forbid('history is kept, and never changes');
