-- The history of layout 2.0.0. Every row of it is now an entry of the log.
DROP TABLE transitions;
