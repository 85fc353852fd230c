-- The last load check of each version. It says what was found, and is no part of the history: a later check replaces it.
CREATE TABLE load_checks (
    model_id   TEXT NOT NULL PRIMARY KEY REFERENCES versions (model_id) ON DELETE CASCADE,
    verdict    TEXT NOT NULL CHECK (verdict IN ('loadable', 'unloadable', 'unsafe')),
    format     TEXT NOT NULL CHECK (format <> ''),
    depth      TEXT NOT NULL CHECK (depth IN ('parsed', 'typed', 'executed')),
    errors     TEXT NOT NULL CHECK (json_valid(errors) AND json_type(errors) = 'array' AND length(errors) <= 65536),
    checker    TEXT NOT NULL CHECK (checker <> ''),
    checked_at TEXT NOT NULL CHECK (length(checked_at) = 27)
);

-- The versions whose files were removed. The row of the version, its number and its history stay.
CREATE TABLE collected (
    model_id     TEXT   NOT NULL PRIMARY KEY REFERENCES versions (model_id),
    collected_at TEXT   NOT NULL CHECK (length(collected_at) = 27),
    bytes_freed  BIGINT NOT NULL CHECK (bytes_freed >= 0)
);

-- REPLACE deletes rows without firing delete triggers, so every insert that would replace a row is refused first.
CREATE TRIGGER versions_are_collected_once BEFORE INSERT ON collected
WHEN EXISTS (SELECT 1 FROM collected c WHERE c.model_id = NEW.model_id)
BEGIN
    SELECT RAISE(ABORT, 'the version was collected before');
END;

CREATE TRIGGER production_is_never_collected BEFORE INSERT ON collected
WHEN EXISTS (SELECT 1 FROM versions v WHERE v.model_id = NEW.model_id AND v.status = 'production')
BEGIN
    SELECT RAISE(ABORT, 'a version in production is never collected');
END;

CREATE TRIGGER collected_versions_stay_out_of_production BEFORE UPDATE OF status ON versions
WHEN NEW.status = 'production' AND EXISTS (SELECT 1 FROM collected c WHERE c.model_id = NEW.model_id)
BEGIN
    SELECT RAISE(ABORT, 'a collected version has no files and never enters production');
END;

CREATE TRIGGER collections_never_change BEFORE UPDATE ON collected
BEGIN
    SELECT RAISE(ABORT, 'a collection never changes');
END;

CREATE TRIGGER collections_are_kept BEFORE DELETE ON collected
BEGIN
    SELECT RAISE(ABORT, 'collections are kept');
END;

-- A number that every transaction raises which changes anything that a read shows. The program raises it with every
-- change; the triggers raise it for other writers.
ALTER TABLE registry_state ADD COLUMN revision BIGINT NOT NULL DEFAULT 0 CHECK (revision >= 0);

CREATE TRIGGER the_revision_rises AFTER UPDATE ON registry_state
WHEN NEW.revision <= OLD.revision
BEGIN
    UPDATE registry_state SET revision = OLD.revision + 1 WHERE id = NEW.id;
END;

CREATE TRIGGER a_new_check_raises_the_revision AFTER INSERT ON load_checks
BEGIN
    UPDATE registry_state SET revision = revision + 1;
END;

CREATE TRIGGER a_later_check_raises_the_revision AFTER UPDATE ON load_checks
BEGIN
    UPDATE registry_state SET revision = revision + 1;
END;

CREATE TRIGGER a_removed_check_raises_the_revision AFTER DELETE ON load_checks
BEGIN
    UPDATE registry_state SET revision = revision + 1;
END;
