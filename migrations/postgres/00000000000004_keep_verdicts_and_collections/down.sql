DROP TABLE load_checks;
DROP TRIGGER collected_versions_stay_out_of_production ON versions;
DROP TABLE collected;
DROP TRIGGER the_revision_rises ON registry_state;
ALTER TABLE registry_state DROP COLUMN revision;
DROP FUNCTION check_collection, check_entering_version, let_the_revision_rise, raise_the_revision;
