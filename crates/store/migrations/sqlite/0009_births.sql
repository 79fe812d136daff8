-- A page of runs, newest first, costs a page.
CREATE INDEX runs_by_birth ON runs (created_at, id);
