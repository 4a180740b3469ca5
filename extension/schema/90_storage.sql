-- What only PostgreSQL has: room on the page, so that the updates of hot rows stay on it (HOT), and the storage of a column.
DO $storage$
BEGIN
	IF pg_catalog.version() NOT LIKE '%-YB-%' THEN
		ALTER TABLE chat.chats SET (fillfactor = 70);
		ALTER TABLE chat.members SET (fillfactor = 80);
		ALTER TABLE chat.leases SET (fillfactor = 50);
		-- Ranges of a chunk are read without the rest; most files are compressed already.
		ALTER TABLE chat.chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;
	END IF;
END
$storage$;
