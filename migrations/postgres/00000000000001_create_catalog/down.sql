DROP TABLE registry_state;
DROP TABLE transitions;
DROP TABLE versions;
DROP TABLE used_versions;
DROP FUNCTION forbid, check_new_version, leave_a_tombstone, check_changed_version, check_new_transition;
