// SPDX-License-Identifier: PostgreSQL
// Ways to the database that are not straight: a pooler that lends sessions by the transaction, a failover to another
// host, a server that is away or does not answer, calls that meet each other.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort, refused, Relay, root, until, World } from './harness.js';

const run = promisify(execFile);
const script = join(root, 'extension/test/cluster.sh');

describe('behind PgBouncer in transaction mode', () => {
	let world;
	let bouncer;
	let folder;
	before(async () => {
		world = await World.start({
			knobs: async world => {
				folder = join((await world.cluster('path')).trim(), 'pgbouncer');
				const port = await freePort();
				await world.cluster('as', 'mkdir', folder);
				await writeFile(join(folder, 'users.txt'), '"gateway" ""\n', { mode: 0o644 });
				await writeFile(join(folder, 'pgbouncer.ini'), `[databases]
chat = host=${world.sockets} port=5432 dbname=chat
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 3
`, { mode: 0o644 });
				bouncer = spawn(script, ['as', '/usr/sbin/pgbouncer', join(folder, 'pgbouncer.ini')], { env: world.env });
				return { workers: 2, prepare: 'off', database: `host=127.0.0.1 port=${port} dbname=chat user=gateway`,
					listen_database: `host=${world.sockets} port=5432 dbname=chat user=gateway` };
			}
		});
	});
	after(async () => {
		bouncer?.kill();
		await world.stop();
	});

	test('calls are answered and events come, though three server sessions serve all connections', async () => {
		const { sender, small, large, members } = await world.party(4);
		const sockets = await Promise.all(members.map(member => world.enter(member)));
		for (let i = 0; i < 20; i++)
			await Promise.all([small, large].map(chat_id => sender.call('send_message', { chat_id, body: `message ${i} ${'€'.repeat(i % 5 === 0 ? 4000 : 1)}` })));
		await world.haveAll(sockets, [small, large]);
		const page = await sender.call('list_messages', { chat_id: small });
		assert.match(page.rows[0].sent_at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
		const settings = await world.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND client_addr IS NULL AND query !~ 'chat.listen'");
		assert.ok(Number(settings) <= 3, settings);
		assert.equal(await world.sql("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'DEALLOCATE|PREPARE'"), '1', 'none but this query');
		await Promise.all([sender, ...sockets].map(socket => socket.close()));
	});

	test('a call that takes too long is ended, and the next one has its time', async () => {
		await world.sql(`CREATE FUNCTION chat.e2e_timeout(actor_id bigint) RETURNS text LANGUAGE sql AS $$ SELECT current_setting('statement_timeout') || ' ' || current_setting('TimeZone') $$;
			GRANT EXECUTE ON FUNCTION chat.e2e_timeout TO chat_user`);
		const [alice] = await world.crowd(1);
		const socket = await world.connect(alice);
		assert.equal(await until(() => socket.call('e2e_timeout').catch(() => null), 'the function'), '10s UTC');
		await socket.close();
	});

	test('what a database\'s owner has planted is not called, whatever its search_path', async () => {
		const [alice] = await world.crowd(1);
		const socket = await world.connect(alice);
		await world.sql(`CREATE SEQUENCE public.sprung; GRANT ALL ON SEQUENCE public.sprung TO PUBLIC;
			CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT nextval('public.sprung')::text $$;
			ALTER DATABASE chat SET search_path = public, pg_catalog`);
		await world.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway' AND query !~ 'LISTEN'`);
		await until(() => socket.call('get_profile').catch(() => null), 'an answer by a new server session');
		assert.equal(await world.sql('SELECT is_called FROM public.sprung'), 'f');
		await world.sql('ALTER DATABASE chat RESET search_path');
		await socket.close();
	});
});

describe('two hosts', () => {
	let world;
	let standby;
	let data;
	const pg = (...args) => world.cluster('as', ...args);
	before(async () => {
		world = await World.start({
			knobs: async world => {
				const bin = (await run('pg_config', ['--bindir'])).stdout.trim();
				const home = (await world.cluster('path')).trim();
				data = join(home, 'standby');
				standby = `${world.sockets}-b`;
				await pg2(world, 'mkdir', '-m', '700', standby);
				await pg2(world, join(bin, 'pg_basebackup'), '-h', world.sockets, '-U', 'postgres', '-D', data, '-R', '-X', 'stream', '-c', 'fast');
				await pg2(world, 'sed', '-i', `s,^unix_socket_directories.*,unix_socket_directories = '${standby}',`, join(data, 'chat.conf'));
				await pg2(world, join(bin, 'pg_ctl'), '-D', data, '-l', join(home, 'standby.log'), '-s', '-w', 'start');
				world.bin = bin;
				return { workers: 1, unavailable_after: '500ms', database: `host=${world.sockets},${standby} port=5432,5432 dbname=chat user=gateway` };
			}
		});
	});
	const pg2 = (world, ...args) => world.cluster('as', ...args);
	after(async () => {
		await world.gateway.stop();
		await pg(join(world.bin, 'pg_ctl'), '-D', data, '-s', '-w', '-m', 'immediate', 'stop').catch(() => {});
		await rm(standby, { recursive: true, force: true });
		await world.cluster('destroy');
	});

	test('the primary stops, the standby is promoted: sockets stay, calls fail fast meanwhile, then go on', async () => {
		const { a, b, chat_id } = await world.pair();
		const { id } = await a.call('send_message', { chat_id, body: 'before' });
		await b.event(event => event.id === id);
		await until(async () => await world.sql("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_flush_lsn()") === '1', 'the standby has all');
		await world.cluster('stop');
		await until(() => refused(a.call('get_profile')).then(({ data }) => data.reason === 'unavailable', () => false), 'unavailable');
		const started = Date.now();
		assert.equal((await refused(a.call('get_profile'))).data.reason, 'unavailable');
		assert.ok(Date.now() - started < 400, 'at once');
		await pg(join(world.bin, 'pg_ctl'), '-D', data, '-s', '-w', 'promote');
		await until(() => a.call('get_profile').catch(() => null), 'the other host');
		const sent = await until(() => a.call('send_message', { chat_id, body: 'after', client_key: 'after' }).catch(() => null), 'a message');
		await b.event(event => event.id === sent.id, 'heard');
		assert.equal(b.ended, undefined);
		await a.close();
		await b.close();
	});
});

describe('a first host that does not answer', () => {
	let world;
	let silent;
	before(async () => {
		silent = createServer(() => {}).listen(0, '127.0.0.1');
		world = await World.start({
			knobs: async world => {
				const relay = world.relay = await Relay.start(world);
				const port = /port=(\d+)/.exec(relay.dsn)[1];
				return { workers: 1, database: `host=127.0.0.1,127.0.0.1 port=${silent.address().port},${port} dbname=chat user=gateway sslmode=disable gssencmode=disable` };
			}
		});
	});
	after(async () => {
		await world.stop();
		world.relay.stop();
		silent.close();
	});

	test('the second one is found', async () => {
		const [alice] = await world.crowd(1);
		const socket = await world.connect(alice);
		assert.equal((await socket.call('get_profile')).id, alice.id);
		await socket.close();
	});
});

describe('calls that meet each other', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 1, single_timeout: '700ms' } });
		await world.sql(`CREATE SEQUENCE chat.e2e_tries;
			CREATE FUNCTION chat.e2e_abort(actor_id bigint, state text, times int) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
				IF nextval('chat.e2e_tries') <= times THEN RAISE EXCEPTION USING ERRCODE = state; END IF; RETURN currval('chat.e2e_tries'); END $$;
			CREATE FUNCTION chat.e2e_slow(actor_id bigint, seconds float8) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(seconds); RETURN 'done'; END $$;
			GRANT EXECUTE ON FUNCTION chat.e2e_abort, chat.e2e_slow TO chat_user`);
	});
	after(() => world.stop());

	test('are sent again twice', async () => {
		const [alice] = await world.crowd(1);
		const socket = await world.connect(alice);
		const attempt = async (state, times) => {
			await world.sql('ALTER SEQUENCE chat.e2e_tries RESTART');
			return socket.call('e2e_abort', { state, times });
		};
		await until(() => attempt('40001', 0).catch(() => null), 'the function');
		for (const state of ['40001', '40P01'])
		{
			assert.equal(await attempt(state, 2), '3');
			assert.equal((await refused(attempt(state, 3))).data.reason, 'try_again');
		}
		assert.equal((await refused(attempt('22012', 1))).code, -32602);
		await socket.close();
	});

	test('a lane has its own limit', async () => {
		const [alice] = await world.crowd(1);
		const socket = await world.connect(alice);
		assert.equal(await socket.call('e2e_slow', { seconds: 0.2 }), 'done');
		const error = await refused(socket.call('e2e_slow', { seconds: 3 }));
		assert.deepEqual([error.code, error.data.reason], [503, 'timeout']);
		await socket.close();
	});
});
