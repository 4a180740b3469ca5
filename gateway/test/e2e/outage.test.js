// SPDX-License-Identifier: PostgreSQL
// Connections that break at a bad moment, and slow calls: what is answered then, and who else notices.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, Relay, sleep, until, World } from './harness.js';

describe('bad moments', () => {
	let world;
	let calls;
	let listen;
	let pair;

	before(async () => {
		world = await World.start({
			knobs: async world => {
				calls ??= await Relay.start(world);
				listen ??= await Relay.start(world);
				return { workers: 1, pool_size: 1, call_timeout: '1s', auth_timeout: '1s', database: calls.dsn, listen_database: listen.dsn };
			}
		});
		await world.sql(`CREATE FUNCTION chat.e2e_slow(actor_id bigint, seconds float8) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(seconds); RETURN 'done'; END $$;
			CREATE FUNCTION chat.e2e_alone(actor_id bigint, seconds float8) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(seconds); RETURN 'done'; END $$;
			GRANT EXECUTE ON FUNCTION chat.e2e_slow, chat.e2e_alone TO chat_user; INSERT INTO chat.groupable VALUES ('e2e_slow')`);
		pair = await world.pair();
		await until(() => pair.a.call('e2e_slow', { seconds: 0 }).catch(() => null), 'the functions');
		await until(() => pair.a.call('e2e_alone', { seconds: 0 }).catch(() => null), 'the functions');
		await sleep(1200); // the catalog's next reading, if one is due
	});
	after(async () => {
		await world.stop();
		calls.stop();
		listen.stop();
	});

	const well = () => until(async () => (await fetch(`${world.http}/readyz`)).status === 200 && pair.a.call('get_profile').catch(() => null), 'well again');

	test('a call that committed and whose answer was lost ends as unknown_outcome when it cannot be repeated', async () => {
		const { a, alice, chat_id } = pair;
		calls.mute();
		const answer = refused(a.call('send_message', { chat_id, body: 'lost', client_key: 'lost answer' }));
		await until(() => world.sql(`SELECT id FROM chat.messages WHERE client_key = 'lost answer' AND sender_id = ${alice.id}`), 'committed');
		calls.cut();
		calls.unmute();
		const error = await answer;
		calls.allow();
		assert.deepEqual([error.code, error.data.reason], [503, 'unknown_outcome']);
		await well();
		assert.equal((await a.call('send_message', { chat_id, body: 'lost', client_key: 'lost answer' })).duplicate, true);
	});

	test('a group of slow calls that works is not given up', async () => {
		await well();
		const first = pair.a.call('e2e_slow', { seconds: 0.5 });
		await sleep(100);
		const group = Array.from({ length: 28 }, (_, n) => (n % 2 ? pair.a : pair.b).call('e2e_slow', { seconds: 0.3 }));
		await first;
		assert.ok((await Promise.all(group)).every(answer => answer === 'done'));
		assert.doesNotMatch(world.gateway.log, /does not answer/);
	});

	test('slow calls of one do not keep the logins and events of others waiting', async () => {
		const { a, b, bob, chat_id } = pair;
		const slow = Array.from({ length: 6 }, () => a.call('e2e_alone', { seconds: 0.9 }).catch(() => {}));
		await sleep(100);
		const started = Date.now();
		const socket = await world.connect();
		await socket.call('authenticate', { token: bob.token });
		const sent = await b.call('send_message', { chat_id, body: '€'.repeat(4000) });
		await b.event(event => event.id === sent.id, 'a large event');
		assert.ok(Date.now() - started < 800, `${Date.now() - started} ms`);
		await Promise.all(slow);
		await socket.close();
	});

	test('a LISTEN connection that ends with a last word is noticed', async () => {
		await well();
		const { a, b, chat_id } = pair;
		const [worker] = await world.gateway.workers();
		const [{ gateway }] = listen.pairs;
		const word = Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0');
		const head = Buffer.alloc(5);
		head.write('E');
		head.writeInt32BE(word.length + 4, 1);
		process.kill(worker, 'SIGSTOP');
		await new Promise(done => gateway.write(Buffer.concat([head, word]), done));
		gateway.resetAndDestroy();
		await sleep(100);
		process.kill(worker, 'SIGCONT');
		await b.reply(frame => frame.method === 'synced');
		const sent = await a.call('send_message', { chat_id, body: 'heard?' });
		await b.event(event => event.id === sent.id, 'a message afterwards');
	});

	test('five tokens that are no good, and the socket is closed 4001', async () => {
		const socket = await world.connect();
		for (let i = 0; i < 5; i++)
			assert.equal((await refused(socket.call('authenticate', { token: `no good ${i}` }))).code, 401);
		assert.equal((await socket.ending('4001', 500)).code, 4001);
	});

	test('a login that never comes to an end does not keep a socket for ever', async () => {
		await well();
		const socket = await world.connect();
		calls.mute();
		socket.call('authenticate', { token: pair.alice.token }).catch(() => {});
		assert.equal((await socket.ending('4001', 4500)).code, 4001);
		calls.unmute();
		await well();
	});
});
