// SPDX-License-Identifier: PostgreSQL
// A worker's first moments: what comes before it has read its methods.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePort, Gateway, refused, Relay, sleep, Socket, until, within, World } from './harness.js';

const post = async (world, path, user, headers, body) => {
	const response = await fetch(`${world.http}${path}`, { method: 'POST', headers: { Authorization: `Bearer ${user.token}`, Connection: 'close', ...headers }, body });
	return { status: response.status, body: await response.json() };
};

describe('before a worker knows the methods', () => {
	let world;
	let alice;
	before(async () => {
		world = await World.start({ knobs: { workers: 2, unavailable_after: '10s' } });
		alice = await world.user('alice');
	});
	after(() => world.stop());

	// Until the function that it returns is called nobody can read them.
	const holdBack = async () => {
		const holder = world.sql('BEGIN; LOCK TABLE chat.groupable; SELECT pg_sleep(60)').catch(() => {});
		await until(() => readers(true).then(count => count === 1), 'the lock');
		return async () => {
			await world.sql("SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.relation = 'chat.groupable'::regclass AND l.granted AND l.pid <> pg_backend_pid()");
			await holder;
		};
	};
	const readers = granted => world.sql(`SELECT count(*) FROM pg_locks WHERE relation = 'chat.groupable'::regclass AND granted = ${granted}`).then(Number);
	const killAll = async () => {
		for (const pid of await world.gateway.workers())
			process.kill(pid, 'SIGKILL');
	};
	// A gateway of the test's own; the URL of its sockets. `last` is for when it has ended.
	const other = async (t, dsn, last = () => {}) => {
		const port = await freePort();
		const gateway = new Gateway([`--listen=127.0.0.1:${port}`, `--database=${dsn}`, '--workers=1', '--unavailable-after=1500ms', '--drain-seconds=0s'], world.env);
		t.after(async () => {
			const { code } = await gateway.stop();
			last();
			assert.equal(code, 0);
		});
		await until(() => /worker_started/.test(gateway.log), 'a worker');
		return `ws://127.0.0.1:${port}/ws`;
	};
	const open = async (headers, url = world.url) => {
		const socket = new Socket(url, headers);
		await within(socket.opened, 'handshake');
		return socket;
	};

	// Each comes back at once, in its own way, and says what it got.
	const ways = {
		'a bearer token': async () => {
			const socket = await open({ Authorization: `Bearer ${alice.token}` });
			const { id } = await socket.call('get_profile');
			return [socket, id];
		},
		authenticate: async () => {
			const socket = await open();
			const [{ user_id }, { id }] = await Promise.all([socket.call('authenticate', { token: alice.token }), socket.call('get_profile')]);
			return [socket, user_id, id];
		},
		log_in: async () => {
			const socket = await open();
			const [{ user_id }, { id }] = await Promise.all([socket.call('log_in', { user_name: alice.name, password: alice.password }), socket.call('get_profile')]);
			return [socket, user_id, id];
		},
		discover: async () => {
			const socket = await open();
			return [socket, (await socket.call('discover')).some(({ method }) => method === 'get_profile') && alice.id];
		},
		'POST /rpc': async () => {
			const { body } = await post(world, '/rpc', alice, { 'Content-Type': 'application/json' }, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'get_profile' }));
			return [null, body.result?.id ?? body];
		},
		'POST /files': async () => {
			const { body } = await post(world, '/files?name=early', alice, {}, 'early');
			return [null, body.owner_id ?? body];
		}
	};

	const comeBack = () => Promise.all(Object.entries(ways).flatMap(([name, way]) => [way, way].map(async come => {
		const [socket, ...ids] = await come();
		assert.deepEqual(new Set(ids), new Set([alice.id]), name);
		await socket?.close();
	})));

	test('calls wait until it does, however their client comes', async () => {
		const letGo = await holdBack();
		await killAll();
		let early = true;
		const back = comeBack().finally(() => assert.ok(!early, 'one was answered before'));
		await until(() => readers(false).then(count => count > 0), 'a worker wants to read them');
		await sleep(300);
		early = false;
		await letGo();
		await back;
	});

	test('clients of workers killed again and again are never refused', async () => {
		for (let round = 0; round < 4; round++)
		{
			await killAll();
			await comeBack();
		}
	});

	test('the gateway\'s own methods do not wait, and calls not for ever', async t => {
		const letGo = await holdBack();
		const started = Date.now();
		const socket = await open({}, await other(t, `host=${world.sockets} port=5432 dbname=chat user=gateway`));
		const early = refused(socket.call('discover')).then(({ code, data }) => [code, data.reason, Date.now() - started]);
		assert.equal(await socket.call('ping'), 'pong');
		const ponged = Date.now() - started;
		const [code, reason, waited] = await early;
		assert.deepEqual([code, reason], [503, 'unavailable']);
		assert.ok(ponged < waited && waited > 1400, `${ponged} and ${waited} ms`);
		await letGo();
		await until(() => socket.call('discover').catch(() => null), 'the methods');
		await socket.close();
	});

	test('without a database sockets are taken all the same, and served when it comes', async t => {
		const relay = await Relay.start(world);
		relay.cut();
		const started = Date.now();
		const socket = await open({}, await other(t, relay.dsn, () => relay.stop()));
		const refusals = await Promise.all(Array.from({ length: 40 }, () => refused(socket.call('discover'))));
		assert.deepEqual([...new Set(refusals.map(({ code, data }) => `${code} ${data.reason}`))], ['503 unavailable']);
		assert.ok(Date.now() - started > 1400, `${Date.now() - started} ms`);
		relay.allow();
		await until(() => socket.call('authenticate', { token: alice.token }).catch(() => null), 'a login');
		assert.equal((await until(() => socket.call('get_profile').catch(() => null), 'a call')).id, alice.id);
		await socket.close();
	});
});
