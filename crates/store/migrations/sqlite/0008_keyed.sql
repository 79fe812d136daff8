-- A key now stands for any request that became events: a submission, or an action on a run. A command that waits for the
-- process that drives its run waits with its key, which goes into `sent` with the events.
ALTER TABLE inbox ADD COLUMN key TEXT;
ALTER TABLE inbox ADD COLUMN request TEXT;
ALTER TABLE inbox ADD COLUMN until INTEGER;
