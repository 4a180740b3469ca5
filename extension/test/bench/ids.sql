-- Ids a second: one backend, ids in a loop of the executor; and the same loop without them, to see what the ids cost.
-- bar: 3 million/s from one backend
\set ids 5000000
\pset footer off
SELECT chat.next_id() > 0 AS warm;
CREATE TEMP TABLE timing AS SELECT clock_timestamp() AS t0, NULL::timestamptz AS t1, NULL::timestamptz AS t2;
SELECT max(n::bigint) > 0 AS "loop" FROM generate_series(1, :ids) n;
UPDATE timing SET t1 = clock_timestamp();
SELECT max(chat.next_id()) > 0 AS "ids" FROM generate_series(1, :ids) n;
UPDATE timing SET t2 = clock_timestamp();
SELECT round(:ids / extract(epoch FROM t2 - t1) / 1e6, 2) AS "million ids/s", 3.0 AS bar,
	round(extract(epoch FROM (t2 - t1) - (t1 - t0)) * 1e9 / :ids) AS "ns/id above the empty loop",
	:ids / extract(epoch FROM t2 - t1) >= 3e6 AS pass
  FROM timing;
