DROP TABLE registry_state;
DROP TABLE transitions;
DROP TABLE versions;
DROP TABLE used_versions;
