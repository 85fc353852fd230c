DROP TABLE load_checks;
DROP TRIGGER collected_versions_stay_out_of_production;
DROP TABLE collected;
DROP TRIGGER the_revision_rises;
ALTER TABLE registry_state DROP COLUMN revision;
