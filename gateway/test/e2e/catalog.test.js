// SPDX-License-Identifier: PostgreSQL
// The API is the catalog: a function that is granted is a method, with no other word said to the gateway. And how
// rows, types and errors of any function look on the wire.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, Relay, sleep, until, World } from './harness.js';

describe('catalog', () => {
	let world;
	let socket;
	let alice;

	before(async () => {
		world = await World.start({ knobs: { schemas: 'chat,app', call_timeout: '1s' } });
		await world.sql('CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO chat_user, chat_anonymous, chat_gateway');
		alice = await world.user('alice');
		socket = await world.connect(alice);
	});
	after(() => world.stop());

	const known = async (method, params = {}, own = socket) => {
		try
		{
			await own.call(method, params);
			return true;
		}
		catch (error)
		{
			return error.code !== -32601;
		}
	};
	const grant = async (name, signature, returns, body, language = 'sql') => {
		await world.sql(`CREATE FUNCTION app.${name}(${signature}) RETURNS ${returns} LANGUAGE ${language} AS $x$ ${body} $x$;
			GRANT EXECUTE ON FUNCTION app.${name} TO chat_user`);
		granted.push(`app.${name}`);
	};
	// The gateway reads the catalog at most once a second: grant first, then wait for all of it.
	const granted = [];
	const settled = async () => {
		for (const method of granted.splice(0))
			await until(() => known(method), `${method} known`);
	};

	test('PUBLIC\'s default EXECUTE exposes nothing', async () => {
		await world.sql(`CREATE FUNCTION chat.e2e_public(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
			CREATE FUNCTION app.e2e_public(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1';
			CREATE FUNCTION chat.e2e_granted(actor_id bigint) RETURNS bigint LANGUAGE sql AS 'SELECT actor_id';
			GRANT EXECUTE ON FUNCTION chat.e2e_granted TO chat_user`);
		await until(() => known('e2e_granted'), 'a granted function becomes a method');
		assert.equal(await socket.call('e2e_granted'), alice.id);
		for (const method of ['e2e_public', 'chat.e2e_public', 'app.e2e_public'])
			assert.equal((await refused(socket.call(method))).code, -32601, method);
	});

	test('a function of one\'s own schema is schema.function', async () => {
		await grant('greet', 'actor_id bigint, name text DEFAULT NULL', 'text', "SELECT 'hello ' || coalesce(name, 'world')");
		await settled();
		assert.equal(await socket.call('app.greet', { name: 'Ann' }), 'hello Ann');
		assert.equal(await socket.call('app.greet'), 'hello world');
		assert.equal(await socket.call('app.greet', { name: null }), 'hello world');
		assert.equal((await refused(socket.call('greet'))).code, -32601);
	});

	test('what is revoked or dropped is gone', async () => {
		await grant('gone', 'actor_id bigint', 'int', 'SELECT 1');
		await settled();
		await world.sql('REVOKE EXECUTE ON FUNCTION app.gone FROM chat_user');
		await until(async () => !await known('app.gone'), 'a revoked function goes');
	});

	test('replacing a function under the prepared call is noticed', async () => {
		await grant('changing', 'actor_id bigint', 'int', 'SELECT 1');
		await settled();
		assert.equal(await socket.call('app.changing'), 1);
		await world.sql(`DROP FUNCTION app.changing; CREATE FUNCTION app.changing(actor_id bigint, add int DEFAULT NULL)
			RETURNS TABLE (id bigint) LANGUAGE sql AS 'SELECT 5::bigint'; GRANT EXECUTE ON FUNCTION app.changing TO chat_user`);
		const rows = await until(() => socket.call('app.changing', { add: 1 }).catch(() => null), 'the new signature');
		assert.deepEqual(rows, [{ id: '5' }]);
	});

	test('overloads and polymorphic functions are exposed nowhere', async () => {
		await world.sql(`CREATE FUNCTION app.twice(actor_id bigint, x int) RETURNS int LANGUAGE sql AS 'SELECT 1';
			CREATE FUNCTION app.twice(actor_id bigint, x text) RETURNS int LANGUAGE sql AS 'SELECT 2';
			CREATE FUNCTION app.poly(actor_id bigint, x anyelement) RETURNS int LANGUAGE sql AS 'SELECT 3';
			CREATE FUNCTION app.many(actor_id bigint, VARIADIC x int[]) RETURNS int LANGUAGE sql AS 'SELECT 4';
			GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO chat_user`);
		await grant('last', 'actor_id bigint', 'int', 'SELECT 1');
		await settled();
		for (const method of ['app.twice', 'app.poly', 'app.many'])
			assert.equal((await refused(socket.call(method, { x: 1 }))).code, -32601, method);
	});

	test('an anonymous function needs no login and gets no actor', async () => {
		await world.sql(`CREATE FUNCTION app.motd(actor_address inet DEFAULT NULL) RETURNS text LANGUAGE sql
			AS $$ SELECT 'from ' || host(actor_address) $$; GRANT EXECUTE ON FUNCTION app.motd TO chat_anonymous`);
		const stranger = await world.connect();
		await until(() => known('app.motd', {}, stranger), 'app.motd');
		assert.equal(await stranger.call('app.motd'), 'from 127.0.0.1');
		await stranger.close();
	});

	test('results: void, scalar, row, rows, page', async () => {
		await grant('r_void', 'actor_id bigint', 'void', 'SELECT');
		await grant('r_row', 'actor_id bigint, OUT id bigint, OUT t text', 'record', "SELECT 7::bigint, 'x'::text");
		await grant('r_rows', 'actor_id bigint', 'TABLE (id bigint, n int)', 'SELECT i::bigint, i FROM generate_series(1, 2) i');
		await grant('r_none', 'actor_id bigint', 'TABLE (id bigint, n int)', 'SELECT 1::bigint, 1 WHERE false');
		await grant('r_page', 'actor_id bigint', 'TABLE (id bigint, has_more boolean)', 'SELECT 1::bigint, true');
		await grant('r_set', 'actor_id bigint', 'SETOF bigint', 'SELECT 9007199254740993 UNION ALL SELECT 2');
		await settled();
		assert.equal(await socket.call('app.r_void'), null);
		assert.deepEqual(await socket.call('app.r_row'), { id: '7', t: 'x' });
		assert.deepEqual(await socket.call('app.r_rows'), [{ id: '1', n: 1 }, { id: '2', n: 2 }]);
		assert.deepEqual(await socket.call('app.r_none'), []);
		assert.deepEqual(await socket.call('app.r_page'), { rows: [{ id: '1' }], has_more: true });
		assert.equal(JSON.stringify(await socket.call('app.r_set')), '["9007199254740993","2"]');
	});

	test('types: out and back in', async () => {
		const types = {
			b: ['bigint', '9007199254740993'], i: ['int', -5], s: ['smallint', 7], o: ['boolean', false], t: ['text', "it's \\ 😀"],
			j: ['jsonb', { a: [1, 'x', null, { b: true }] }], n: ['numeric', 1234567.25], d: ['double precision', 0.1],
			u: ['uuid', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'], y: ['date', '2026-02-28'], v: ['interval', 'P1DT2H'],
			x: ['bytea', 'AP8QIA=='], bs: ['bigint[]', ['1', '9007199254740993']], ts: ['text[]', ['a', '"b"', '{c,d}', "'", '\\']],
			ns: ['int[]', [1, 2]], a: ['inet', '10.0.0.1'], m: ['timestamptz', '2026-03-04T05:06:07.089Z']
		};
		const names = Object.keys(types);
		await grant('types', ['actor_id bigint', ...names.map(name => `${name} ${types[name][0]} DEFAULT NULL`)].join(', '),
			`TABLE (${names.map(name => `r${name} ${types[name][0]}`).join(', ')})`, `SELECT ${names.map(name => `types.${name}`).join(', ')}`);
		await settled();
		const values = Object.fromEntries(names.map(name => [name, types[name][1]]));
		const [row] = await socket.call('app.types', values);
		for (const name of names)
		{
			const got = row[`r${name}`];
			if (name === 'm')
				assert.match(got, /^2026-03-04T05:06:07\.089(000)?(Z|\+00:00)$/);
			else if (name === 'n')
				assert.equal(Number(got), 1234567.25);
			else
				assert.deepEqual(got, values[name], name);
		}
		const [nulls] = await socket.call('app.types', {});
		assert.ok(Object.values(nulls).every(value => value === null));
		assert.deepEqual((await socket.call('app.types', { j: null }))[0].rj, null);
		assert.deepEqual((await socket.call('app.types', { ts: [] }))[0].rts, []);
		for (const [name, value] of [['b', 'x'], ['i', 2 ** 31], ['i', '1.5'], ['s', 40000], ['o', 'yes'], ['t', 5], ['u', 'x'], ['y', '2026-02-30'],
			['x', '***'], ['bs', 'no array'], ['bs', ['x']], ['ts', [1]], ['m', 'yesterday-ish'], ['a', 'host'], ['d', 'x']])
		{
			const error = await refused(socket.call('app.types', { [name]: value }));
			assert.equal(error.code, -32602, `${name} = ${JSON.stringify(value)}`);
		}
	});

	test('errors: MC, raised, internal, timeout, the error column', async () => {
		const raise = (code, detail) => `BEGIN RAISE EXCEPTION 'a secret of %', 'the server' USING ERRCODE = '${code}', DETAIL = '${detail}', HINT = 'mend it'; END`;
		await grant('e_mc', 'actor_id bigint', 'int', raise('MC409', 'some_conflict'), 'plpgsql');
		await grant('e_raised', 'actor_id bigint', 'int', raise('P0001', 'own_word'), 'plpgsql');
		await grant('e_plain', 'actor_id bigint', 'int', "BEGIN RAISE EXCEPTION 'x'; END", 'plpgsql');
		await grant('e_internal', 'actor_id bigint', 'int', raise('XX001', 'secret_detail'), 'plpgsql');
		await grant('e_slow', 'actor_id bigint', 'void', 'SELECT pg_sleep(60)');
		await grant('e_column', 'actor_id bigint, fail boolean, OUT id bigint, OUT error jsonb', 'record',
			`SELECT 1::bigint, CASE WHEN fail THEN '{"code":418,"reason":"teapot","message":"short and stout","hint":"tip me","retry_after_ms":5}'::jsonb END`);
		await settled();

		const mc = await refused(socket.call('app.e_mc'));
		assert.deepEqual([mc.code, mc.text, mc.data.reason, mc.data.sqlstate, mc.data.hint], [409, 'a secret of the server', 'some_conflict', 'MC409', 'mend it']);
		const raised = await refused(socket.call('app.e_raised'));
		assert.deepEqual([raised.code, raised.data.reason], [400, 'own_word']);
		const plain = await refused(socket.call('app.e_plain'));
		assert.deepEqual([plain.code, plain.data.reason], [400, 'raised']);
		const internal = await refused(socket.call('app.e_internal'));
		assert.deepEqual([internal.code, internal.data.reason], [500, 'internal']);
		assert.doesNotMatch(internal.text + JSON.stringify(internal.data), /secret/);
		assert.match(world.gateway.log, /a secret of the server/);
		const slow = await refused(socket.call('app.e_slow'));
		assert.deepEqual([slow.code, slow.data.reason], [503, 'timeout']);
		const column = await refused(socket.call('app.e_column', { fail: true }));
		assert.deepEqual([column.code, column.text, column.data.reason, column.data.hint, column.data.retry_after_ms],
			[418, 'short and stout', 'teapot', 'tip me', 5]);
		assert.deepEqual(await socket.call('app.e_column', { fail: false }), { id: '1' });
	});

	test('the search_path of a call is not the client\'s', async () => {
		await grant('path', 'actor_id bigint', 'text', "SELECT current_setting('search_path')");
		await settled();
		assert.equal(await socket.call('app.path'), 'pg_catalog');
	});
});

describe('changes of the catalog', () => {
	let world;
	let listen;
	let socket;

	before(async () => {
		world = await World.start({
			knobs: async world => {
				listen ??= await Relay.start(world);
				return { workers: 1, listen_database: listen.dsn };
			}
		});
		socket = await world.connect(await world.user('alice'));
	});
	after(async () => {
		await world.stop();
		listen.stop();
	});

	const known = method => until(() => socket.call(method).catch(error => error.code === -32602), `${method} known`, 5000);
	const create = name => world.sql(`CREATE FUNCTION chat.${name}(actor_id bigint) RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION chat.${name} TO chat_user`);
	// What the database does not announce.
	const quietly = async change => {
		await world.sql('ALTER EVENT TRIGGER chat_schema DISABLE');
		await change();
		await world.sql('ALTER EVENT TRIGGER chat_schema ENABLE');
	};
	const readings = () => world.gateway.log.split('catalog_loaded').length;

	test('one that fell into a gap of LISTEN is noticed', async () => {
		await sleep(1200);
		listen.cut();
		await create('e2e_gap');
		await sleep(1200);
		listen.allow();
		await known('e2e_gap');
	});

	test('one of the table behind the rows is noticed', async () => {
		await world.sql(`CREATE TABLE things (a int); INSERT INTO things VALUES (1);
			CREATE FUNCTION chat.e2e_things(actor_id bigint) RETURNS SETOF things LANGUAGE sql SECURITY DEFINER SET search_path = public AS 'SELECT * FROM things';
			GRANT EXECUTE ON FUNCTION chat.e2e_things TO chat_user`);
		await known('e2e_things');
		assert.deepEqual(await socket.call('e2e_things'), [{ a: 1 }]);
		await world.sql('ALTER TABLE things ADD b int DEFAULT 2');
		await until(async () => (await socket.call('e2e_things').catch(() => []))[0]?.b === 2, 'both columns', 5000);
	});

	test('one that shows in the answer only is noticed', async () => {
		await sleep(1200);
		await quietly(() => world.sql('ALTER TABLE things ADD c int DEFAULT 3'));
		// Plans that were made before go on with the old columns; new connections have none.
		await world.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'gateway' AND query NOT LIKE '%chat.listen%'");
		await until(async () => (await socket.call('e2e_things').catch(() => []))[0]?.c === 3, 'all columns', 10000);
	});

	test('one of chat.groupable is noticed', async () => {
		await sleep(1200);
		const before = readings();
		await world.sql("INSERT INTO chat.groupable VALUES ('e2e_things')");
		await until(() => readings() > before, 'another reading', 3000);
	});

	test('SIGHUP reads it again, and ends nothing', async () => {
		await quietly(() => create('e2e_quiet'));
		world.gateway.process.kill('SIGHUP');
		await known('e2e_quiet');
		assert.equal(world.gateway.status, undefined);
	});
});
