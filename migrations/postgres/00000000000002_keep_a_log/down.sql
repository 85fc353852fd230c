ALTER TABLE registry_state DROP COLUMN total_size_bytes;
ALTER TABLE registry_state DROP COLUMN artifact_count;
ALTER TABLE registry_state DROP COLUMN right_edge;
ALTER TABLE registry_state DROP COLUMN log_size;
DROP TABLE log_subtrees;
DROP TABLE log_entries;
DROP FUNCTION check_new_entry();
