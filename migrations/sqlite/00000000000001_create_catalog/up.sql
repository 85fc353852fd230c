-- The catalog. Its constraints refuse invalid states, whatever the program does.

CREATE TABLE versions (
    model_id            TEXT   NOT NULL PRIMARY KEY CHECK (length(model_id) = 36),
    model_type          TEXT   NOT NULL CHECK (length(model_type) BETWEEN 1 AND 63 AND model_type NOT GLOB '*[^a-z0-9_]*'),
    version             TEXT   NOT NULL CHECK (version GLOB 'v[0-9]*.[0-9]*.[0-9]*'),
    status              TEXT   NOT NULL CHECK (status IN ('staged', 'production', 'archived', 'failed')),
    artifact_file       TEXT   NOT NULL CHECK (artifact_file GLOB 'model.?*' AND artifact_file NOT GLOB '*/*'),
    artifact_size_bytes BIGINT NOT NULL CHECK (artifact_size_bytes >= 0),
    total_size_bytes    BIGINT NOT NULL CHECK (total_size_bytes >= artifact_size_bytes),
    checksum_sha256     TEXT   NOT NULL CHECK (length(checksum_sha256) = 64),
    metadata_sha256     TEXT   NOT NULL CHECK (length(metadata_sha256) = 64),
    config_hash         TEXT   NOT NULL CHECK (length(config_hash) = 64),
    snapshot_id         TEXT   NOT NULL CHECK (snapshot_id <> ''),
    dataset_version_ids TEXT   NOT NULL CHECK (json_valid(dataset_version_ids)),
    created_at          TEXT   NOT NULL CHECK (length(created_at) = 27),
    promoted_at         TEXT   CHECK (length(promoted_at) = 27),
    archived_at         TEXT   CHECK (length(archived_at) = 27),
    UNIQUE (model_type, version)
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

CREATE TRIGGER versions_leave_a_tombstone AFTER DELETE ON versions
BEGIN
    INSERT INTO used_versions (model_type, version, model_id) VALUES (OLD.model_type, OLD.version, OLD.model_id);
END;

-- REPLACE deletes rows without firing delete triggers, so every insert that would replace a row is refused first.
CREATE TRIGGER version_numbers_are_used_once BEFORE INSERT ON versions
WHEN EXISTS (SELECT 1 FROM used_versions u WHERE u.model_type = NEW.model_type AND u.version = NEW.version)
    OR EXISTS (SELECT 1 FROM versions v WHERE v.model_id = NEW.model_id
               OR (v.model_type = NEW.model_type AND v.version = NEW.version))
BEGIN
    SELECT RAISE(ABORT, 'version number was used before');
END;

CREATE TRIGGER one_production_version_inserted BEFORE INSERT ON versions
WHEN NEW.status = 'production' AND EXISTS (
    SELECT 1 FROM versions v WHERE v.model_type = NEW.model_type AND v.status = 'production')
BEGIN
    SELECT RAISE(ABORT, 'another version is in production');
END;

CREATE TRIGGER one_production_version_updated BEFORE UPDATE OF status ON versions
WHEN NEW.status = 'production' AND EXISTS (
    SELECT 1 FROM versions v
    WHERE v.model_type = NEW.model_type AND v.status = 'production' AND v.model_id <> NEW.model_id)
BEGIN
    SELECT RAISE(ABORT, 'another version is in production');
END;

CREATE TRIGGER versions_in_production_stay BEFORE DELETE ON versions
WHEN OLD.status = 'production'
BEGIN
    SELECT RAISE(ABORT, 'a version in production is never removed');
END;

CREATE TRIGGER tombstones_are_laid_once BEFORE INSERT ON used_versions
WHEN EXISTS (SELECT 1 FROM used_versions u WHERE u.model_type = NEW.model_type AND u.version = NEW.version)
BEGIN
    SELECT RAISE(ABORT, 'tombstones never change');
END;

CREATE TRIGGER tombstones_are_kept BEFORE DELETE ON used_versions
BEGIN
    SELECT RAISE(ABORT, 'tombstones are kept');
END;

CREATE TRIGGER tombstones_never_change BEFORE UPDATE ON used_versions
BEGIN
    SELECT RAISE(ABORT, 'tombstones never change');
END;

CREATE TRIGGER versions_never_change BEFORE UPDATE OF
    model_id, model_type, version, artifact_file, artifact_size_bytes, total_size_bytes, checksum_sha256,
    metadata_sha256, config_hash, snapshot_id, dataset_version_ids, created_at ON versions
BEGIN
    SELECT RAISE(ABORT, 'a version never changes once registered');
END;

CREATE TRIGGER failed_is_final BEFORE UPDATE OF status ON versions
WHEN OLD.status = 'failed' AND NEW.status <> 'failed'
BEGIN
    SELECT RAISE(ABORT, 'a failed version stays failed');
END;

-- Every transition: which version, from which status to which, and by whom, chained by hash. There is no foreign key
-- to versions, because the history outlives them.
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

-- The digest of the catalog after and before its last change. Start-up uses it to distinguish a manifest that is one
-- step behind from a wrong one.
CREATE TABLE registry_state (
    id                INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    checksum          TEXT    NOT NULL CHECK (length(checksum) = 64),
    previous_checksum TEXT    NOT NULL CHECK (length(previous_checksum) = 64)
);
