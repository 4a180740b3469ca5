-- Limits on what users do: how much one may pile up (check_limit), and how much one may do in a day (spend). Each is a setting that no
-- honest person meets, and a reason. An app backend is not bound by them: what its users may do is its own affair, and a bot
-- that writes to each customer is no flood. Counting stops at the limit, so what it costs has one too.

CREATE OR REPLACE FUNCTION chat.is_app()
RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
	caller name := coalesce(nullif(current_setting('role'), 'none'), session_user);
BEGIN
	RETURN pg_has_role(caller, 'chat_app', 'USAGE') AND NOT pg_has_role(caller, 'chat_gateway', 'USAGE');
END
$$;
COMMENT ON FUNCTION chat.is_app IS 'Whether an app backend calls: a role that is in chat_app, but not in chat_gateway too, as superusers are.';

CREATE OR REPLACE FUNCTION chat.check_limit(setting text, present bigint, reason text)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF present >= chat.setting_integer(check_limit.setting) AND NOT chat.is_app() THEN
		PERFORM chat.fail(check_limit.reason);
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_limit IS 'Raises the reason when there are as many as the setting allows; not for app backends.';

CREATE OR REPLACE FUNCTION chat.spent(subject text)
RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN coalesce((SELECT b.spent FROM chat.budgets b WHERE b.subject = spent.subject AND b.window_ends_at > now()), 0);
END
$$;
COMMENT ON FUNCTION chat.spent IS 'How much of a budget is spent today.';

-- What a call has spent it gets back when it fails. The row stays locked till the transaction ends: last, behind all other locks.
CREATE OR REPLACE FUNCTION chat.spend(subject text, amount integer, setting text, reason text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	total integer;
BEGIN
	INSERT INTO chat.budgets AS b (subject, spent, window_ends_at)
	VALUES (spend.subject, spend.amount, now() + interval '1 day')
	ON CONFLICT ON CONSTRAINT budgets_pkey DO UPDATE
	   SET spent = CASE WHEN b.window_ends_at > now() THEN b.spent ELSE 0 END + excluded.spent,
		   window_ends_at = CASE WHEN b.window_ends_at > now() THEN b.window_ends_at ELSE excluded.window_ends_at END
	RETURNING b.spent INTO total;
	PERFORM chat.check_limit(spend.setting, total - 1, spend.reason);
END
$$;
COMMENT ON FUNCTION chat.spend IS 'Takes an amount of a day''s budget, whose size is the setting. Raises the reason when there is not as much left; not for app backends.';

CREATE OR REPLACE FUNCTION chat.expire_budgets(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
BEGIN
	WITH old AS (
		SELECT b.subject FROM chat.budgets b WHERE b.window_ends_at <= now()
		 ORDER BY b.window_ends_at LIMIT expire_budgets.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.budgets b USING old WHERE b.subject = old.subject;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_budgets IS 'For run_maintenance: forgets at most batch budgets of days that are over, and answers how many.';

CREATE OR REPLACE FUNCTION chat.network(address inet)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT CASE WHEN network.address IS NULL THEN ''
		WHEN family(network.address) = 4 OR network.address <<= '::ffff:0:0/96' THEN regexp_replace(host(network.address), '^::ffff:', '')
		ELSE host(network(set_masklen(network.address, 64))) || '/64' END
$$;
COMMENT ON FUNCTION chat.network IS 'Whom an address stands for: itself, of IPv6 its /64, which one customer has; '''' when it is not known.';
