CREATE OR REPLACE VIEW chat.v_calls AS
SELECT c.id AS call_id, c.chat_id, c.starter_id, c.media, chat.id_time(c.id) AS started_at, chat.id_time(c.ended_id) AS ended_at
  FROM chat.calls c;
COMMENT ON VIEW chat.v_calls IS 'Calls as start_call and end_call answer them.';

CREATE OR REPLACE FUNCTION chat.start_call(actor_id bigint, chat_id bigint, media text DEFAULT NULL, client_key text DEFAULT NULL)
RETURNS chat.v_calls LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted text := coalesce(start_call.media, 'audio');
	call chat.calls;
	event record;
BEGIN
	PERFORM chat.check_actor(start_call.actor_id);
	IF wanted NOT IN ('audio', 'video') THEN
		PERFORM chat.fail('invalid_argument', 'media is not acceptable', 'Use audio or video.');
	END IF;
	PERFORM chat.check_length(start_call.client_key, 'client_key', 1, 64);
	PERFORM chat.lock_chat(start_call.chat_id);
	PERFORM chat.check_member(start_call.chat_id, start_call.actor_id);
	SELECT c.* INTO call FROM chat.calls c
	 WHERE c.chat_id = start_call.chat_id AND c.starter_id = start_call.actor_id AND c.client_key = start_call.client_key;
	IF NOT FOUND THEN
		PERFORM chat.check_posting(start_call.chat_id, start_call.actor_id);
		event := chat.next_event(start_call.chat_id, 0);
		INSERT INTO chat.calls (chat_id, id, starter_id, media, client_key)
		VALUES (start_call.chat_id, event.id, start_call.actor_id, wanted, start_call.client_key) RETURNING * INTO call;
		PERFORM chat.log_event(start_call.chat_id, event.id, event.prev_id, event.number, 'call_started', start_call.actor_id,
			jsonb_build_object('call_id', call.id::text, 'media', call.media), true);
	ELSIF call.media <> wanted THEN
		PERFORM chat.fail('client_key_reused');
	END IF;
	RETURN (SELECT v FROM chat.v_calls v WHERE v.chat_id = call.chat_id AND v.call_id = call.id);
END
$$;
COMMENT ON FUNCTION chat.start_call IS 'Tells the members of a call (media audio, the default, or video) and notes it in the timeline; the clients connect by send_signal. Answers the call. MC400 invalid_argument; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat; MC409 client_key_reused; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.start_call TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.end_call(actor_id bigint, chat_id bigint, call_id bigint)
RETURNS chat.v_calls LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	call chat.calls;
	event record;
BEGIN
	PERFORM chat.check_actor(end_call.actor_id);
	PERFORM chat.lock_chat(end_call.chat_id);
	PERFORM chat.check_member(end_call.chat_id, end_call.actor_id);
	SELECT c.* INTO call FROM chat.calls c WHERE c.chat_id = end_call.chat_id AND c.id = end_call.call_id;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_call');
	ELSIF call.starter_id <> end_call.actor_id AND (SELECT c.kind FROM chat.chats c WHERE c.id = end_call.chat_id) <> 'direct' THEN
		PERFORM chat.check_member(end_call.chat_id, end_call.actor_id, ARRAY['owner', 'admin']);
	END IF;
	PERFORM chat.fail('not_accepting') FROM chat.direct_chats d
	 WHERE d.chat_id = end_call.chat_id AND chat.has_blocked(CASE d.low_user_id WHEN end_call.actor_id THEN d.high_user_id ELSE d.low_user_id END, end_call.actor_id);
	IF call.ended_id IS NULL THEN
		event := chat.next_event(end_call.chat_id, 0);
		UPDATE chat.calls c SET ended_id = event.id WHERE c.chat_id = call.chat_id AND c.id = call.id;
		PERFORM chat.log_event(end_call.chat_id, event.id, event.prev_id, event.number, 'call_ended', end_call.actor_id,
			jsonb_build_object('call_id', call.id::text, 'media', call.media, 'started_at', chat.rfc3339(chat.id_time(call.id))), true);
	END IF;
	RETURN (SELECT v FROM chat.v_calls v WHERE v.chat_id = call.chat_id AND v.call_id = call.id);
END
$$;
COMMENT ON FUNCTION chat.end_call IS 'Ends a call: who started it may, an admin or the owner, in a direct chat both, but not whom the other one has blocked; one that has ended stays so. Answers the call. MC403 not_permitted, not_accepting; MC404 no_such_chat, no_such_call; MC503 chat_busy.';
GRANT EXECUTE ON FUNCTION chat.end_call TO chat_user, chat_app; -- since 0.2.0

-- What is stored nowhere: an event to the members who are there.
CREATE OR REPLACE FUNCTION chat.publish_ephemeral(actor_id bigint, chat_id bigint, event jsonb)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_publish_ephemeral';
COMMENT ON FUNCTION chat.publish_ephemeral IS 'An event of send_signal, as set_typing makes its own: to the members, of who may send to them. The actor is checked.';

CREATE OR REPLACE FUNCTION chat.send_signal(actor_id bigint, chat_id bigint, payload jsonb)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(send_signal.actor_id);
	IF send_signal.payload IS NULL THEN
		PERFORM chat.fail('invalid_argument', 'payload is missing');
	ELSIF octet_length(send_signal.payload::text) > 6144 THEN
		PERFORM chat.fail('signal_too_large');
	END IF;
	PERFORM chat.publish_ephemeral(send_signal.actor_id, send_signal.chat_id, jsonb_build_object('type', 'signal', 'payload', send_signal.payload));
END
$$;
COMMENT ON FUNCTION chat.send_signal IS 'Passes a payload (offer, answer, ice; at most 6,144 bytes as JSON) to the members who are connected now, one''s own other sockets too; stored nowhere. MC400 invalid_argument; MC403 not_permitted, blocked, not_accepting, chat_too_large by the setting receipts_max_members; MC404 no_such_chat; MC413 signal_too_large.';
GRANT EXECUTE ON FUNCTION chat.send_signal TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.set_typing(actor_id bigint, chat_id bigint, typing boolean DEFAULT NULL)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'chat_set_typing';
COMMENT ON FUNCTION chat.set_typing IS 'Tells the members who are connected now that one is typing, or (typing false) not any more; receivers let it lapse 6 s after its time. Stored nowhere. MC403 not_permitted, blocked, not_accepting, chat_too_large by the setting receipts_max_members; MC404 no_such_chat.';
GRANT EXECUTE ON FUNCTION chat.set_typing TO chat_user, chat_app; -- since 0.2.0
