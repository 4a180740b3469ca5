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

-- It goes round the chats, so that what a batch has passed is not looked at again by the next one.
CREATE OR REPLACE FUNCTION chat.index_messages(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
	reached bigint := chat.claim_job('index_messages');
	ends_at timestamptz;
	behind bigint;
	indexed integer := 0;
BEGIN
	FOR behind IN SELECT l.id FROM chat.lagging_chats(reached, index_messages.batch) l LOOP
		ends_at := coalesce(ends_at, chat.batch_end());
		PERFORM FROM chat.chats c WHERE c.id = behind AND c.deleted_id IS NULL FOR NO KEY UPDATE SKIP LOCKED;
		IF FOUND THEN
			indexed := indexed + chat.index_chat(behind, index_messages.batch - indexed, ends_at);
		END IF;
		reached := behind;
		EXIT WHEN indexed >= index_messages.batch OR clock_timestamp() > ends_at;
	END LOOP;
	UPDATE chat.maintenance m SET position = reached WHERE m.job = 'index_messages' AND m.position <> reached;
	RETURN indexed;
END
$$;
COMMENT ON FUNCTION chat.index_messages IS 'A job: brings at most batch timeline rows of chats that have changed into the search index; answers how many. Holds the chats meanwhile. A chat that somebody holds waits for the next time.';
CREATE OR REPLACE FUNCTION chat.lagging_chats(after_id bigint, wanted integer)
RETURNS TABLE (id bigint) LANGUAGE sql STABLE AS $$
	WITH behind AS NOT MATERIALIZED (
		SELECT c.id FROM chat.chats c LEFT JOIN chat.search_cursors s ON s.chat_id = c.id
		 WHERE c.deleted_id IS NULL
		   AND (s.chat_id IS NULL OR s.indexed_id < c.last_event_id OR s.language <> chat.setting_text('search_language'))
	)
	(SELECT b.id FROM behind b WHERE b.id > lagging_chats.after_id ORDER BY b.id LIMIT lagging_chats.wanted)
	UNION ALL (SELECT b.id FROM behind b WHERE b.id <= lagging_chats.after_id ORDER BY b.id LIMIT lagging_chats.wanted)
	 LIMIT lagging_chats.wanted
$$;
COMMENT ON FUNCTION chat.lagging_chats IS 'The next chats after this one, going round, of which the search index has not all.';

CREATE OR REPLACE FUNCTION chat.index_chat(chat_id bigint, batch integer, ends_at timestamptz)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	present_language text := chat.setting_text('search_language');
	step integer;
	found_rows integer;
	reached bigint;
	last_id bigint;
	indexed integer := 0;
BEGIN
	DELETE FROM chat.search_cursors s WHERE s.chat_id = index_chat.chat_id AND s.language <> present_language;
	IF FOUND THEN
		DELETE FROM chat.message_words w WHERE w.chat_id = index_chat.chat_id;
	END IF;
	INSERT INTO chat.search_cursors (chat_id, indexed_id, language) VALUES (index_chat.chat_id, 0, present_language) ON CONFLICT DO NOTHING;
	SELECT s.indexed_id INTO reached FROM chat.search_cursors s WHERE s.chat_id = index_chat.chat_id;
	LOOP
		step := least(index_chat.batch - indexed, 16);
		WITH next AS (
			SELECT m.* FROM chat.messages m WHERE m.chat_id = index_chat.chat_id AND m.id > reached ORDER BY m.id LIMIT step
		), added AS (
			INSERT INTO chat.message_words (chat_id, message_id, words)
			SELECT n.chat_id, n.id, chat.words_of(ROW(n.*)::chat.messages) FROM next n WHERE n.kind = 'user' AND n.deleted_id IS NULL
		)
		SELECT count(*), max(n.id) INTO found_rows, last_id FROM next n;
		indexed := indexed + found_rows;
		reached := CASE WHEN found_rows < step THEN (SELECT c.last_event_id FROM chat.chats c WHERE c.id = index_chat.chat_id) ELSE last_id END;
		EXIT WHEN found_rows < step OR indexed >= index_chat.batch OR clock_timestamp() > index_chat.ends_at;
	END LOOP;
	UPDATE chat.search_cursors s SET indexed_id = reached WHERE s.chat_id = index_chat.chat_id;
	RETURN indexed;
END
$$;
COMMENT ON FUNCTION chat.index_chat IS 'index_messages for one chat, whose lock the caller holds, until ends_at.';

-- A search must not tell either which messages of an account that has ended had a word.
CREATE OR REPLACE FUNCTION chat.without_erased(wanted tsquery)
RETURNS tsquery LANGUAGE plpgsql STABLE AS $$
DECLARE
	erased_id bigint;
BEGIN
	FOR erased_id IN SELECT e.user_id FROM chat.erasures e LOOP
		wanted := wanted && !! chat.exactly(chat.sender_word(erased_id));
	END LOOP;
	RETURN wanted;
END
$$;
COMMENT ON FUNCTION chat.without_erased IS 'The query, for messages of others than those whose account has ended and is being removed.';

CREATE OR REPLACE FUNCTION chat.parse_query(query text)
RETURNS tsquery LANGUAGE plpgsql STABLE AS $$
DECLARE
	words tsquery;
BEGIN
	IF char_length(parse_query.query) > chat.setting_integer('query_length_max')
		OR cardinality(regexp_split_to_array(btrim(parse_query.query), '\s+')) > chat.setting_integer('query_words_max') THEN
		PERFORM chat.fail('query_too_long', NULL,
			format('Use at most %s characters and %s words.', chat.setting_integer('query_length_max'), chat.setting_integer('query_words_max')));
	END IF;
	-- Signs that mean nothing here, and dashes in a row, which the parser would take for NOT NOT …, and fail of more than 32 of them
	words := websearch_to_tsquery(chat.setting_text('search_language')::regconfig,
		regexp_replace(translate(parse_query.query, '()&|!<>:*\', '          '), '-(\s*-)+', ' ', 'g'));
	IF coalesce(numnode(words), 0) = 0 THEN
		PERFORM chat.fail('empty_query');
	END IF;
	RETURN words;
END
$$;
COMMENT ON FUNCTION chat.parse_query IS 'The query that search_messages is asked. MC400 empty_query, query_too_long.';

CREATE OR REPLACE FUNCTION chat.search_messages(actor_id bigint, query text, chat_id bigint DEFAULT NULL, from_user_id bigint DEFAULT NULL,
	before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL)
RETURNS SETOF chat.message_page LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
	size integer := chat.page_size(search_messages.page_size);
	wanted tsquery;
BEGIN
	PERFORM chat.check_actor(search_messages.actor_id);
	wanted := chat.parse_query(search_messages.query);
	IF search_messages.chat_id IS NOT NULL THEN
		PERFORM chat.visible_range(search_messages.chat_id, search_messages.actor_id);
	END IF;
	IF search_messages.from_user_id IS NOT NULL THEN
		wanted := wanted && chat.exactly(chat.sender_word(search_messages.from_user_id));
	END IF;
	RETURN QUERY
	WITH page AS (
		SELECT f.chat_id, f.id FROM chat.find_messages(search_messages.actor_id, chat.without_erased(wanted), search_messages.chat_id,
			coalesce(search_messages.before_id, 9223372036854775807), size + 1) f
	)
	SELECT d.*, (SELECT count(*) > size FROM page)
	  FROM (SELECT p.* FROM page p ORDER BY p.id DESC LIMIT size) s,
		LATERAL chat.describe_messages(s.chat_id, ARRAY[s.id], search_messages.actor_id) d
	 ORDER BY d.id DESC;
END
$$;
COMMENT ON FUNCTION chat.search_messages IS 'Messages that match a query in the manner of web search engines (words, "a phrase", or, -without), in one chat or all of one''s own, of one sender or all; newest first, as list_messages shows them; before_id: the last one seen. Only what one could list. Words are those of the setting search_language. query: at most the settings query_length_max characters and query_words_max words. MC400 empty_query, query_too_long, invalid_argument; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.search_messages TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.exactly(word text)
RETURNS tsquery LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT ('''' || exactly.word || '''')::tsquery $$;
COMMENT ON FUNCTION chat.exactly IS 'The query for a word of the search index that needs no quoting.';

CREATE OR REPLACE FUNCTION chat.searched_chats(actor_id bigint, only_chat_id bigint)
RETURNS TABLE (chat_id bigint, low bigint, high bigint, indexed_id bigint, last_id bigint, message_count integer) LANGUAGE sql STABLE AS $$
	SELECT m.chat_id, m.visible_from, coalesce(m.left_id, 9223372036854775807), coalesce(s.indexed_id, 0), least(c.last_event_id, m.left_id), c.message_count
	  FROM chat.members m JOIN chat.chats c ON c.id = m.chat_id LEFT JOIN chat.search_cursors s ON s.chat_id = m.chat_id
	 WHERE m.user_id = searched_chats.actor_id AND c.deleted_id IS NULL
	   AND (searched_chats.only_chat_id IS NULL OR m.chat_id = searched_chats.only_chat_id)
$$;
COMMENT ON FUNCTION chat.searched_chats IS 'Where this user may find something: ids above low, up to high; how far the search index is; the last id there can be.';

-- Words that came into a message after one has left tell nothing.
CREATE OR REPLACE FUNCTION chat.is_edited_after(chat_id bigint, message_id bigint, left_id bigint)
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN EXISTS (SELECT FROM chat.messages m
		WHERE m.chat_id = is_edited_after.chat_id AND m.id = is_edited_after.message_id AND m.edited_id > is_edited_after.left_id);
END
$$;
COMMENT ON FUNCTION chat.is_edited_after IS 'Whether the message reads otherwise than it did at the event left_id.';

CREATE OR REPLACE FUNCTION chat.find_in_tails(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer)
RETURNS TABLE (chat_id bigint, id bigint) LANGUAGE sql STABLE AS $$
	SELECT m.chat_id, m.id
	  FROM chat.searched_chats(find_in_tails.actor_id, find_in_tails.only_chat_id) s
	  JOIN chat.messages m ON m.chat_id = s.chat_id AND m.id > greatest(s.low, s.indexed_id)
	 WHERE m.id <= s.high AND m.id < find_in_tails.before_id AND m.kind = 'user' AND m.deleted_id IS NULL
	   AND chat.words_of(m) @@ find_in_tails.wanted AND NOT coalesce(m.edited_id > s.high, false)
	   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = find_in_tails.actor_id AND h.chat_id = m.chat_id AND h.message_id = m.id)
	 ORDER BY m.id DESC LIMIT find_in_tails.size
$$;
COMMENT ON FUNCTION chat.find_in_tails IS 'The newest matches among the messages that the search index has not reached.';

CREATE OR REPLACE FUNCTION chat.find_in_index(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer)
RETURNS TABLE (chat_id bigint, id bigint) LANGUAGE sql STABLE AS $$
	SELECT w.chat_id, w.message_id
	  FROM chat.searched_chats(find_in_index.actor_id, find_in_index.only_chat_id) s
	  JOIN chat.message_words w ON w.words @@ (find_in_index.wanted && chat.exactly(chat.chat_word(s.chat_id)))
	 WHERE w.message_id > s.low AND w.message_id <= s.high AND w.message_id < find_in_index.before_id
	   AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = find_in_index.actor_id AND h.chat_id = w.chat_id AND h.message_id = w.message_id)
	   AND NOT (s.high < 9223372036854775807 AND chat.is_edited_after(w.chat_id, w.message_id, s.high))
	 ORDER BY w.message_id DESC LIMIT find_in_index.size
$$;
COMMENT ON FUNCTION chat.find_in_index IS 'The newest matches that the search index has; it collects all there are.';

-- Chat by chat, the latest event first: once the page is full, a chat without anything newer than its end need not be looked at.
CREATE OR REPLACE FUNCTION chat.find_by_looking(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer, budget integer,
	INOUT chat_ids bigint[], INOUT ids bigint[], OUT matches integer, OUT complete boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	place record;
	seen record;
	unspent integer := find_by_looking.budget;
BEGIN
	matches := 0;
	complete := true;
	FOR place IN SELECT s.* FROM chat.searched_chats(find_by_looking.actor_id, find_by_looking.only_chat_id) s ORDER BY s.last_id DESC LOOP
		EXIT WHEN ids[size] >= place.last_id;
		IF unspent = 0 THEN
			complete := false;
			EXIT;
		END IF;
		SELECT count(*) AS rows, min(w.message_id) AS lowest,
				array_agg(w.message_id) FILTER (WHERE w.words @@ wanted AND NOT EXISTS (SELECT FROM chat.hidden_messages h
					WHERE h.user_id = find_by_looking.actor_id AND h.chat_id = place.chat_id AND h.message_id = w.message_id)
					AND NOT (place.high < 9223372036854775807 AND chat.is_edited_after(place.chat_id, w.message_id, place.high))) AS found
		  INTO seen
		  FROM (SELECT w.message_id, w.words FROM chat.message_words w
				 WHERE w.chat_id = place.chat_id AND w.message_id > greatest(place.low, ids[size])
				   AND w.message_id <= place.high AND w.message_id < find_by_looking.before_id
				 ORDER BY w.message_id DESC LIMIT unspent) w;
		IF seen.found IS NOT NULL THEN
			matches := matches + cardinality(seen.found);
			SELECT array_agg(p.chat_id ORDER BY p.id DESC), array_agg(p.id ORDER BY p.id DESC) INTO chat_ids, ids
			  FROM (SELECT u.chat_id, u.id FROM unnest(chat_ids, ids) AS u (chat_id, id)
					UNION ALL SELECT place.chat_id, f FROM unnest(seen.found) f
					ORDER BY id DESC LIMIT size) p;
		END IF;
		unspent := unspent - seen.rows;
		IF unspent = 0 AND (ids[size] >= seen.lowest) IS NOT TRUE THEN
			complete := false;
			EXIT;
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION chat.find_by_looking IS 'Adds to a page (chat_ids and ids, newest first) the newest matches that the search index has, by looking at its rows, at most budget of them; complete: nothing newer is left out. matches: how many of the rows did match.';

-- A word that is in every other message is found at once by looking at the newest ones, a rare one by the index, which collects
-- all there are. Which it is, the first 1,000 rows tell. A match from the index costs what four rows cost to look at.
CREATE OR REPLACE FUNCTION chat.find_messages(actor_id bigint, wanted tsquery, only_chat_id bigint, before_id bigint, size integer)
RETURNS TABLE (chat_id bigint, id bigint) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
	tail record;
	page record;
	budget double precision := 1000;
	messages double precision;
BEGIN
	SELECT coalesce(array_agg(t.chat_id ORDER BY t.id DESC), '{}') AS chat_ids, coalesce(array_agg(t.id ORDER BY t.id DESC), '{}') AS ids INTO tail
	  FROM chat.find_in_tails(find_messages.actor_id, wanted, only_chat_id, before_id, size) t;
	LOOP
		page := chat.find_by_looking(find_messages.actor_id, wanted, only_chat_id, before_id, size, budget::integer, tail.chat_ids, tail.ids);
		EXIT WHEN page.complete OR page.matches = 0 OR budget > 1000000;
		messages := coalesce(messages, (SELECT sum(s.message_count) FROM chat.searched_chats(find_messages.actor_id, only_chat_id) s));
		EXIT WHEN budget * size / page.matches > 4 * messages * page.matches / budget;
		budget := greatest(4 * budget, 2 * budget * size / page.matches);
	END LOOP;
	IF page.complete THEN
		RETURN QUERY SELECT p.chat_id, p.id FROM unnest(page.chat_ids, page.ids) AS p (chat_id, id);
	ELSE
		RETURN QUERY
		SELECT p.chat_id, p.id FROM unnest(tail.chat_ids, tail.ids) AS p (chat_id, id)
		UNION ALL
		SELECT i.chat_id, i.id FROM chat.find_in_index(find_messages.actor_id, wanted, only_chat_id, before_id, size) i
		 ORDER BY id DESC LIMIT size;
	END IF;
END
$$;
COMMENT ON FUNCTION chat.find_messages IS 'The newest messages that match and that this user may see: those in the search index, and those behind it.';
