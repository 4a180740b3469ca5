-- Sending does not touch the search index: maintenance brings it up to date (index_messages), and search reads the messages
-- that it has not reached yet themselves. So search is exact at any time, and fast as long as maintenance runs.
-- client_min_messages: that a word is too long for the index is no news to whoever runs these.

CREATE OR REPLACE FUNCTION chat.chat_word(chat_id bigint)
RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT E'\x01' || chat_word.chat_id $$;
COMMENT ON FUNCTION chat.chat_word IS 'The word that stands for a chat in the search index: none that a text can have.';

CREATE OR REPLACE FUNCTION chat.sender_word(sender_id bigint)
RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT E'\x02' || sender_word.sender_id $$;
COMMENT ON FUNCTION chat.sender_word IS 'The word that stands for a sender in the search index: none that a text can have.';

CREATE OR REPLACE FUNCTION chat.words_of(message chat.messages)
RETURNS tsvector LANGUAGE sql STABLE AS $$
	SELECT array_to_tsvector(ARRAY[chat.chat_word(message.chat_id), chat.sender_word(message.sender_id)])
		|| to_tsvector(chat.setting_text('search_language')::regconfig, message.body)
$$;
COMMENT ON FUNCTION chat.words_of IS 'What the search index holds of a message.';

CREATE OR REPLACE FUNCTION chat.index_message(message chat.messages)
RETURNS void LANGUAGE plpgsql VOLATILE SET client_min_messages = warning AS $$
BEGIN
	UPDATE chat.message_words w SET words = chat.words_of(message) WHERE w.chat_id = message.chat_id AND w.message_id = message.id;
END
$$;
COMMENT ON FUNCTION chat.index_message IS 'An edited message, if the search index has it already; under the chat''s lock, which index_messages takes too.';

CREATE OR REPLACE FUNCTION chat.index_messages(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
	behind bigint;
	indexed integer := 0;
BEGIN
	FOR behind IN
		SELECT c.id FROM chat.chats c LEFT JOIN chat.search_cursors s ON s.chat_id = c.id
		 WHERE c.deleted_id IS NULL
		   AND (s.chat_id IS NULL OR s.indexed_id < c.last_event_id OR s.language <> chat.setting_text('search_language'))
		 ORDER BY c.id LIMIT index_messages.batch
	LOOP
		PERFORM FROM chat.chats c WHERE c.id = behind AND c.deleted_id IS NULL FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND THEN
			indexed := indexed + chat.index_chat(behind, index_messages.batch - indexed);
		END IF;
		EXIT WHEN indexed >= index_messages.batch;
	END LOOP;
	RETURN indexed;
END
$$;
COMMENT ON FUNCTION chat.index_messages IS 'Brings at most batch timeline rows of chats that have changed into the search index; answers how many. Holds the chats meanwhile: small batches. A chat that somebody holds waits for the next time. Part of run_maintenance.';

CREATE OR REPLACE FUNCTION chat.index_chat(chat_id bigint, batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	present_language text := chat.setting_text('search_language');
	found_rows integer;
	reached bigint;
BEGIN
	DELETE FROM chat.search_cursors s WHERE s.chat_id = index_chat.chat_id AND s.language <> present_language;
	IF FOUND THEN
		DELETE FROM chat.message_words w WHERE w.chat_id = index_chat.chat_id;
	END IF;
	INSERT INTO chat.search_cursors (chat_id, indexed_id, language) VALUES (index_chat.chat_id, 0, present_language) ON CONFLICT DO NOTHING;
	WITH next AS (
		SELECT m.* FROM chat.messages m JOIN chat.search_cursors s ON s.chat_id = m.chat_id
		 WHERE m.chat_id = index_chat.chat_id AND m.id > s.indexed_id ORDER BY m.id LIMIT index_chat.batch
	), added AS (
		INSERT INTO chat.message_words (chat_id, message_id, words)
		SELECT n.chat_id, n.id, chat.words_of(ROW(n.*)::chat.messages) FROM next n WHERE n.kind = 'user' AND n.deleted_id IS NULL
	)
	SELECT count(*), max(n.id) INTO found_rows, reached FROM next n;
	UPDATE chat.search_cursors s
	   SET indexed_id = CASE WHEN found_rows < index_chat.batch THEN (SELECT c.last_event_id FROM chat.chats c WHERE c.id = s.chat_id) ELSE reached END
	 WHERE s.chat_id = index_chat.chat_id;
	RETURN found_rows;
END
$$;
COMMENT ON FUNCTION chat.index_chat IS 'index_messages for one chat, whose lock the caller holds.';

CREATE OR REPLACE FUNCTION chat.search_messages(actor_id bigint, query text, chat_id bigint DEFAULT NULL, from_user_id bigint DEFAULT NULL,
	before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.message_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
	size integer := chat.page_size(search_messages.page_size);
	wanted tsquery := websearch_to_tsquery(chat.setting_text('search_language')::regconfig, search_messages.query);
BEGIN
	PERFORM chat.check_actor(search_messages.actor_id);
	IF search_messages.chat_id IS NOT NULL THEN
		PERFORM chat.visible_range(search_messages.chat_id, search_messages.actor_id);
	END IF;
	IF coalesce(numnode(wanted), 0) = 0 THEN
		PERFORM chat.fail('empty_query');
	END IF;
	IF search_messages.from_user_id IS NOT NULL THEN
		wanted := wanted && chat.exactly(chat.sender_word(search_messages.from_user_id));
	END IF;
	RETURN QUERY
	WITH page AS (
		SELECT f.chat_id, f.id FROM chat.find_messages(search_messages.actor_id, wanted, search_messages.chat_id,
			coalesce(search_messages.before_id, 9223372036854775807), size + 1) f
	)
	SELECT d.*, (SELECT count(*) > size FROM page)
	  FROM (SELECT p.* FROM page p ORDER BY p.id DESC LIMIT size) s,
		LATERAL chat.describe_messages(s.chat_id, ARRAY[s.id], search_messages.actor_id) d
	 ORDER BY d.id DESC;
END
$$;
COMMENT ON FUNCTION chat.search_messages IS 'Messages that match a query in the manner of web search engines (words, "a phrase", or, -without), in one chat or all of one''s own, of one sender or all; newest first, as list_messages shows them; before_id: the last one seen. Only what one could list. Words are those of the setting search_language. MC400 empty_query, invalid_argument; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.search_messages TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.exactly(word text)
RETURNS tsquery LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ('''' || exactly.word || '''')::tsquery $$;
COMMENT ON FUNCTION chat.exactly IS 'The query for a word of the search index that needs no quoting.';

CREATE OR REPLACE FUNCTION chat.find_messages(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer)
RETURNS TABLE (chat_id bigint, id bigint) LANGUAGE sql STABLE AS $$
	WITH own AS (
		SELECT m.chat_id, m.visible_from AS low, coalesce(m.left_id, 9223372036854775807) AS high, coalesce(s.indexed_id, 0) AS indexed_id
		  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.search_cursors s ON s.chat_id = m.chat_id
		 WHERE m.user_id = find_messages.actor_id AND c.deleted_id IS NULL
		   AND (find_messages.only_chat_id IS NULL OR m.chat_id = find_messages.only_chat_id)
	), found AS (
		SELECT w.chat_id, w.message_id AS id, o.high
		  FROM own o JOIN chat.message_words w ON w.words @@ (find_messages.wanted && chat.exactly(chat.chat_word(o.chat_id)))
		 WHERE w.message_id > o.low AND w.message_id <= o.high AND w.message_id < find_messages.before_id
		UNION ALL
		SELECT m.chat_id, m.id, o.high
		  FROM own o JOIN chat.messages m ON m.chat_id = o.chat_id AND m.id > greatest(o.low, o.indexed_id)
		 WHERE m.id <= o.high AND m.id < find_messages.before_id AND m.kind = 'user' AND m.deleted_id IS NULL
		   AND chat.words_of(m) @@ find_messages.wanted
	)
	SELECT f.chat_id, f.id FROM found f
	 WHERE NOT EXISTS (SELECT FROM chat.hidden_messages h
		WHERE h.user_id = find_messages.actor_id AND h.chat_id = f.chat_id AND h.message_id = f.id)
	-- Words that came into a message after one has left tell nothing.
	   AND NOT (f.high < 9223372036854775807 AND EXISTS (SELECT FROM chat.messages m
		WHERE m.chat_id = f.chat_id AND m.id = f.id AND m.edited_id > f.high))
	 ORDER BY f.id DESC LIMIT find_messages.size
$$;
COMMENT ON FUNCTION chat.find_messages IS 'The newest messages that match and that this user may see: those in the search index, and those behind it.';
