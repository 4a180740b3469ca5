// SPDX-License-Identifier: PostgreSQL
// What breaks: connections, workers, the database, the gateway itself. Sockets stay where they can, calls are always
// answered, and no answered message is lost.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { RpcError, sleep, until, World } from './harness.js';

describe('faults', () => {
	let world;
	let pair;

	before(async () => {
		world = await World.start({ knobs: { workers: 1 } });
		pair = await world.pair();
	});
	beforeEach(async () => {
		// Sockets of the test before may be gone.
		for (const [name, user] of [['a', pair.alice], ['b', pair.bob]])
			if (pair[name].ended)
				await until(async () => {
					pair[name] = await world.connect(user).catch(() => null);
					return pair[name] && await pair[name].call('get_profile').catch(() => pair[name].close().then(() => null));
				}, 'connected again');
	});
	after(() => world.stop());

	// Sends until told to stop; `answered` collects what was promised.
	const load = socket => {
		const answered = [];
		const errors = [];
		let going = true;
		const lanes = Array.from({ length: 8 }, async (_, lane) => {
			for (let i = 0; going; i++)
				try
				{
					const sent = await socket.call('send_message', { chat_id: pair.chat_id, body: `load ${lane}.${i}`, client_key: `${Date.now()}.${lane}.${i}` });
					answered.push(sent.id);
				}
				catch (error)
				{
					if (!(error instanceof RpcError))
						throw error;
					errors.push(error);
					await sleep(50);
				}
		});
		return { answered, errors, stop: () => { going = false; return Promise.all(lanes); } };
	};

	const allStored = async ids => {
		const stored = await world.sql(`SELECT string_agg(m.id::text, ',') FROM chat.messages m WHERE m.chat_id = ${pair.chat_id}`);
		const set = new Set(stored.split(','));
		assert.deepEqual(ids.filter(id => !set.has(id)), []);
	};

	// As each of its connections may be any of several, calls are tried until they are well again.
	const recovered = socket => until(() => socket.call('send_message', { chat_id: pair.chat_id, body: 'well again' }).catch(error => {
		assert.ok(error instanceof RpcError && error.code === 503, String(error));
	}), 'calls work again', 20000);

	const delivered = async (from, to) => {
		const sent = await from.call('send_message', { chat_id: pair.chat_id, body: 'heard?' });
		await to.event(event => event.id === sent.id, 'a message after the fault');
	};

	test('backends terminated under load: sockets stay, every call is answered, nothing answered is lost', async () => {
		const { a, b } = pair;
		const work = load(a);
		for (let i = 0; i < 5; i++)
		{
			await sleep(200);
			await world.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'gateway'");
		}
		await recovered(a);
		await work.stop();
		assert.ok(work.answered.length > 0);
		assert.ok(work.errors.every(error => error.code === 503), String(work.errors.find(error => error.code !== 503)));
		assert.deepEqual([a.ended, b.ended], [undefined, undefined]);
		await allStored(work.answered);
		// The listener is back as well.
		await until(async () => {
			const sent = await a.call('send_message', { chat_id: pair.chat_id, body: 'heard?' });
			return b.event(event => event.id === sent.id, 'event', 500).catch(() => false);
		}, 'events again');
	});

	test('the notifier killed: events go on', async () => {
		const { a, b } = pair;
		await delivered(a, b);
		await world.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type LIKE 'chat%'");
		await until(async () => {
			const sent = await a.call('send_message', { chat_id: pair.chat_id, body: 'heard?' });
			return b.event(event => event.id === sent.id, 'event', 500).catch(() => false);
		}, 'events again');
		assert.deepEqual([a.ended, b.ended], [undefined, undefined]);
	});

	test('the database restarted under load: sockets stay, calls answer 503 and then work', async () => {
		const { a, b } = pair;
		const work = load(a);
		await sleep(300);
		await world.cluster('stop');
		await sleep(2500);
		const started = Date.now();
		await a.call('get_profile').then(() => assert.fail('there is no database'), error => assert.equal(error.code, 503));
		assert.ok(Date.now() - started < 3000);
		await world.cluster('start');
		await recovered(a);
		await work.stop();
		assert.deepEqual([a.ended, b.ended], [undefined, undefined]);
		await allStored(work.answered);
		await until(async () => {
			const sent = await a.call('send_message', { chat_id: pair.chat_id, body: 'heard?' });
			return b.event(event => event.id === sent.id, 'event', 500).catch(() => false);
		}, 'events again');
	});

	test('a worker killed is replaced', async () => {
		const [worker] = await world.gateway.workers();
		assert.ok(worker);
		process.kill(worker, 'SIGKILL');
		await pair.a.ending('the killed worker\'s sockets');
		const [next] = await until(async () => {
			const pids = await world.gateway.workers();
			return pids.length && !pids.includes(worker) && pids;
		}, 'a new worker');
		assert.notEqual(next, worker);
		const socket = await until(() => world.connect(pair.alice).catch(() => null), 'connect to the new worker');
		assert.equal((await until(() => socket.call('get_profile').catch(() => null), 'a call')).id, pair.alice.id);
		await socket.close();
		assert.equal(world.gateway.status, undefined);
	});

	test('many sockets come and go', async () => {
		for (let round = 0; round < 5; round++)
		{
			const sockets = await Promise.all(Array.from({ length: 40 }, () => world.connect(pair.alice)));
			const calls = sockets.map(socket => socket.call('get_profile').catch(() => null));
			sockets.forEach((socket, i) => (i % 2 ? socket.ws.terminate() : socket.ws.close(1000)));
			await Promise.all(calls);
		}
		await delivered(pair.a, pair.b);
	});

	test('SIGTERM: calls in flight are answered, sockets close 1001, exit 0', async () => {
		const { a, b } = pair;
		const calls = Array.from({ length: 50 }, (_, i) => a.call('send_message', { chat_id: pair.chat_id, body: `late ${i}` }).then(({ id }) => id, () => null));
		await sleep(20);
		world.gateway.process.kill('SIGTERM');
		const ends = await Promise.all([a.ending('1001', 20000), b.ending('1001', 20000)]);
		assert.deepEqual(ends.map(end => end.code), [1001, 1001]);
		assert.ok(Number.isInteger(JSON.parse(ends[0].reason).retry_after_ms));
		await world.gateway.exited;
		assert.deepEqual(world.gateway.status, { code: 0, signal: null });
		await allStored((await Promise.all(calls)).filter(Boolean));
		await world.startGateway();
		const again = await world.connect(pair.alice);
		await again.call('get_profile');
		await again.close();
	});
});
