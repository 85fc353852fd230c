-- The last load check of each version. It says what was found, and is no part of the history: a later check replaces it.
CREATE TABLE load_checks (
    model_id   TEXT        NOT NULL PRIMARY KEY REFERENCES versions (model_id) ON DELETE CASCADE,
    verdict    TEXT        NOT NULL CHECK (verdict IN ('loadable', 'unloadable', 'unsafe')),
    format     TEXT        NOT NULL CHECK (format <> ''),
    depth      TEXT        NOT NULL CHECK (depth IN ('parsed', 'typed', 'executed')),
    errors     JSONB       NOT NULL CHECK (jsonb_typeof(errors) = 'array' AND length(errors::text) <= 65536),
    checker    TEXT        NOT NULL CHECK (checker <> ''),
    checked_at TIMESTAMPTZ NOT NULL
);

-- The versions whose files were removed. The row of the version, its number and its history stay.
CREATE TABLE collected (
    model_id     TEXT        NOT NULL PRIMARY KEY REFERENCES versions (model_id),
    collected_at TIMESTAMPTZ NOT NULL,
    bytes_freed  BIGINT      NOT NULL CHECK (bytes_freed >= 0)
);

CREATE FUNCTION check_collection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM versions v WHERE v.model_id = NEW.model_id AND v.status = 'production') THEN
        RAISE EXCEPTION 'a version in production is never collected' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION check_entering_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM collected c WHERE c.model_id = NEW.model_id) THEN
        RAISE EXCEPTION 'a collected version has no files and never enters production' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER production_is_never_collected BEFORE INSERT ON collected
    FOR EACH ROW EXECUTE FUNCTION check_collection();
CREATE TRIGGER collected_versions_stay_out_of_production BEFORE UPDATE OF status ON versions
    FOR EACH ROW WHEN (NEW.status = 'production') EXECUTE FUNCTION check_entering_version();
CREATE TRIGGER collections_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON collected
    FOR EACH STATEMENT EXECUTE FUNCTION forbid('collections are kept, and never change');

-- A number that every transaction raises which changes anything that a read shows. The program raises it with every
-- change; the triggers raise it for other writers.
ALTER TABLE registry_state ADD COLUMN revision BIGINT NOT NULL DEFAULT 0 CHECK (revision >= 0);

CREATE FUNCTION let_the_revision_rise() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.revision <= OLD.revision THEN
        NEW.revision := OLD.revision + 1;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION raise_the_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE registry_state SET revision = revision + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER the_revision_rises BEFORE UPDATE ON registry_state
    FOR EACH ROW EXECUTE FUNCTION let_the_revision_rise();
CREATE TRIGGER a_check_raises_the_revision AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON load_checks
    FOR EACH STATEMENT EXECUTE FUNCTION raise_the_revision();

-- Who may read or change the versions may do so here.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'versions'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format(
            'GRANT %s ON load_checks, collected TO %s', held.privilege_type,
            CASE WHEN held.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(held.grantee)) END);
    END LOOP;
END $$;
