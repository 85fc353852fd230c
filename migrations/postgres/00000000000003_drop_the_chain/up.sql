-- The history of layout 2.0.0, whose every row is an entry of the log by now.
DROP TABLE transitions;
DROP FUNCTION check_new_transition();
