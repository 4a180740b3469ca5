CREATE OR REPLACE VIEW chat.v_scheduled_messages AS
SELECT s.id, s.chat_id, s.send_at, s.body, s.reply_to_id, s.file_ids, s.mention_ids, s.attributes, s.client_key, s.expires_in, s.failure
  FROM chat.scheduled_messages s WHERE s.message_id IS NULL;
COMMENT ON VIEW chat.v_scheduled_messages IS 'What list_scheduled_messages shows: messages still to be sent, and those that could not be.';

CREATE OR REPLACE FUNCTION chat.schedule_message(actor_id bigint, send_at timestamptz, chat_id bigint, body text DEFAULT NULL,
	reply_to_id bigint DEFAULT NULL, file_ids bigint[] DEFAULT NULL, mention_ids bigint[] DEFAULT NULL, attributes jsonb DEFAULT NULL,
	client_key text DEFAULT NULL, expires_in interval DEFAULT NULL,
	OUT id bigint, OUT duplicate boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted chat.scheduled_messages;
BEGIN
	PERFORM chat.check_actor(schedule_message.actor_id);
	PERFORM chat.check_message(schedule_message.body, schedule_message.file_ids, schedule_message.attributes, schedule_message.client_key,
		schedule_message.expires_in);
	PERFORM chat.check_file_count(schedule_message.file_ids);
	PERFORM chat.check_schedule(schedule_message.actor_id, schedule_message.send_at, schedule_message.chat_id);
	IF schedule_message.reply_to_id IS NOT NULL THEN
		PERFORM chat.check_visible_message(schedule_message.chat_id, schedule_message.reply_to_id, schedule_message.actor_id);
	END IF;
	PERFORM chat.check_mentions(schedule_message.chat_id, schedule_message.mention_ids);
	wanted := ROW(chat.take_id(), schedule_message.actor_id, schedule_message.chat_id, schedule_message.send_at, coalesce(schedule_message.body, ''),
		schedule_message.reply_to_id, schedule_message.file_ids, schedule_message.mention_ids, schedule_message.attributes,
		schedule_message.client_key, schedule_message.expires_in, NULL, NULL);
	PERFORM FROM chat.users u WHERE u.id = schedule_message.actor_id FOR NO KEY UPDATE; -- two at once must not pass the limit
	INSERT INTO chat.scheduled_messages SELECT wanted.* ON CONFLICT ON CONSTRAINT scheduled_messages_client_key DO NOTHING;
	duplicate := NOT FOUND;
	id := wanted.id;
	IF duplicate THEN
		SELECT s.id INTO id FROM chat.scheduled_messages s
		 WHERE s.sender_id = schedule_message.actor_id AND s.chat_id = schedule_message.chat_id AND s.client_key = schedule_message.client_key
		   AND (to_jsonb(s) - ARRAY['id', 'message_id', 'failure'] = to_jsonb(wanted) - ARRAY['id', 'message_id', 'failure']
			-- What was sent and deleted since has left no more of itself.
			OR s.send_at = wanted.send_at AND s.body = '' AND s.attributes IS NULL AND s.file_ids IS NULL AND s.message_id IS NOT NULL);
		IF NOT FOUND THEN
			PERFORM chat.fail('client_key_reused');
		END IF;
	ELSIF (SELECT count(*) FROM chat.list_scheduled_messages(schedule_message.actor_id)) > chat.setting_integer('scheduled_messages_max') THEN
		PERFORM chat.fail('too_many_scheduled');
	END IF;
END
$$;
COMMENT ON FUNCTION chat.schedule_message IS 'send_message at a later time: once, with the run of maintenance that follows send_at, if the sender may send then; list_scheduled_messages shows why not. One in the past goes with the next run; at most 10 years ahead. At most the setting scheduled_messages_max a user. client_key is that of this call, not of the message to be. MC400 empty_message, invalid_argument; MC403 not_permitted, blocked, not_accepting; MC404 no_such_chat, no_such_message (reply_to_id); MC409 client_key_reused; MC413 message_too_long, too_large; MC429 too_many_scheduled.';
GRANT EXECUTE ON FUNCTION chat.schedule_message TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.check_schedule(actor_id bigint, send_at timestamptz, chat_id bigint)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF check_schedule.send_at IS NULL OR NOT isfinite(check_schedule.send_at) OR check_schedule.send_at > clock_timestamp() + interval '10 years' THEN
		PERFORM chat.fail('invalid_argument', 'send_at is not acceptable', 'Use a time within the next 10 years.');
	END IF;
	PERFORM chat.visible_range(check_schedule.chat_id, check_schedule.actor_id);
	PERFORM chat.check_member(check_schedule.chat_id, check_schedule.actor_id);
	PERFORM chat.check_posting(check_schedule.chat_id, check_schedule.actor_id);
END
$$;
COMMENT ON FUNCTION chat.check_schedule IS 'Raises what schedule_message does not accept, besides what send_message does not.';

CREATE OR REPLACE FUNCTION chat.list_scheduled_messages(actor_id bigint, chat_id bigint DEFAULT NULL)
RETURNS SETOF chat.v_scheduled_messages LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM chat.check_actor(list_scheduled_messages.actor_id);
	RETURN QUERY
	SELECT v.* FROM chat.v_scheduled_messages v JOIN chat.scheduled_messages s ON s.id = v.id
	 WHERE s.sender_id = list_scheduled_messages.actor_id
	   AND (list_scheduled_messages.chat_id IS NULL OR s.chat_id = list_scheduled_messages.chat_id)
	 ORDER BY v.id;
END
$$;
COMMENT ON FUNCTION chat.list_scheduled_messages IS 'One''s own messages that are still to be sent, in one chat or all, by id. failure: the word of the error for which one was not sent and never will be; it is shown for 30 days or until it is cancelled.';
GRANT EXECUTE ON FUNCTION chat.list_scheduled_messages TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.cancel_scheduled_message(actor_id bigint, scheduled_id bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	sent_id bigint;
BEGIN
	PERFORM chat.check_actor(cancel_scheduled_message.actor_id);
	-- A run that is just sending it holds the row.
	SELECT s.message_id INTO sent_id FROM chat.scheduled_messages s
	 WHERE s.id = cancel_scheduled_message.scheduled_id AND s.sender_id = cancel_scheduled_message.actor_id FOR UPDATE;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_scheduled_message');
	ELSIF sent_id IS NOT NULL THEN
		PERFORM chat.fail('already_sent');
	END IF;
	DELETE FROM chat.scheduled_messages s WHERE s.id = cancel_scheduled_message.scheduled_id;
END
$$;
COMMENT ON FUNCTION chat.cancel_scheduled_message IS 'Takes back schedule_message, or clears away one that failed. MC404 no_such_scheduled_message; MC409 already_sent.';
GRANT EXECUTE ON FUNCTION chat.cancel_scheduled_message TO chat_user, chat_app; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.send_scheduled(batch integer)
RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ends_at timestamptz := chat.batch_end();
	due chat.scheduled_messages;
	handled integer := 0;
BEGIN
	DELETE FROM chat.scheduled_messages s WHERE s.id IN (
		SELECT o.id FROM chat.scheduled_messages o
		 WHERE o.send_at < clock_timestamp() - interval '30 days' AND (o.message_id IS NOT NULL OR o.failure IS NOT NULL)
		 LIMIT send_scheduled.batch FOR UPDATE SKIP LOCKED);
	-- Chats in ascending id, as everybody who locks several.
	FOR due IN
		WITH claimed AS (
			SELECT s.* FROM chat.scheduled_messages s
			 WHERE s.send_at <= clock_timestamp() AND s.message_id IS NULL AND s.failure IS NULL
			 ORDER BY s.send_at, s.id LIMIT send_scheduled.batch FOR UPDATE SKIP LOCKED
		) SELECT c.* FROM claimed c ORDER BY c.chat_id, c.send_at, c.id
	LOOP
		-- Nobody is kept waiting for one chat while it is another that is held.
		IF handled > 0 THEN
			PERFORM FROM chat.chats c WHERE c.id = due.chat_id FOR NO KEY UPDATE SKIP LOCKED;
			CONTINUE WHEN NOT FOUND;
		END IF;
		PERFORM chat.send_due(due);
		handled := handled + 1;
		EXIT WHEN clock_timestamp() > ends_at;
	END LOOP;
	RETURN handled;
END
$$;
COMMENT ON FUNCTION chat.send_scheduled IS 'Sends at most batch scheduled messages whose time has come, each once however many sessions run this; answers how many it has dealt with. A job.';

CREATE OR REPLACE FUNCTION chat.send_due(due chat.scheduled_messages)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	sent_id bigint;
	state text;
	word text;
BEGIN
	IF EXISTS (SELECT FROM chat.users u WHERE u.id = due.sender_id AND u.suspended_until > clock_timestamp()) THEN
		PERFORM chat.fail('user_suspended');
	END IF;
	-- Who has left meanwhile is mentioned no more; that keeps nobody else from being told.
	SELECT s.id INTO sent_id FROM chat.send_message(due.sender_id, due.chat_id, due.body, due.reply_to_id, due.file_ids,
		ARRAY(SELECT m.user_id FROM chat.members m WHERE m.chat_id = due.chat_id AND m.user_id = ANY (due.mention_ids) AND m.left_id IS NULL),
		due.attributes, NULL, due.expires_in) s;
	UPDATE chat.scheduled_messages s SET message_id = sent_id WHERE s.id = due.id;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, word = PG_EXCEPTION_DETAIL;
	IF state = 'MC503' THEN
		RETURN;
	ELSIF state NOT LIKE 'MC4%' THEN
		RAISE;
	END IF;
	UPDATE chat.scheduled_messages s SET failure = word WHERE s.id = due.id;
END
$$;
COMMENT ON FUNCTION chat.send_due IS 'Sends one scheduled message as its sender would now, or notes why it cannot be; a busy chat leaves it for the next time.';
