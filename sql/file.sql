-- Files: uploading, one copy of the same bytes, who may read, quota, sharing, links, deleting, large objects.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['fay', 'gus', 'hal', 'ivy']) name) made;
SELECT test.user('fay') AS fay, test.user('gus') AS gus, test.user('hal') AS hal, test.user('ivy') AS ivy \gset
-- For these tests: a whole upload by one call, in pieces of so many bytes.
CREATE FUNCTION test.upload(user_id bigint, name text, mime_type text, content bytea, piece integer DEFAULT 1048576) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	upload_id bigint := (chat.begin_upload(user_id, name, mime_type, octet_length(content))).id;
BEGIN
	FOR at IN 0 .. octet_length(content) - 1 BY piece LOOP
		PERFORM chat.append_upload(user_id, upload_id, at, substring(content FROM at + 1 FOR piece));
	END LOOP;
	RETURN (chat.finish_upload(user_id, upload_id)).id;
END
$$;
CREATE VIEW test.chunks AS
SELECT c.id, c.use_count, count(k.number) AS chunks, min(octet_length(k.bytes)), max(octet_length(k.bytes)), sum(octet_length(k.bytes)) = c.size AS whole
  FROM chat.contents c LEFT JOIN chat.chunks k ON k.content_id = c.id GROUP BY c.id ORDER BY c.id;

-- An upload that is interrupted goes on where it was; what was sent already is skipped; a gap is refused.
SELECT encode(sha256('hello world'), 'hex') AS hash \gset
SELECT id AS upload, received, expires_at > now() + interval '23 hours' AS lasts FROM chat.begin_upload(:fay, 'hello.txt', 'text/plain', 11, :'hash', 'key 1') \gset
SELECT :received AS received, :'lasts' AS lasts;
SELECT received FROM chat.append_upload(:fay, :upload, 0, 'hello');
SELECT id = :upload AS same, received FROM chat.begin_upload(:fay, 'hello.txt', 'text/plain', 11, :'hash', 'key 1');
SELECT test.error(format('SELECT chat.append_upload(%s, %s, 6, ''world'')', :fay, :upload));
SELECT test.error(format('SELECT chat.finish_upload(%s, %s)', :fay, :upload));
SELECT test.error(format('SELECT chat.append_upload(%s, %s, 5, '' world!'')', :fay, :upload));
SELECT test.error(format('SELECT chat.append_upload(%s, %s, 5, NULL)', :fay, :upload)), test.error(format('SELECT chat.append_upload(%s, %s, -1, ''h'')', :fay, :upload));
SELECT test.error(format('SELECT chat.append_upload(%s, %s, 0, %L)', :fay, :upload, convert_to(repeat('x', 1048577), 'UTF8')));
SELECT received FROM chat.append_upload(:fay, :upload, 0, 'hello');
SELECT received FROM chat.append_upload(:fay, :upload, 3, 'lo wor');
SELECT received FROM chat.append_upload(:fay, :upload, 9, 'ld');
SELECT name, mime_type, size, sha256 = :'hash' AS hashed, url, created_at = chat.id_time(id) AS timed, owner_id = :fay AS owner, shared_with, deleted, id = :upload AS same_id
  FROM chat.finish_upload(:fay, :upload);
SELECT name, id = :upload AS again FROM chat.finish_upload(:fay, :upload);
SELECT id = :upload AS same, received, expires_at FROM chat.begin_upload(:fay, 'hello.txt', 'text/plain', 11, :'hash', 'key 1');
SELECT test.error(format('SELECT chat.begin_upload(%s, ''other.txt'', ''text/plain'', 11, NULL, ''key 1'')', :fay));
SELECT test.error(format('SELECT chat.append_upload(%s, %s, 11, ''!'')', :fay, :upload));
SELECT convert_from(chat.read_file(:fay, :upload), 'UTF8');
-- Another's upload is none.
SELECT id AS other FROM chat.begin_upload(:fay, 'x', NULL, 1) \gset
SELECT test.error(format('SELECT chat.append_upload(%s, %s, 0, ''x'')', :gus, :other)), test.error(format('SELECT chat.finish_upload(%s, %s)', :gus, :other)),
	test.error(format('SELECT chat.finish_upload(%s, %s)', :gus, :upload));

-- A wrong hash is refused, and an argument that is none.
SELECT id AS wrong FROM chat.begin_upload(:gus, 'w', NULL, 5, :'hash') \gset
SELECT received FROM chat.append_upload(:gus, :wrong, 0, 'wrong');
SELECT test.error(format('SELECT chat.finish_upload(%s, %s)', :gus, :wrong));
SELECT received FROM chat.append_upload(:gus, :wrong, 0, 'stil');
SELECT received FROM chat.append_upload(:gus, :wrong, 4, 'l');
SELECT convert_from(bytes, 'UTF8') FROM chat.chunks WHERE content_id = :wrong;
SELECT test.error(format('SELECT chat.begin_upload(%s, %L, %L, %L, %L)', :fay, name, type, size, hash))
  FROM (VALUES ('a', NULL, 1, 'abc'), ('a', NULL, NULL, NULL), ('a', NULL, -1, NULL), ('a', NULL, 26214401, NULL), ('a/b', NULL, 1, NULL), (E'a\nb', NULL, 1, NULL),
	('..', NULL, 1, NULL), ('', NULL, 1, NULL), (NULL, NULL, 1, NULL), (repeat('x', 256), NULL, 1, NULL), ('a', 'text', 1, NULL), ('a', 'text/', 1, NULL), ('a', '/x', 1, NULL)) v (name, type, size, hash);

-- The same bytes from two users are kept once. The hash alone gives nothing: the second has to send them.
SELECT id AS second, received FROM chat.begin_upload(:gus, 'mine.txt', 'text/plain', 11, :'hash') \gset
SELECT :received AS received;
SELECT test.error(format('SELECT chat.finish_upload(%s, %s)', :gus, :second));
SELECT received FROM chat.append_upload(:gus, :second, 0, 'hello world');
SELECT name, sha256 = :'hash' AS hashed FROM chat.finish_upload(:gus, :second);
SELECT use_count, chunks FROM test.chunks WHERE id = :upload;
SELECT count(*) FROM chat.chunks WHERE content_id = :second;
SELECT test.error(format('SELECT chat.get_file(%s, %s)', :gus, :upload));
-- Who can read it already need not send it again.
SELECT id AS third, received FROM chat.begin_upload(:gus, 'copy.txt', 'text/plain', 11, upper(:'hash')) \gset
SELECT :received AS received;
SELECT name FROM chat.finish_upload(:gus, :third);
SELECT convert_from(chat.read_file(:gus, :third), 'UTF8');
SELECT use_count, chunks FROM test.chunks WHERE id = :upload;
-- The right hash with another size is not that file.
SELECT received FROM chat.begin_upload(:gus, 'copy.txt', 'text/plain', 10, :'hash');

-- The content goes with its last reference, never before.
SELECT chat.delete_file(:fay, :upload);
SELECT chat.delete_file(:gus, :third);
SELECT done FROM chat.run_maintenance() WHERE job = 'collect_contents';
SELECT convert_from(chat.read_file(:gus, :second), 'UTF8'), test.error(format('SELECT chat.read_file(%s, %s)', :fay, :upload));
SELECT use_count, chunks FROM test.chunks WHERE id = :upload;
SELECT chat.delete_file(:gus, :second);
SELECT use_count, chunks FROM test.chunks WHERE id = :upload;
SELECT done FROM chat.run_maintenance() WHERE job = 'collect_contents';
SELECT count(*) FROM test.chunks;
SELECT chat.delete_file(:gus, :second);

-- Chunks of 256 KiB however the bytes came, not compressed by the database; ranges across chunks
SELECT attstorage FROM pg_attribute WHERE attrelid = 'chat.chunks'::regclass AND attname = 'bytes';
SELECT string_agg(sha256(n::text::bytea), '' ORDER BY n) AS bytes INTO TEMP sample FROM generate_series(1, 30000) n;
SELECT test.upload(:hal, 'pieces.bin', NULL, bytes, piece) > 0 AS made
  FROM sample, unnest(ARRAY[46080, 262144, 1048576, 300001]) piece;
SELECT count(DISTINCT content_id) AS contents, count(*) AS files FROM chat.files WHERE owner_id = :hal;
SELECT chunks, min, max, whole, use_count FROM test.chunks;
SELECT max(id) AS big FROM chat.files WHERE owner_id = :hal \gset
SELECT at, count, chat.read_file(:hal, :big, at, count) = substring(bytes FROM at + 1 FOR least(count, 1048576)) AS same, octet_length(chat.read_file(:hal, :big, at, count))
  FROM sample, (VALUES (0, 1), (0, 262144), (262143, 2), (262144, 262144), (100, 600000), (0, 2000000), (959999, 10), (960000, 10), (2000000000, 1)) v (at, count);
SELECT octet_length(chat.read_file(:hal, :big)) AS by_default, test.error(format('SELECT chat.read_file(%s, %s, -1)', :hal, :big)), test.error(format('SELECT chat.read_file(%s, %s, 0, 0)', :hal, :big));
-- A file of 25 MiB, read in ranges
SELECT string_agg(bytes, '') AS bytes INTO TEMP huge FROM sample, generate_series(1, 28);
SELECT test.upload(:hal, 'huge.bin', 'application/octet-stream', substring(bytes FROM 1 FOR 26214400)) AS huge FROM huge \gset
SELECT f.size, f.sha256 = encode(sha256(substring(bytes FROM 1 FOR 26214400)), 'hex') AS hashed, chunks, min, max, whole
  FROM huge, chat.get_file(:hal, :huge) f, test.chunks c WHERE c.id = :huge;
SELECT count(*), bool_and(chat.read_file(:hal, :huge, at, 1000000) = substring(bytes FROM at + 1 FOR least(1000000, 26214400 - at))) AS same
  FROM huge, generate_series(0, 26214399, 1000000) at;
DROP TABLE huge;

-- Types: text is UTF-8 without NUL, also where a character lies across two chunks; images begin as they do.
SELECT mime_type, left(encode(content, 'escape'), 16) AS content, test.error(format('SELECT test.upload(%s, ''f'', %L, %L)', :fay, mime_type, content)) AS error
  FROM (VALUES ('text/plain', 'plain'::bytea), ('TEXT/PLAIN; charset=utf-8', 'plain'), ('text/plain', ''), ('text/plain', convert_to('ä€😀', 'UTF8')), ('text/html', '\xff'), ('text/plain', '\x6100'), ('text/plain', '\xc3'),
	('text/plain', '\xeda080'), ('application/json', '\xfe'), ('image/svg+xml', '\x00'), ('image/png', '\x89504e470d0a1a0a00'), ('image/png', 'no'), ('image/png', ''), ('image/jpeg', '\xffd8ffe0'),
	('image/jpeg', '\x89504e470d0a1a0a'), ('image/gif', 'GIF89a'), ('image/webp', 'RIFFxxxxWEBPVP8 '), ('image/x-unknown', 'x'), ('video/mp4', '\x00000018667479706d703432'), ('video/mp4', 'MZ'), ('audio/mpeg', 'ID3'),
	('application/pdf', '%PDF-1.7'), ('application/pdf', 'MZ'), ('application/zip', '\x504b0304'), ('application/x-anything', 'MZ'), (NULL, 'MZ')) v (mime_type, content);
SELECT over, test.error(format('SELECT test.upload(%s, ''f'', ''text/plain'', %L)', :fay, convert_to(repeat('x', 262144 - over) || '😀é' || repeat('y', 10), 'UTF8'))) AS whole,
	test.error(format('SELECT test.upload(%s, ''f'', ''text/plain'', %L)', :fay, convert_to(repeat('x', 262144 - over), 'UTF8') || '\xf09f'::bytea || convert_to(repeat('y', 10), 'UTF8'))) AS broken
  FROM generate_series(0, 5) over;
SELECT value FROM chat.set_setting('file_types', 'image/*, application/pdf');
SELECT type, test.error(format('SELECT chat.begin_upload(%s, ''f'', %L, 1)', :fay, type)) FROM unnest(ARRAY['image/png', 'application/pdf', 'application/zip', 'text/plain', NULL]) type;
SELECT test.error('SELECT chat.set_setting(''file_types'', ''everything'')'), test.error('SELECT chat.set_setting(''file_types'', '''')');
SELECT value FROM chat.set_setting('file_types', '*/*');

-- The quota counts files and begun uploads; what is given up or deleted comes back.
SELECT name, value FROM chat.set_setting('file_quota', '100');
SELECT id AS sixty FROM chat.begin_upload(:ivy, 'a', NULL, 60) \gset
SELECT test.error(format('SELECT chat.begin_upload(%s, ''b'', NULL, 41)', :ivy));
SELECT size FROM chat.begin_upload(:ivy, 'b', NULL, 40);
SELECT test.error(format('SELECT chat.begin_upload(%s, ''c'', NULL, 1)', :ivy));
SELECT bytes FROM chat.file_usage WHERE user_id = :ivy;
SELECT value FROM chat.set_setting('file_quota', '0');
SELECT test.error(format('SELECT chat.begin_upload(%s, ''c'', NULL, 0)', :ivy)), test.error(format('SELECT chat.begin_upload(%s, ''c'', NULL, 1)', :ivy));
UPDATE chat.uploads SET id = id - (interval_ms << 22) FROM (SELECT 86400000::bigint * 2 AS interval_ms) i WHERE owner_id = :ivy;
SELECT done FROM chat.run_maintenance() WHERE job = 'expire_uploads';
SELECT bytes FROM chat.file_usage WHERE user_id = :ivy;
SELECT value FROM chat.set_setting('file_quota', '1073741824');
SELECT test.error(format('SELECT chat.append_upload(%s, %s, 0, ''x'')', :ivy, :sixty));

-- Sharing: only the owner, with his list and the other's following.
SELECT test.upload(:fay, 'plan.txt', 'text/plain', 'the plan') AS plan \gset
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :gus, :plan)), test.error(format('SELECT chat.share_file(%s, %s, %s)', :gus, :plan, :hal));
SELECT version AS before FROM chat.get_file(:fay, :plan) \gset
SELECT shared_with = ARRAY[:gus::bigint] AS shared FROM chat.share_file(:fay, :plan, :gus);
SELECT version AS share_version FROM chat.file_shares WHERE file_id = :plan \gset
SELECT cardinality(shared_with) FROM chat.share_file(:fay, :plan, :gus);
SELECT version = :share_version AS unchanged FROM chat.file_shares WHERE file_id = :plan;
SELECT convert_from(chat.read_file(:gus, :plan), 'UTF8'), (chat.get_file(:gus, :plan)).shared_with, (chat.get_file(:gus, :plan)).owner_id = :fay AS fays;
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :hal, :plan)), test.error(format('SELECT chat.share_file(%s, %s, %s)', :gus, :plan, :hal)),
	test.error(format('SELECT chat.delete_file(%s, %s)', :gus, :plan)), test.error(format('SELECT chat.delete_file(%s, %s)', :hal, :plan));
SELECT test.error(format('SELECT chat.share_file(%s, %s, 1)', :fay, :plan)), cardinality((chat.share_file(:fay, :plan, :fay)).shared_with) AS not_with_oneself;
SELECT name, size, owner_id = :fay AS fays, deleted, version = :share_version AS versioned, has_more FROM chat.list_files(:gus);
-- An upload of what was shared needs no sending either.
SELECT received FROM chat.begin_upload(:gus, 'own.txt', 'text/plain', 8, encode(sha256('the plan'), 'hex'));
SELECT received FROM chat.begin_upload(:hal, 'own.txt', 'text/plain', 8, encode(sha256('the plan'), 'hex'));
SELECT shared_with FROM chat.unshare_file(:fay, :plan, :gus);
SELECT shared_with FROM chat.unshare_file(:fay, :plan, :gus);
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :gus, :plan)), count(*) FROM chat.list_files(:gus);
SELECT id = :plan AS id, owner_id, name, size, deleted FROM chat.list_files(:gus, :share_version);

-- Lists page by version, and tell those who follow what has gone.
SELECT test.upload(:ivy, 'one', NULL, '1') AS one \gset
SELECT test.upload(:ivy, 'two', NULL, '2') AS two \gset
SELECT test.upload(:ivy, 'three', NULL, '3') AS three \gset
SELECT name, has_more FROM chat.list_files(:ivy, NULL, 2);
SELECT name, has_more FROM chat.list_files(:ivy, (SELECT max(version) FROM chat.list_files(:ivy, NULL, 2)), 2);
SELECT max(version) AS seen FROM chat.list_files(:ivy) \gset
SELECT chat.delete_file(:ivy, :two);
SELECT name FROM chat.list_files(:ivy);
SELECT id = :two AS two, name, deleted FROM chat.list_files(:ivy, :seen);

-- In a chat: its members can read what was sent while they were there to see it.
SELECT id AS chat FROM chat.open_direct_chat(:fay, :gus) \gset
SELECT test.error(format('SELECT chat.send_message(%s, %s, file_ids => ARRAY[%s])', :gus, :chat, :plan)), test.error(format('SELECT chat.send_message(%s, %s, file_ids => ARRAY[1])', :gus, :chat)),
	test.error(format('SELECT chat.send_message(%s, %s, file_ids => ARRAY[%s, %s])', :fay, :chat, :plan, :plan));
SELECT test.upload(:fay, 'later.txt', 'text/plain', 'later') AS later \gset
SELECT id AS message FROM chat.send_message(:fay, :chat, 'see here', file_ids => ARRAY[:later, :plan]) \gset
SELECT f ->> 'name' AS name, f ->> 'mime_type' AS type, f ->> 'size' AS size, json_typeof(f -> 'size') AS as, (f ->> 'id')::bigint IN (:plan, :later) AS id, f -> 'deleted' AS deleted
  FROM chat.list_messages(:gus, :chat) m, json_array_elements(m.files) f;
SELECT e -> 'message' ->> 'files' = m.files::text AS same FROM test.event(:chat, :message) e, chat.list_messages(:gus, :chat) m;
SELECT convert_from(chat.read_file(:gus, :plan), 'UTF8'), test.error(format('SELECT chat.read_file(%s, %s)', :hal, :plan)), count(*) AS listed FROM chat.list_files(:gus);
SELECT received FROM chat.begin_upload(:gus, 'own.txt', 'text/plain', 8, encode(sha256('the plan'), 'hex'));
-- Who has left reads what came before, not after; who may see from somewhere on, not what came before.
UPDATE chat.members SET left_id = :message WHERE chat_id = :chat AND user_id = :gus;
SELECT convert_from(chat.read_file(:gus, :plan), 'UTF8');
UPDATE chat.members SET left_id = :message - 1 WHERE chat_id = :chat AND user_id = :gus;
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :gus, :plan));
UPDATE chat.members SET left_id = NULL, visible_from = :message WHERE chat_id = :chat AND user_id = :gus;
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :gus, :plan));
UPDATE chat.members SET visible_from = 0 WHERE chat_id = :chat AND user_id = :gus;
-- A reader may send it on; a deleted file is gone from all messages.
SELECT id AS onward FROM chat.open_direct_chat(:gus, :hal) \gset
SELECT number FROM chat.send_message(:gus, :onward, file_ids => ARRAY[:plan]);
SELECT convert_from(chat.read_file(:hal, :plan), 'UTF8');
SELECT chat.delete_file(:fay, :plan);
SELECT f ->> 'name' AS name, f -> 'size' AS size, f -> 'deleted' AS deleted FROM chat.list_messages(:hal, :onward) m, json_array_elements(m.files) f;
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :hal, :plan)), test.error(format('SELECT chat.send_message(%s, %s, file_ids => ARRAY[%s])', :hal, :onward, :plan));
-- A message without its files
BEGIN;
SELECT chat.detach_files(:chat, :message);
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :gus, :later)), convert_from(chat.read_file(:fay, :later), 'UTF8') AS its_owner_keeps_it;
ROLLBACK;
SELECT test.error(format('SELECT chat.send_message(%s, %s, file_ids => %L)', :fay, :chat, ARRAY(SELECT n FROM generate_series(1, 21) n)));

-- Avatars are everybody's, and only one's own images can be one.
SELECT test.upload(:fay, 'me.png', 'image/png', '\x89504e470d0a1a0a') AS avatar \gset
SELECT test.error(format('SELECT chat.get_file(%s, %s)', :hal, :avatar));
SELECT chat.check_avatar(:fay, :avatar);
SELECT test.error(format('SELECT chat.check_avatar(%s, %s)', :fay, :later)), test.error(format('SELECT chat.check_avatar(%s, %s)', :gus, :later)), test.error(format('SELECT chat.check_avatar(%s, %s)', :hal, :avatar));
UPDATE chat.users SET avatar_file_id = :avatar WHERE id = :fay;
SELECT name FROM chat.get_file(:hal, :avatar);
SELECT test.error(format('SELECT chat.delete_file(%s, %s)', :hal, :avatar)), test.error(format('SELECT chat.check_avatar(%s, %s)', :hal, :avatar));
UPDATE chat.users SET avatar_file_id = NULL WHERE id = :fay;
BEGIN; -- An avatar whose file is deleted is none any more.
UPDATE chat.users SET avatar_file_id = :avatar WHERE id = :fay;
SELECT chat.delete_file(:fay, :avatar);
SELECT avatar_file_id FROM chat.get_profile(:fay);
ROLLBACK;
UPDATE chat.chats SET avatar_file_id = :avatar WHERE id = :chat;
SELECT name FROM chat.get_file(:hal, :avatar);
UPDATE chat.chats SET avatar_file_id = NULL WHERE id = :chat;
SELECT test.error(format('SELECT chat.get_file(%s, %s)', :hal, :avatar));
-- Nor a link: whoever looked at it would be sent to its owner's server. One that came with an old dump is shown to nobody.
SELECT id AS remote FROM chat.add_file_link(:fay, 'me.png', 'image/png', NULL, 'https://example.org/me.png') \gset
SELECT id AS group FROM chat.create_group(:fay, 'minutes', ARRAY[:gus]::bigint[]) \gset
SELECT test.error(format('SELECT chat.edit_profile(%s, avatar_file_id => %s)', :fay, :remote)), test.error(format('SELECT chat.edit_chat(%s, %s, avatar_file_id => %s)', :fay, :group, :remote));
UPDATE chat.users SET avatar_file_id = :remote WHERE id = :fay;
UPDATE chat.chats SET avatar_file_id = :remote WHERE id = :chat;
SELECT test.error(format('SELECT chat.get_file(%s, %s)', :hal, :remote));
UPDATE chat.users SET avatar_file_id = NULL WHERE id = :fay;
UPDATE chat.chats SET avatar_file_id = NULL WHERE id = :chat;
SELECT chat.delete_file(:fay, :remote);

-- Links
SELECT id AS link, name, mime_type, size, sha256, url FROM chat.add_file_link(:fay, 'minutes', 'application/pdf', 1234, 'https://example.org/m.pdf') \gset
SELECT :'name' AS name, :'mime_type' AS type, :size AS size, :'url' AS url;
SELECT test.error(format('SELECT chat.read_file(%s, %s)', :fay, :link));
SELECT url, test.error(format('SELECT chat.add_file_link(%s, ''l'', NULL, NULL, %L)', :fay, url)) FROM unnest(ARRAY[NULL, '', 'ftp://x/', 'javascript:alert(1)', 'https://x y/', E'https://x/\n']) url;
SELECT test.error(format('SELECT chat.add_file_link(%s, ''l'', NULL, -1, ''https://x/'')', :fay)), test.error(format('SELECT chat.add_file_link(%s, ''l'', NULL, NULL, %L)', :fay, 'https://x/' || repeat('y', 2048)));
SELECT number FROM chat.send_message(:fay, :chat, file_ids => ARRAY[:link]);
SELECT f ->> 'url' AS url FROM chat.list_messages(:gus, :chat, page_size => 1) m, json_array_elements(m.files) f;
SELECT chat.delete_file(:fay, :link);

-- Large objects, within the caller's own rights
SELECT lo_from_bytea(0, (SELECT bytes FROM sample)) AS secret, lo_from_bytea(0, '') AS empty \gset
SELECT name, size, sha256 = encode(sha256((SELECT bytes FROM sample)), 'hex') AS same, owner_id = :hal AS hals FROM chat.import_large_object(:secret, 'report.bin', NULL, :hal);
SELECT size FROM chat.import_large_object(:empty, 'empty', NULL, :hal);
SET ROLE chat_app;
SELECT test.error(format('SELECT chat.import_large_object(%s, ''x'', NULL, %s)', :secret, :hal)), test.error(format('SELECT chat.import_large_object(1, ''x'', NULL, %s)', :hal));
RESET ROLE;
GRANT SELECT ON LARGE OBJECT :secret TO chat_app;
SET ROLE chat_app;
SELECT id AS imported, size FROM chat.import_large_object(:secret, 'report.bin', NULL, :hal) \gset
SELECT chat.export_large_object(:imported) AS exported \gset
SELECT octet_length(lo_get(:exported)) AS length, md5(lo_get(:exported)) = md5(lo_get(:secret)) AS same;
SELECT lo_unlink(:exported);
SELECT test.error('SELECT chat.export_large_object(1)'), test.error(format('SELECT chat.import_large_object(%s, ''x'', NULL, 1)', :secret));
RESET ROLE;
SELECT lo_unlink(:secret), lo_unlink(:empty);

-- An erased user's files go; tombstones that nothing names are forgotten after event_retention.
SELECT name FROM chat.share_file(:ivy, :one, :hal);
SELECT sum(chat.drop_files(:ivy, 100)) > 0 AS ivys, sum(chat.drop_files(:hal, 100)) > 0 AS hals FROM generate_series(1, 5);
SELECT bytes FROM chat.file_usage WHERE user_id IN (:ivy, :hal);
SELECT count(*) FROM chat.list_files(:ivy);
UPDATE chat.files SET version = version - (40 * 86400000::bigint << 22) WHERE deleted;
SELECT test.work('forget_files') > 0 AS forgotten;
SELECT count(*) = 1 AS only_what_a_message_names FROM chat.files f WHERE f.deleted AND f.content_id IS NULL AND f.id = :plan;
SELECT count(*) FROM chat.files f WHERE f.deleted AND NOT EXISTS (SELECT FROM chat.attachments a WHERE a.file_id = f.id);
SELECT test.work('collect_contents') > 0 AS collected;
SELECT "check", detail FROM chat.verify(true) WHERE NOT ok;
DROP TABLE sample;
DROP VIEW test.chunks;
DROP FUNCTION test.upload;
