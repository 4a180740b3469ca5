-- Files: content stands in chunks, once for all files with the same bytes; a file is a name and an owner of content, or a
-- link to a document elsewhere. Locks: chat, then file, then the owner's file_usage, then content.

-- Whose account has ended has deleted all files with it, as v_readable_messages says of messages.
CREATE OR REPLACE VIEW chat.v_readable_files AS
SELECT f.id, f.owner_id, CASE WHEN e.id IS NULL THEN f.name ELSE '' END AS name,
	CASE WHEN e.id IS NULL THEN f.mime_type ELSE 'application/octet-stream' END AS mime_type, CASE WHEN e.id IS NULL THEN f.size END AS size,
	CASE WHEN e.id IS NULL THEN f.content_id END AS content_id, CASE WHEN e.id IS NULL THEN f.url END AS url,
	f.deleted OR e.id IS NOT NULL AS deleted, f.version
  FROM chat.files f LEFT JOIN chat.erasures e ON e.user_id = f.owner_id;
COMMENT ON VIEW chat.v_readable_files IS 'The rows of chat.files; those of users whose account has ended as those of deleted files.';

CREATE OR REPLACE VIEW chat.v_files AS
SELECT f.id, f.owner_id, f.name, f.mime_type, f.size, encode(c.sha256, 'hex') AS sha256, f.url, chat.id_time(f.id) AS created_at,
	ARRAY(SELECT s.user_id FROM chat.file_shares s WHERE s.file_id = f.id AND s.shared ORDER BY s.user_id) AS shared_with, f.deleted, f.version
  FROM chat.v_readable_files f LEFT JOIN chat.contents c ON c.id = f.content_id;
COMMENT ON VIEW chat.v_files IS 'Files as their owners see them; shared_with is nobody else''s business.';

CREATE OR REPLACE VIEW chat.v_uploads AS
SELECT u.id, u.name, u.mime_type, u.size, u.received, chat.id_time(u.id) + chat.setting_interval('upload_lifetime') AS expires_at
  FROM chat.uploads u
UNION ALL
SELECT f.id, f.name, f.mime_type, f.size, f.size, NULL FROM chat.files f WHERE f.content_id IS NOT NULL;
COMMENT ON VIEW chat.v_uploads IS 'Uploads as their owners see them; a finished one is a file, and has received all.';

-- What a message or an event shows of files.
CREATE OR REPLACE FUNCTION chat.files_json(file_ids bigint[])
RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(json_agg(json_build_object('id', f.id::text, 'name', f.name, 'mime_type', f.mime_type, 'size', f.size::text,
			'url', f.url, 'deleted', f.deleted) ORDER BY i.position), '[]')
	  FROM unnest(files_json.file_ids) WITH ORDINALITY AS i (id, position) JOIN chat.v_readable_files f ON f.id = i.id);
END
$$;
COMMENT ON FUNCTION chat.files_json IS 'The files of a message: [{id, name, mime_type, size, url, deleted}], in the order of file_ids.';

-- Who may read

CREATE OR REPLACE FUNCTION chat.can_read_file(file_id bigint, user_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.files f WHERE f.id = can_read_file.file_id AND f.owner_id = can_read_file.user_id)
		OR EXISTS (SELECT FROM chat.file_shares s
			WHERE s.file_id = can_read_file.file_id AND s.user_id = can_read_file.user_id AND s.shared)
		OR EXISTS (SELECT FROM chat.attachments a
			  JOIN chat.members m ON m.chat_id = a.chat_id AND m.user_id = can_read_file.user_id
			  JOIN chat.chats c ON c.id = a.chat_id AND c.deleted_id IS NULL
			 WHERE a.file_id = can_read_file.file_id AND a.message_id > m.visible_from
			   AND (m.left_id IS NULL OR a.message_id <= m.left_id))
		-- A link that was made an avatar before 0.4.0 is none: whoever looked at it would be sent to its owner's server.
		OR EXISTS (SELECT FROM chat.files f WHERE f.id = can_read_file.file_id AND f.url IS NULL
			AND (EXISTS (SELECT FROM chat.users u WHERE u.avatar_file_id = f.id)
				OR EXISTS (SELECT FROM chat.chats c WHERE c.avatar_file_id = f.id AND c.deleted_id IS NULL)));
END
$$;
COMMENT ON FUNCTION chat.can_read_file IS 'Whether he owns the file, it was shared with him, stands in a message that he sees, or is an avatar.';

CREATE OR REPLACE FUNCTION chat.check_readable_file(file_id bigint, user_id bigint)
RETURNS chat.files LANGUAGE plpgsql STABLE AS $$
DECLARE
	file chat.files;
BEGIN
	SELECT f.* INTO file FROM chat.v_readable_files f
	 WHERE f.id = check_readable_file.file_id AND NOT f.deleted AND chat.can_read_file(f.id, check_readable_file.user_id);
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_file');
	END IF;
	RETURN file;
END
$$;
COMMENT ON FUNCTION chat.check_readable_file IS 'The file, if this user may read it. MC404 no_such_file.';

CREATE OR REPLACE FUNCTION chat.lock_own_file(file_id bigint, user_id bigint)
RETURNS chat.files LANGUAGE plpgsql AS $$
DECLARE
	file chat.files;
BEGIN
	SELECT f.* INTO file FROM chat.files f WHERE f.id = lock_own_file.file_id FOR NO KEY UPDATE;
	IF file.owner_id IS DISTINCT FROM lock_own_file.user_id THEN
		PERFORM chat.check_readable_file(lock_own_file.file_id, lock_own_file.user_id);
		PERFORM chat.fail('not_owner');
	END IF;
	RETURN file;
END
$$;
COMMENT ON FUNCTION chat.lock_own_file IS 'The file, locked, also when it is deleted. MC404 no_such_file for what this user cannot read, MC403 not_owner for what is another''s.';

-- Names, types, quota

CREATE OR REPLACE FUNCTION chat.check_file_name(name text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF name IS NULL OR char_length(name) NOT BETWEEN 1 AND 255 OR name ~ '[/\\[:cntrl:]]' OR name IN ('.', '..') THEN
		PERFORM chat.fail('invalid_argument', 'name is not acceptable', 'Use 1 to 255 characters without slashes and control characters.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_file_name IS 'Raises MC400 invalid_argument for what is no file name.';

CREATE OR REPLACE FUNCTION chat.check_mime_type(mime_type text)
RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	bare text := coalesce(lower(btrim(split_part(check_mime_type.mime_type, ';', 1))), 'application/octet-stream');
BEGIN
	IF bare !~ '^[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}$' THEN
		PERFORM chat.fail('invalid_mime_type');
	ELSIF NOT EXISTS (SELECT FROM string_to_table(chat.setting_text('file_types'), ',') AS t (allowed)
		 WHERE btrim(t.allowed) IN (bare, split_part(bare, '/', 1) || '/*', '*/*')) THEN
		PERFORM chat.fail('file_type_not_allowed', NULL, format('Accepted are %s.', chat.setting_text('file_types')));
	END IF;
	RETURN bare;
END
$$;
COMMENT ON FUNCTION chat.check_mime_type IS 'The type in lower case, without parameters; NULL is application/octet-stream. MC400 invalid_mime_type; file_type_not_allowed by the setting file_types.';

-- What files of a type begin with: bytes at an offset.
CREATE OR REPLACE FUNCTION chat.file_signatures()
RETURNS TABLE (mime_type text, byte_offset integer, bytes bytea)
LANGUAGE sql IMMUTABLE AS $$
	VALUES
	('image/png', 0, '\x89504e470d0a1a0a'::bytea),
	('image/jpeg', 0, '\xffd8ff'),
	('image/gif', 0, 'GIF87a'),
	('image/gif', 0, 'GIF89a'),
	('image/webp', 8, 'WEBPVP8'),
	('image/bmp', 0, 'BM'),
	('image/tiff', 0, '\x49492a00'),
	('image/tiff', 0, '\x4d4d002a'),
	('image/x-icon', 0, '\x00000100'),
	('image/vnd.microsoft.icon', 0, '\x00000100'),
	('image/avif', 4, 'ftypavi'),
	('image/heic', 4, 'ftyphei'),
	('image/heic', 4, 'ftypmif1'),
	('image/heif', 4, 'ftypmif1'),
	('image/heif', 4, 'ftyphei'),
	('video/mp4', 4, 'ftyp'),
	('video/quicktime', 4, 'ftypqt'),
	('video/quicktime', 4, 'moov'),
	('video/3gpp', 4, 'ftyp3g'),
	('video/webm', 0, '\x1a45dfa3'),
	('video/x-matroska', 0, '\x1a45dfa3'),
	('video/ogg', 0, 'OggS'),
	('video/x-msvideo', 8, 'AVI '),
	('audio/ogg', 0, 'OggS'),
	('audio/opus', 0, 'OggS'),
	('audio/webm', 0, '\x1a45dfa3'),
	('audio/mp4', 4, 'ftyp'),
	('audio/x-m4a', 4, 'ftyp'),
	('audio/3gpp', 4, 'ftyp3g'),
	('audio/mpeg', 0, 'ID3'),
	('audio/mpeg', 0, '\xfffb'),
	('audio/mpeg', 0, '\xfff3'),
	('audio/mpeg', 0, '\xfff2'),
	('audio/mpeg', 0, '\xfffa'),
	('audio/aac', 0, '\xfff1'),
	('audio/aac', 0, '\xfff9'),
	('audio/flac', 0, 'fLaC'),
	('audio/wav', 8, 'WAVE'),
	('audio/x-wav', 8, 'WAVE'),
	('audio/amr', 0, '#!AMR'),
	('audio/midi', 0, 'MThd'),
	('application/pdf', 0, '%PDF-'),
	('application/zip', 0, '\x504b0304'),
	('application/zip', 0, '\x504b0506'),
	('application/gzip', 0, '\x1f8b'),
	('application/x-7z-compressed', 0, '\x377abcaf271c'),
	('application/vnd.openxmlformats-officedocument.wordprocessingml.document', 0, '\x504b0304'),
	('application/vnd.openxmlformats-officedocument.spreadsheetml.sheet', 0, '\x504b0304'),
	('application/vnd.openxmlformats-officedocument.presentationml.presentation', 0, '\x504b0304'),
	('application/vnd.oasis.opendocument.text', 0, '\x504b0304'),
	('application/vnd.oasis.opendocument.spreadsheet', 0, '\x504b0304'),
	('application/vnd.oasis.opendocument.presentation', 0, '\x504b0304')
$$;
COMMENT ON FUNCTION chat.file_signatures IS 'The bytes that files of a type have near their beginning; one of a type''s rows has to match.';

CREATE OR REPLACE FUNCTION chat.is_of_type(first_bytes bytea, is_text boolean, mime_type text)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE
		WHEN is_of_type.mime_type LIKE 'text/%' OR is_of_type.mime_type LIKE '%+xml'
			OR is_of_type.mime_type IN ('application/json', 'application/xml') THEN is_of_type.is_text
		-- Nobody shows these without knowing them; what else is an application's is its own matter.
		WHEN is_of_type.mime_type ~ '^(image|audio|video)/' OR EXISTS (SELECT FROM chat.file_signatures() s WHERE s.mime_type = is_of_type.mime_type)
			THEN EXISTS (SELECT FROM chat.file_signatures() s WHERE s.mime_type = is_of_type.mime_type
				AND substring(is_of_type.first_bytes FROM s.byte_offset + 1 FOR octet_length(s.bytes)) = s.bytes)
		ELSE true
	END
$$;
COMMENT ON FUNCTION chat.is_of_type IS 'Whether content can be what it is said to be: text/* and the like by is_text (UTF-8 without NUL), images, sounds, videos and what else has a signature by its first bytes. Other types say nothing about their bytes.';

CREATE OR REPLACE FUNCTION chat.take_quota(user_id bigint, bytes bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chat.file_usage AS u (user_id, bytes) VALUES (take_quota.user_id, 0) ON CONFLICT ON CONSTRAINT file_usage_pkey DO NOTHING;
	UPDATE chat.file_usage u SET bytes = u.bytes + take_quota.bytes
	 WHERE u.user_id = take_quota.user_id AND (take_quota.bytes <= 0 OR u.bytes + take_quota.bytes <= chat.setting_integer('file_quota'));
	IF NOT FOUND THEN
		PERFORM chat.fail('quota_exceeded', NULL, format('All together may have %s bytes.', chat.setting_integer('file_quota')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.take_quota IS 'Counts bytes (negative: given back) against the user''s quota; locks his row of file_usage till the transaction ends. MC429 quota_exceeded.';

CREATE OR REPLACE FUNCTION chat.check_files(user_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	most bigint := chat.setting_integer('files_max');
BEGIN
	PERFORM chat.check_actor(check_files.user_id);
	PERFORM chat.check_limit('files_max', (SELECT count(*) FROM (SELECT FROM chat.files f WHERE f.owner_id = check_files.user_id LIMIT most) f)
		+ (SELECT count(*) FROM (SELECT FROM chat.uploads u WHERE u.owner_id = check_files.user_id LIMIT most) u), 'too_many_files');
END
$$;
COMMENT ON FUNCTION chat.check_files IS 'Whether the user, whose row of file_usage is locked, may have one more file or upload. MC401 not_authenticated; MC429 too_many_files by the setting files_max.';

-- Contents

CREATE OR REPLACE FUNCTION chat.release_content(content_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE chat.contents c SET use_count = c.use_count - 1 WHERE c.id = release_content.content_id;
END
$$;
COMMENT ON FUNCTION chat.release_content IS 'One file or upload less has this content; maintenance collects what nobody has.';

-- A hash alone proves nothing: it finds content only among what its user can read, so it tells nothing about others'. A hundred
-- files are looked at, his own first: as many may have the same content as there are users.
CREATE OR REPLACE FUNCTION chat.use_readable_content(user_id bigint, sha256 bytea, size bigint)
RETURNS bigint LANGUAGE sql VOLATILE AS $$
	UPDATE chat.contents c SET use_count = c.use_count + 1
	 WHERE c.sha256 = use_readable_content.sha256 AND c.size = use_readable_content.size
	   AND EXISTS (SELECT FROM (
			SELECT f.id FROM chat.files f WHERE f.content_id = c.id AND NOT EXISTS (SELECT FROM chat.erasures e WHERE e.user_id = f.owner_id)
			 ORDER BY f.owner_id = use_readable_content.user_id DESC LIMIT 100) f
		 WHERE chat.can_read_file(f.id, use_readable_content.user_id))
	RETURNING c.id
$$;
COMMENT ON FUNCTION chat.use_readable_content IS 'The content with this hash and size, counted as used once more, if the user can read it already; else NULL.';

-- Whose bytes they are first keeps them; who brings the same ones later has shown that he has them, and shares those.
CREATE OR REPLACE FUNCTION chat.keep_content(upload_id bigint, sha256 bytea, size bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	kept_id bigint;
BEGIN
	INSERT INTO chat.contents AS c (id, sha256, size, use_count) VALUES (keep_content.upload_id, keep_content.sha256, keep_content.size, 1)
	ON CONFLICT ON CONSTRAINT contents_sha256 DO UPDATE SET use_count = c.use_count + 1
	RETURNING c.id INTO kept_id;
	IF kept_id <> keep_content.upload_id THEN
		DELETE FROM chat.chunks k WHERE k.content_id = keep_content.upload_id;
	END IF;
	RETURN kept_id;
END
$$;
COMMENT ON FUNCTION chat.keep_content IS 'Makes the chunks of an upload content, or drops them for the content that is there already; answers its id, counted as used once more.';

CREATE OR REPLACE FUNCTION chat.check_content(content_id bigint, OUT size bigint, OUT sha256 bytea, OUT is_text boolean)
RETURNS record LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_check_content';
COMMENT ON FUNCTION chat.check_content IS 'Reads all chunks: how many bytes they are, their hash, and whether they are UTF-8 without NUL.';

CREATE OR REPLACE FUNCTION chat.read_content(content_id bigint, byte_offset bigint, byte_count integer)
RETURNS bytea LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT coalesce(string_agg(substring(k.bytes FROM greatest(read_content.byte_offset - k.number * 262144::bigint, 0)::integer + 1
			FOR least(read_content.byte_offset + read_content.byte_count - k.number * 262144::bigint, 262144)::integer
				- greatest(read_content.byte_offset - k.number * 262144::bigint, 0)::integer), '' ORDER BY k.number), '')
	  FROM chat.chunks k
	 WHERE k.content_id = read_content.content_id
	   AND k.number BETWEEN read_content.byte_offset / 262144 AND (read_content.byte_offset + read_content.byte_count - 1) / 262144);
END
$$;
COMMENT ON FUNCTION chat.read_content IS 'A range of bytes; shorter at the end, empty behind it.';

-- Uploading

CREATE OR REPLACE FUNCTION chat.get_upload(upload_id bigint)
RETURNS chat.v_uploads LANGUAGE plpgsql STABLE AS $$
DECLARE
	upload chat.v_uploads;
BEGIN
	SELECT u.* INTO upload FROM chat.v_uploads u WHERE u.id = get_upload.upload_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_upload');
	END IF;
	RETURN upload;
END
$$;
COMMENT ON FUNCTION chat.get_upload IS 'An upload as its owner sees it. MC404 no_such_upload.';

CREATE OR REPLACE FUNCTION chat.begin_upload(actor_id bigint, name text, mime_type text DEFAULT NULL, size bigint DEFAULT NULL,
	sha256 text DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.v_uploads LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	request jsonb := jsonb_build_array(begin_upload.name, begin_upload.mime_type, begin_upload.size, begin_upload.sha256);
	upload_id bigint;
	known_id bigint;
BEGIN
	PERFORM chat.check_actor(begin_upload.actor_id);
	PERFORM chat.check_file_name(begin_upload.name);
	begin_upload.mime_type := chat.check_mime_type(begin_upload.mime_type);
	IF begin_upload.size IS NULL OR begin_upload.size < 0 THEN
		PERFORM chat.fail('invalid_argument', 'size is not acceptable', 'Tell how many bytes will come.');
	ELSIF begin_upload.size > chat.setting_integer('file_max_bytes') THEN
		PERFORM chat.fail('too_large', 'the file is too large', format('Use at most %s bytes.', chat.setting_integer('file_max_bytes')));
	ELSIF begin_upload.sha256 !~* '^[0-9a-f]{64}$' THEN
		PERFORM chat.fail('invalid_argument', 'sha256 is not acceptable', 'Write it as 64 hexadecimal digits.');
	END IF;
	upload_id := chat.client_key_result(begin_upload.actor_id, 'begin_upload', begin_upload.client_key, request);
	IF upload_id IS NULL THEN
		upload_id := chat.take_id();
		PERFORM chat.take_quota(begin_upload.actor_id, begin_upload.size);
		PERFORM chat.check_files(begin_upload.actor_id);
		known_id := chat.use_readable_content(begin_upload.actor_id, decode(begin_upload.sha256, 'hex'), begin_upload.size);
		INSERT INTO chat.uploads (id, owner_id, name, mime_type, size, sha256, received, content_id)
		VALUES (upload_id, begin_upload.actor_id, begin_upload.name, begin_upload.mime_type, begin_upload.size,
			decode(begin_upload.sha256, 'hex'), CASE WHEN known_id IS NULL THEN 0 ELSE begin_upload.size END, known_id);
		PERFORM chat.save_client_key(begin_upload.actor_id, 'begin_upload', begin_upload.client_key, request, upload_id);
	END IF;
	RETURN chat.get_upload(upload_id);
END
$$;
COMMENT ON FUNCTION chat.begin_upload IS 'Announces a file: its name (1 to 255 characters, no slashes), type (by default application/octet-stream), size in bytes and, if known, sha256 in hex. append_upload sends the bytes, finish_upload makes a file with the same id of it, until expires_at (setting upload_lifetime). received = how many bytes are there: all at once when the actor can already read a file with this hash. client_key: the same key answers the same upload, so that an interrupted one goes on at received. Counts against the setting file_quota. MC400 invalid_argument, invalid_mime_type, file_type_not_allowed; MC404 no_such_upload: the key''s upload has expired; MC409 client_key_reused; MC413 too_large by the setting file_max_bytes; MC429 quota_exceeded, too_many_files by the setting files_max, too_many_client_keys.';
GRANT EXECUTE ON FUNCTION chat.begin_upload TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.lock_upload(upload_id bigint, user_id bigint)
RETURNS chat.uploads LANGUAGE plpgsql AS $$
DECLARE
	upload chat.uploads;
BEGIN
	SELECT u.* INTO upload FROM chat.uploads u
	 WHERE u.id = lock_upload.upload_id AND u.owner_id = lock_upload.user_id FOR UPDATE;
	RETURN upload;
END
$$;
COMMENT ON FUNCTION chat.lock_upload IS 'One''s own upload, locked; NULL when there is none, or a file has been made of it.';

CREATE OR REPLACE FUNCTION chat.append_upload(actor_id bigint, upload_id bigint, byte_offset bigint, bytes bytea)
RETURNS chat.v_uploads LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upload chat.uploads;
	news bytea;
BEGIN
	PERFORM chat.check_actor(append_upload.actor_id);
	upload := chat.lock_upload(append_upload.upload_id, append_upload.actor_id);
	IF upload.id IS NULL THEN
		PERFORM chat.fail('no_such_upload');
	ELSIF append_upload.bytes IS NULL OR append_upload.byte_offset IS NULL OR append_upload.byte_offset < 0 THEN
		PERFORM chat.fail('invalid_argument', 'byte_offset or bytes is missing', NULL);
	ELSIF octet_length(append_upload.bytes) > 1048576 THEN
		PERFORM chat.fail('too_large', 'too many bytes at once', 'Send at most 1048576 bytes at once.');
	ELSIF append_upload.byte_offset > upload.received THEN
		PERFORM chat.fail('wrong_offset', NULL, format('Go on at %s.', upload.received));
	ELSIF append_upload.byte_offset + octet_length(append_upload.bytes) > upload.size THEN
		PERFORM chat.fail('too_large', 'there are more bytes than were announced', format('Send %s bytes in all.', upload.size));
	END IF;
	IF append_upload.byte_offset = 0 AND upload.received = upload.size AND upload.content_id IS NULL THEN
		DELETE FROM chat.chunks k WHERE k.content_id = upload.id;
		UPDATE chat.uploads u SET received = 0 WHERE u.id = upload.id;
		upload.received := 0;
	END IF;
	news := substring(append_upload.bytes FROM least(upload.received - append_upload.byte_offset, octet_length(append_upload.bytes))::integer + 1);
	IF octet_length(news) > 0 THEN
		PERFORM chat.write_chunks(upload.id, upload.received, news);
		UPDATE chat.uploads u SET received = u.received + octet_length(news) WHERE u.id = upload.id;
	END IF;
	RETURN chat.get_upload(upload.id);
END
$$;
COMMENT ON FUNCTION chat.append_upload IS 'Sends the next bytes of an upload, at most 1 MiB at once; multiples of 256 KiB from its beginning are stored fastest. byte_offset: where they begin; what was received already is skipped, so sending again is safe; but what is complete begins anew at byte_offset 0, should finish_upload have found it wrong. Answers the upload; received = where to go on. MC400 invalid_argument; MC404 no_such_upload; MC409 wrong_offset for a gap; MC413 too_large.';
GRANT EXECUTE ON FUNCTION chat.append_upload TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.write_chunks(content_id bigint, byte_offset bigint, bytes bytea)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO chat.chunks AS k (content_id, number, bytes)
	SELECT write_chunks.content_id, n,
		substring(write_chunks.bytes FROM greatest(n * 262144 - write_chunks.byte_offset, 0)::integer + 1
			FOR (least((n + 1) * 262144, write_chunks.byte_offset + octet_length(write_chunks.bytes))
				- greatest(n * 262144, write_chunks.byte_offset))::integer)
	  FROM generate_series(write_chunks.byte_offset / 262144,
		(write_chunks.byte_offset + octet_length(write_chunks.bytes) - 1) / 262144) n
	ON CONFLICT ON CONSTRAINT chunks_pkey DO UPDATE SET bytes = k.bytes || excluded.bytes;
END
$$;
COMMENT ON FUNCTION chat.write_chunks IS 'Appends bytes at byte_offset, which is the end of what is there: fills up the last chunk, then adds others.';

CREATE OR REPLACE FUNCTION chat.finish_upload(actor_id bigint, upload_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upload chat.uploads;
	content record;
BEGIN
	PERFORM chat.check_actor(finish_upload.actor_id);
	upload := chat.lock_upload(finish_upload.upload_id, finish_upload.actor_id);
	IF upload.id IS NULL THEN -- it was finished before, or is not there
		IF NOT EXISTS (SELECT FROM chat.files f
			WHERE f.id = finish_upload.upload_id AND f.owner_id = finish_upload.actor_id AND f.content_id IS NOT NULL) THEN
			PERFORM chat.fail('no_such_upload');
		END IF;
		RETURN chat.get_file(finish_upload.actor_id, finish_upload.upload_id);
	ELSIF upload.received < upload.size THEN
		PERFORM chat.fail('upload_incomplete', NULL, format('Go on at %s.', upload.received));
	END IF;
	SELECT c.* INTO content FROM chat.check_content(coalesce(upload.content_id, upload.id)) c;
	IF content.sha256 <> upload.sha256 THEN
		PERFORM chat.fail('file_hash_mismatch');
	ELSIF NOT chat.is_of_type(chat.read_content(coalesce(upload.content_id, upload.id), 0, 64), content.is_text, upload.mime_type) THEN
		PERFORM chat.fail('file_type_mismatch');
	END IF;
	DELETE FROM chat.uploads u WHERE u.id = upload.id;
	INSERT INTO chat.files (id, owner_id, name, mime_type, size, content_id, version)
	VALUES (upload.id, upload.owner_id, upload.name, upload.mime_type, upload.size,
		coalesce(upload.content_id, chat.keep_content(upload.id, content.sha256, content.size)), chat.take_id(upload.id));
	RETURN chat.get_file(upload.owner_id, upload.id);
END
$$;
COMMENT ON FUNCTION chat.finish_upload IS 'Makes a file of an upload that is complete, with the upload''s id; again answers the same file. Reads all of it once: the sha256 must be the announced one, and the type be true: text is UTF-8 without NUL, images, sounds and videos begin as they do. MC400 file_hash_mismatch, file_type_mismatch; MC404 no_such_upload; MC409 upload_incomplete, with the offset to go on at in HINT.';
GRANT EXECUTE ON FUNCTION chat.finish_upload TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.add_file_link(actor_id bigint, name text, mime_type text DEFAULT NULL, size bigint DEFAULT NULL, url text DEFAULT NULL)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	new_id bigint := chat.take_id();
BEGIN
	PERFORM chat.check_actor(add_file_link.actor_id);
	PERFORM chat.check_file_name(add_file_link.name);
	add_file_link.mime_type := chat.check_mime_type(add_file_link.mime_type);
	IF add_file_link.url IS NULL OR octet_length(add_file_link.url) > 2048 OR add_file_link.url !~ '^https?://[^[:space:][:cntrl:]]+$' THEN
		PERFORM chat.fail('invalid_argument', 'url is not acceptable', 'Use an http or https URL of at most 2048 bytes.');
	ELSIF add_file_link.size < 0 THEN
		PERFORM chat.fail('invalid_argument', 'size is not acceptable', 'Give the bytes of the document, or nothing.');
	END IF;
	PERFORM chat.take_quota(add_file_link.actor_id, 0);
	PERFORM chat.check_files(add_file_link.actor_id);
	INSERT INTO chat.files (id, owner_id, name, mime_type, size, url, version)
	VALUES (new_id, add_file_link.actor_id, add_file_link.name, add_file_link.mime_type, add_file_link.size, add_file_link.url, new_id);
	RETURN chat.get_file(add_file_link.actor_id, new_id);
END
$$;
COMMENT ON FUNCTION chat.add_file_link IS 'A file whose content lies elsewhere, at url (http or https, at most 2048 bytes; nobody fetches or checks it, and a client opens it only when its user asks for that: whoever opens it is seen by that server); it is no avatar, and for the rest like any other. size in bytes, NULL = unknown; it counts against no quota. MC400 invalid_argument, invalid_mime_type, file_type_not_allowed; MC429 too_many_files by the setting files_max.';
GRANT EXECUTE ON FUNCTION chat.add_file_link TO chat_user, chat_app; -- since 0.2.0

-- Reading

CREATE OR REPLACE FUNCTION chat.get_file(actor_id bigint, file_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.v_files;
BEGIN
	PERFORM chat.check_actor(get_file.actor_id);
	PERFORM chat.check_readable_file(get_file.file_id, get_file.actor_id);
	SELECT f.* INTO file FROM chat.v_files f WHERE f.id = get_file.file_id;
	IF file.owner_id <> get_file.actor_id THEN
		file.shared_with := NULL;
	END IF;
	RETURN file;
END
$$;
COMMENT ON FUNCTION chat.get_file IS 'A file''s name, type, size in bytes, sha256 in hex (NULL for a link, which has url) and owner; shared_with: users that share_file let in, only for the owner. For its owner, those it was shared with, who sees a message that carries it, and for avatars everybody. MC404 no_such_file.';
GRANT EXECUTE ON FUNCTION chat.get_file TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.read_file(actor_id bigint, file_id bigint, byte_offset bigint DEFAULT NULL, byte_count integer DEFAULT NULL)
RETURNS bytea LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(read_file.actor_id);
	file := chat.check_readable_file(read_file.file_id, read_file.actor_id);
	IF file.url IS NOT NULL THEN
		PERFORM chat.fail('file_is_link');
	ELSIF read_file.byte_offset NOT BETWEEN 0 AND 1125899906842624 OR read_file.byte_count < 1 THEN
		PERFORM chat.fail('invalid_argument', 'the range is not acceptable', 'Use byte_offset from 0 on and byte_count from 1 on.');
	END IF;
	RETURN chat.read_content(file.content_id, coalesce(read_file.byte_offset, 0), least(coalesce(read_file.byte_count, 262144), 1048576));
END
$$;
COMMENT ON FUNCTION chat.read_file IS 'A range of a file''s content: byte_count bytes (by default 262144, at most 1048576 whatever is asked) from byte_offset (by default 0) on; fewer at the end, none behind it. MC400 invalid_argument; MC404 no_such_file; MC409 file_is_link.';
GRANT EXECUTE ON FUNCTION chat.read_file TO chat_user, chat_app; -- since 0.2.0

-- One's list of files: one's own, and what others have shared. Its rows change when files come, are shared, unshared, deleted.
CREATE OR REPLACE VIEW chat.v_listed_files AS
SELECT f.owner_id AS user_id, f.id, f.owner_id, f.name, f.mime_type, f.size, f.sha256, f.url, f.deleted, f.version FROM chat.v_files f
UNION ALL
SELECT s.user_id, s.file_id, f.owner_id, coalesce(f.name, ''), f.mime_type, f.size, f.sha256, f.url, f.id IS NULL, s.version
  FROM chat.file_shares s LEFT JOIN chat.v_files f ON f.id = s.file_id AND s.shared AND NOT f.deleted;
COMMENT ON VIEW chat.v_listed_files IS 'list_files by user; version is that of the row, deleted: it has gone from his list, and nothing but the id is left.';

CREATE OR REPLACE FUNCTION chat.list_files(actor_id bigint, changed_after_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS TABLE (id bigint, owner_id bigint, name text, mime_type text, size bigint, sha256 text, url text, deleted boolean, version bigint, has_more boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	rows_wanted integer := chat.page_size(list_files.page_size);
BEGIN
	PERFORM chat.check_actor(list_files.actor_id);
	RETURN QUERY
	WITH found AS (
		SELECT f.*, row_number() OVER (ORDER BY f.version) AS rank FROM (
			SELECT l.* FROM chat.v_listed_files l
			 WHERE l.user_id = list_files.actor_id AND l.version > coalesce(list_files.changed_after_id, 0)
			   AND (list_files.changed_after_id IS NOT NULL OR NOT l.deleted)
			 ORDER BY l.version LIMIT rows_wanted + 1) f
	)
	SELECT f.id, f.owner_id, f.name, f.mime_type, f.size, f.sha256, f.url, f.deleted, f.version, (SELECT count(*) > rows_wanted FROM found)
	  FROM found f WHERE f.rank <= rows_wanted ORDER BY f.version;
END
$$;
COMMENT ON FUNCTION chat.list_files IS 'One''s own files and those that others have shared with one, ascending by version; files that only stand in chats are list_chat_files''. changed_after_id: version of the last row seen; then the list has also, with deleted = true, what has gone from it: deleted files and those no longer shared. MC400 invalid_argument (page_size).';
GRANT EXECUTE ON FUNCTION chat.list_files TO chat_user, chat_app; -- since 0.2.0

-- Sharing and deleting

CREATE OR REPLACE FUNCTION chat.set_file_share(file_id bigint, user_id bigint, shared boolean)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF set_file_share.shared THEN
		INSERT INTO chat.file_shares AS s (file_id, user_id, shared, version)
		VALUES (set_file_share.file_id, set_file_share.user_id, true, chat.take_id())
		ON CONFLICT ON CONSTRAINT file_shares_pkey DO UPDATE SET shared = true, version = chat.take_id(s.version) WHERE NOT s.shared;
	ELSE
		UPDATE chat.file_shares s SET shared = false, version = chat.take_id(s.version)
		 WHERE s.file_id = set_file_share.file_id AND s.user_id = set_file_share.user_id AND s.shared;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.set_file_share IS 'Shares or unshares; nothing happens where it is so already. The caller has locked the file.';

CREATE OR REPLACE FUNCTION chat.share_file(actor_id bigint, file_id bigint, user_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(share_file.actor_id);
	file := chat.lock_own_file(share_file.file_id, share_file.actor_id);
	IF file.deleted THEN
		PERFORM chat.fail('no_such_file');
	ELSIF NOT EXISTS (SELECT FROM chat.users u WHERE u.id = share_file.user_id AND NOT u.deleted) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	PERFORM chat.check_direct(share_file.actor_id, share_file.user_id);
	IF share_file.user_id <> share_file.actor_id AND NOT EXISTS (SELECT FROM chat.file_shares s
		WHERE s.file_id = file.id AND s.user_id = share_file.user_id AND s.shared) THEN
		PERFORM chat.check_limit('file_shares_max', (SELECT count(*) FROM (SELECT FROM chat.file_shares s
			WHERE s.file_id = file.id AND s.user_id <> share_file.user_id LIMIT chat.setting_integer('file_shares_max')) s), 'too_many_shares');
		PERFORM chat.approach_users(share_file.actor_id, ARRAY[share_file.user_id]);
		PERFORM chat.set_file_share(file.id, share_file.user_id, true);
	END IF;
	RETURN chat.get_file(share_file.actor_id, file.id);
END
$$;
COMMENT ON FUNCTION chat.share_file IS 'Lets another user read one''s own file; they hear of it and find it in list_files. Again is no error. MC403 not_owner, blocked, not_accepting; MC404 no_such_file, no_such_user; MC429 too_many_shares by the setting file_shares_max, which counts those that have ended too, too_many_approaches with a stranger.';
GRANT EXECUTE ON FUNCTION chat.share_file TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.unshare_file(actor_id bigint, file_id bigint, user_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(unshare_file.actor_id);
	file := chat.lock_own_file(unshare_file.file_id, unshare_file.actor_id);
	IF file.deleted THEN
		PERFORM chat.fail('no_such_file');
	END IF;
	PERFORM chat.set_file_share(file.id, unshare_file.user_id, false);
	RETURN chat.get_file(unshare_file.actor_id, file.id);
END
$$;
COMMENT ON FUNCTION chat.unshare_file IS 'Takes share_file back; messages that carry the file, and avatars, stay readable. Again is no error. MC403 not_owner; MC404 no_such_file.';
GRANT EXECUTE ON FUNCTION chat.unshare_file TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.delete_file(actor_id bigint, file_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
BEGIN
	PERFORM chat.check_actor(delete_file.actor_id);
	IF EXISTS (SELECT FROM chat.users u WHERE u.id = delete_file.actor_id AND u.avatar_file_id = delete_file.file_id) THEN
		PERFORM chat.edit_profile(delete_file.actor_id, avatar_file_id => 0);
	END IF;
	file := chat.lock_own_file(delete_file.file_id, delete_file.actor_id);
	IF NOT file.deleted THEN
		PERFORM chat.drop_file(file);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.delete_file IS 'Deletes one''s own file for everybody: messages that carry it show it as deleted, shares end, a profile''s avatar is none any more. Its quota is free at once, its content goes with the next maintenance unless other files have the same. Again is no error. MC403 not_owner; MC404 no_such_file.';
GRANT EXECUTE ON FUNCTION chat.delete_file TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.drop_file(file chat.files)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE chat.files f SET deleted = true, name = '', mime_type = 'application/octet-stream', size = NULL, content_id = NULL, url = NULL,
		version = chat.take_id(f.version) WHERE f.id = drop_file.file.id;
	PERFORM chat.set_file_share(s.file_id, s.user_id, false)
	   FROM chat.file_shares s WHERE s.file_id = drop_file.file.id AND s.shared ORDER BY s.user_id;
	IF drop_file.file.content_id IS NOT NULL THEN
		PERFORM chat.take_quota(drop_file.file.owner_id, -drop_file.file.size);
		PERFORM chat.release_content(drop_file.file.content_id);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.drop_file IS 'Deletes a file that the caller has locked and found not deleted.';

-- A file is shared with nobody any more before it goes, as that may be many.
CREATE OR REPLACE FUNCTION chat.drop_files(owner_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	step integer := least(drop_files.batch, 20);
	file_ids bigint[] := ARRAY(SELECT f.id FROM chat.files f WHERE f.owner_id = drop_files.owner_id AND NOT f.deleted ORDER BY f.version LIMIT step);
	upload_ids bigint[] := ARRAY(SELECT u.id FROM chat.uploads u WHERE u.owner_id = drop_files.owner_id LIMIT step);
	unshared integer;
BEGIN
	WITH picked AS (
		SELECT s.file_id, s.user_id FROM chat.file_shares s
		 WHERE s.shared AND (s.file_id = ANY (file_ids) OR s.user_id = drop_files.owner_id) LIMIT least(drop_files.batch, 100)
	)
	UPDATE chat.file_shares s SET shared = false, version = chat.take_id(s.version)
	  FROM picked o WHERE s.file_id = o.file_id AND s.user_id = o.user_id;
	GET DIAGNOSTICS unshared = ROW_COUNT;
	IF unshared > 0 THEN
		RETURN unshared;
	END IF;
	-- Others have files with the same content: contents in the order of their ids, in the place that they have among the locks.
	PERFORM count(*) FROM (SELECT FROM chat.files f WHERE f.id = ANY (file_ids) ORDER BY f.id FOR NO KEY UPDATE) locked;
	PERFORM count(*) FROM (SELECT FROM chat.uploads u WHERE u.id = ANY (upload_ids) ORDER BY u.id FOR UPDATE) locked;
	PERFORM FROM chat.file_usage u WHERE u.user_id = drop_files.owner_id FOR NO KEY UPDATE;
	PERFORM count(*) FROM (SELECT FROM chat.contents c WHERE c.id IN (
			SELECT f.content_id FROM chat.files f WHERE f.id = ANY (file_ids)
			UNION ALL SELECT u.content_id FROM chat.uploads u WHERE u.id = ANY (upload_ids))
		 ORDER BY c.id FOR NO KEY UPDATE) locked;
	PERFORM chat.drop_file(f) FROM chat.files f WHERE f.id = ANY (file_ids);
	PERFORM chat.drop_upload(u) FROM chat.uploads u WHERE u.id = ANY (upload_ids);
	RETURN cardinality(file_ids || upload_ids);
END
$$;
COMMENT ON FUNCTION chat.drop_files IS 'For erasing a user: deletes at most batch of their files and uploads, after what they have shared and what others have shared with them is shared no more; answers how many of these rows.';

CREATE OR REPLACE FUNCTION chat.drop_upload(upload chat.uploads)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM chat.uploads u WHERE u.id = drop_upload.upload.id;
	DELETE FROM chat.chunks k WHERE k.content_id = drop_upload.upload.id;
	PERFORM chat.take_quota(drop_upload.upload.owner_id, -drop_upload.upload.size);
	PERFORM chat.release_content(drop_upload.upload.content_id);
END
$$;
COMMENT ON FUNCTION chat.drop_upload IS 'Drops an upload that the caller has locked.';

-- Where others use files

CREATE OR REPLACE FUNCTION chat.check_file_count(file_ids bigint[])
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF cardinality(file_ids) > chat.setting_integer('message_files_max') THEN
		PERFORM chat.fail('invalid_argument', 'there are too many file_ids', format('Use at most %s.', chat.setting_integer('message_files_max')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_file_count IS 'Raises MC400 invalid_argument for more files than the setting message_files_max.';

CREATE OR REPLACE FUNCTION chat.attach_files(chat_id bigint, message_id bigint, file_ids bigint[], sender_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	wanted bigint[];
BEGIN
	PERFORM chat.check_file_count(attach_files.file_ids);
	wanted := ARRAY(SELECT DISTINCT i FROM unnest(attach_files.file_ids) i ORDER BY i);
	IF cardinality(wanted) < cardinality(attach_files.file_ids) THEN
		PERFORM chat.fail('invalid_argument', 'file_ids names a file twice', 'Name each once.');
	END IF;
	-- The lock keeps delete_file out until the message is there, or finds the file deleted.
	PERFORM FROM chat.files f WHERE f.id = ANY (wanted) ORDER BY f.id FOR SHARE;
	PERFORM chat.check_readable_file(i, attach_files.sender_id) FROM unnest(wanted) i;
	INSERT INTO chat.attachments (chat_id, message_id, file_id) SELECT attach_files.chat_id, attach_files.message_id, i FROM unnest(wanted) i;
END
$$;
COMMENT ON FUNCTION chat.attach_files IS 'Makes the files readable for the members of the chat, as parts of this message. MC404 no_such_file for what the sender cannot read; MC400 invalid_argument for a file named twice and for more than the setting message_files_max.';

CREATE OR REPLACE FUNCTION chat.detach_files(chat_id bigint, message_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	DELETE FROM chat.attachments a WHERE a.chat_id = detach_files.chat_id AND a.message_id = detach_files.message_id;
END
$$;
COMMENT ON FUNCTION chat.detach_files IS 'The message carries no files any more. The files stay their owners'' until they delete them.';

CREATE OR REPLACE FUNCTION chat.check_avatar(actor_id bigint, file_id bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	file chat.files;
BEGIN
	SELECT f.* INTO file FROM chat.files f WHERE f.id = check_avatar.file_id FOR SHARE;
	PERFORM chat.check_readable_file(check_avatar.file_id, check_avatar.actor_id);
	IF file.owner_id <> check_avatar.actor_id THEN
		PERFORM chat.fail('not_owner');
	ELSIF file.url IS NOT NULL THEN
		PERFORM chat.fail('file_is_link', 'an avatar is an uploaded image', 'Upload it: who sees an avatar is not to be led to another server.');
	ELSIF file.mime_type NOT LIKE 'image/%' THEN
		PERFORM chat.fail('invalid_argument', 'an avatar is an image', 'Use a file of type image/*.');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_avatar IS 'Whether actor_id may make this file an avatar, which everybody can read: an image of their own, uploaded, not a link. Nobody deletes it before the transaction ends. MC400 invalid_argument; MC403 not_owner; MC404 no_such_file; MC409 file_is_link.';

-- What is published: each change of a row of somebody's list_files.
CREATE OR REPLACE FUNCTION chat.file_event(listed chat.v_listed_files)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
	SELECT jsonb_build_object('type', 'file_shared', 'version', listed.version::text, 'at', chat.rfc3339(chat.id_time(listed.version)),
		'id', listed.id::text, 'owner_id', listed.owner_id::text, 'name', listed.name, 'mime_type', listed.mime_type,
		'size', listed.size::text, 'sha256', listed.sha256, 'url', listed.url, 'deleted', listed.deleted)
$$;
COMMENT ON FUNCTION chat.file_event IS 'The file_shared event, as it is published and as sync tells it.';

CREATE OR REPLACE FUNCTION chat.publish_file()
RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF chat.took(NEW.version) THEN
		PERFORM chat.publish(chat.file_event(l), ARRAY[l.user_id])
		   FROM chat.v_listed_files l WHERE l.version = NEW.version AND l.id = CASE TG_TABLE_NAME
			WHEN 'files' THEN (to_jsonb(NEW) ->> 'id')::bigint ELSE (to_jsonb(NEW) ->> 'file_id')::bigint END;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION chat.publish_file IS 'Trigger: the file_shared event, one''s changed row of list_files, to the one whose list it is.';
CREATE OR REPLACE TRIGGER publish_file AFTER INSERT OR UPDATE ON chat.files
FOR EACH ROW EXECUTE FUNCTION chat.publish_file();
CREATE OR REPLACE TRIGGER publish_file AFTER INSERT OR UPDATE ON chat.file_shares
FOR EACH ROW EXECUTE FUNCTION chat.publish_file();

-- Large objects: PostgreSQL has them, YSQL does not.

CREATE OR REPLACE FUNCTION chat.check_large_objects()
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF version() LIKE '%-YB-%' THEN
		PERFORM chat.fail('no_large_objects');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_large_objects IS 'Raises MC400 no_large_objects where there are none.';

-- These four do what PostgreSQL's functions for large objects do, with the rights of the caller of the function that calls them: its owner
-- has no rights on large objects, nor lends any.
CREATE OR REPLACE FUNCTION chat.large_object_size(id oid)
RETURNS bigint LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_large_object_size';
COMMENT ON FUNCTION chat.large_object_size IS 'Bytes of the large object, as the role that the session acts as.';
CREATE OR REPLACE FUNCTION chat.read_large_object(id oid, start bigint, length integer)
RETURNS bytea LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_read_large_object';
COMMENT ON FUNCTION chat.read_large_object IS 'Bytes of the large object from start on, as the role that the session acts as.';
CREATE OR REPLACE FUNCTION chat.create_large_object()
RETURNS oid LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_create_large_object';
COMMENT ON FUNCTION chat.create_large_object IS 'A new large object of the role that the session acts as.';
CREATE OR REPLACE FUNCTION chat.write_large_object(id oid, start bigint, bytes bytea)
RETURNS void LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_write_large_object';
COMMENT ON FUNCTION chat.write_large_object IS 'Writes into the large object from start on, as the role that the session acts as.';

CREATE OR REPLACE FUNCTION chat.import_large_object(oid oid, name text, mime_type text, owner_id bigint)
RETURNS chat.v_files LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	upload chat.v_uploads;
	length bigint;
BEGIN
	PERFORM chat.check_large_objects();
	BEGIN
		length := chat.large_object_size(import_large_object.oid);
	EXCEPTION WHEN undefined_object OR insufficient_privilege THEN
		NULL;
	END;
	IF length IS NULL THEN
		PERFORM chat.fail('no_such_file', 'no such large object, or not readable for you');
	ELSIF NOT EXISTS (SELECT FROM chat.users u WHERE u.id = import_large_object.owner_id AND NOT u.deleted) THEN
		PERFORM chat.fail('no_such_user');
	END IF;
	upload := chat.begin_upload(import_large_object.owner_id, import_large_object.name, import_large_object.mime_type, length);
	PERFORM chat.append_upload(import_large_object.owner_id, upload.id, at, chat.read_large_object(import_large_object.oid, at, 1048576))
	   FROM generate_series(0, length - 1, 1048576) at;
	RETURN chat.finish_upload(import_large_object.owner_id, upload.id);
END
$$;
COMMENT ON FUNCTION chat.import_large_object IS 'Makes a file of a large object that the caller may read; the large object stays. Limits and errors are begin_upload''s and finish_upload''s; MC400 no_large_objects where the database has none; MC404 no_such_file for the large object, no_such_user.';
GRANT EXECUTE ON FUNCTION chat.import_large_object TO chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.export_large_object(file_id bigint)
RETURNS oid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	file chat.files;
	made oid;
BEGIN
	PERFORM chat.check_large_objects();
	SELECT f.* INTO file FROM chat.files f
	 WHERE f.id = export_large_object.file_id AND NOT f.deleted AND NOT EXISTS (SELECT FROM chat.erasures e WHERE e.user_id = f.owner_id) FOR SHARE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_file');
	ELSIF file.url IS NOT NULL THEN
		PERFORM chat.fail('file_is_link');
	END IF;
	made := chat.create_large_object();
	PERFORM chat.write_large_object(made, k.number * 262144::bigint, k.bytes) FROM chat.chunks k WHERE k.content_id = file.content_id ORDER BY k.number;
	RETURN made;
END
$$;
COMMENT ON FUNCTION chat.export_large_object IS 'Copies a file into a new large object, which is the caller''s to read and to remove. MC400 no_large_objects where the database has none; MC404 no_such_file; MC409 file_is_link.';
GRANT EXECUTE ON FUNCTION chat.export_large_object TO chat_app; -- since 0.2.0

-- Jobs of maintenance

CREATE OR REPLACE FUNCTION chat.expire_uploads(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ends_at timestamptz := chat.batch_end();
	upload chat.uploads;
	expired integer := 0;
BEGIN
	FOR upload IN
		SELECT u.* FROM chat.uploads u WHERE u.id < chat.id_at(now() - chat.setting_interval('upload_lifetime'))
		 ORDER BY u.owner_id, u.id LIMIT expire_uploads.batch FOR UPDATE SKIP LOCKED
	LOOP
		PERFORM chat.drop_upload(upload);
		expired := expired + 1;
		EXIT WHEN clock_timestamp() > ends_at;
	END LOOP;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_uploads IS 'A job: drops at most batch uploads older than the setting upload_lifetime, and answers how many.';

CREATE OR REPLACE FUNCTION chat.collect_contents(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	ends_at timestamptz := chat.batch_end();
	unused bigint;
	collected integer := 0;
BEGIN
	-- A finish_upload with the same bytes has the row locked, or waits here and then makes it anew.
	FOR unused IN
		SELECT c.id FROM chat.contents c WHERE c.use_count = 0 ORDER BY c.id LIMIT collect_contents.batch FOR UPDATE SKIP LOCKED
	LOOP
		DELETE FROM chat.contents c WHERE c.id = unused;
		DELETE FROM chat.chunks k WHERE k.content_id = unused;
		collected := collected + 1;
		EXIT WHEN clock_timestamp() > ends_at;
	END LOOP;
	RETURN collected;
END
$$;
COMMENT ON FUNCTION chat.collect_contents IS 'A job: deletes at most batch contents that no file has any more, and answers how many.';

CREATE OR REPLACE FUNCTION chat.forget_files(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	forgotten bigint[];
BEGIN
	WITH old AS (
		SELECT f.id FROM chat.files f
		 WHERE f.deleted AND f.version < chat.id_at(now() - chat.setting_interval('event_retention'))
		   AND NOT EXISTS (SELECT FROM chat.attachments a WHERE a.file_id = f.id)
		   AND NOT EXISTS (SELECT FROM chat.users u WHERE u.avatar_file_id = f.id)
		   AND NOT EXISTS (SELECT FROM chat.chats c WHERE c.avatar_file_id = f.id)
		 ORDER BY f.version LIMIT forget_files.batch FOR UPDATE SKIP LOCKED
	), gone AS (
		DELETE FROM chat.files f USING old o WHERE f.id = o.id RETURNING f.id
	)
	SELECT coalesce(array_agg(g.id), '{}') INTO forgotten FROM gone g;
	DELETE FROM chat.file_shares s WHERE s.file_id = ANY (forgotten);
	RETURN cardinality(forgotten);
END
$$;
COMMENT ON FUNCTION chat.forget_files IS 'A job: removes at most batch rows of files that were deleted before the setting event_retention and that nothing names, and answers how many.';
